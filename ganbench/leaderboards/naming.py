"""The names of published records."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

import msgspec

from ganbench.leaderboards.entries import run_key
from ganbench.records.files import cut
from ganbench.records.record import Record

LONGEST = 150
"""In bytes; a longer name is cut and gets a hash."""


def file_names(records: Iterable[Record]) -> dict[str, Record]:
    """A file name for every record; names that would collide on some file system get a hash as well."""
    records = list(records)
    taken = Counter(_clear(record).lower() for record in records)
    names = {}
    for record in records:
        name = _clear(record)
        clear = taken[name.lower()] == 1 and len(name.encode()) <= LONGEST
        names[name if clear else _hashed(record)] = record
    return names


def possible_names(record: Record) -> tuple[str, str]:
    """The names that the file of a published record may have; the other records in its folder decide."""
    return _clear(record), _hashed(record)


def _clear(record: Record) -> str:
    return re.sub(r"[^\w.+=-]", "-", record.file_name)


def _hashed(record: Record) -> str:
    identity = hashlib.sha256(msgspec.json.encode(run_key(record).order)).hexdigest()[:8]
    return f"{cut(_clear(record).removesuffix('.json'), 120)}+{identity}.json"
