"""Strips in a published folder: those of each row's lowest seed, named like its record's file."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ganbench.errors import GanbenchWarning, RecordError
from ganbench.leaderboards.entries import Entry, entry_of
from ganbench.records.files import write_atomically
from ganbench.records.record import Record
from ganbench.records.strips import PICTURE, SOUND, Strip, is_strip_of, read_strip

Named = Mapping[str, Record]
"""The records of a published folder by the names of their files."""


class Samples(NamedTuple):
    """URLs of a row's picture and sound, relative to its published folder; "" for what a row lacks."""

    picture: str
    sound: str


NOTHING_TO_SEE = Samples("", "")


def strips_in(folder: Path) -> list[Path]:
    """The strips of a protocol's runs."""
    return sorted(path for suffix in (PICTURE, SOUND) for path in folder.glob(f"*/seed*/strip{suffix}"))


def samples_in(folder: Path, records: Named) -> dict[Entry, Samples]:
    """The pictures and sounds in a published folder, by row; rows without either are left out."""
    found = {}
    for stem, record in _first_seeds(records).items():
        there = [is_strip_of(record, folder / "strips" / f"{stem}{suffix}") for suffix in (PICTURE, SOUND)]
        if any(there):
            address = quote(f"strips/{stem}", safe="/+=")
            found[entry_of(record)] = Samples(
                address + PICTURE if there[0] else "", address + SOUND if there[1] else ""
            )
    return found


def strays(folder: Path, records: Named) -> list[Path]:
    """Strips in a published folder that are not bound to the record of any row, or that were modified."""
    places = _places(folder, records)
    there = sorted(path for suffix in (PICTURE, SOUND) for path in folder.glob(f"strips/*{suffix}"))
    return [path for path in there if path not in places or not is_strip_of(places[path], path)]


def renew(folder: Path, records: Named, strips: Iterable[Path]) -> list[Path]:
    """Copy the ``strips`` that rows of a published folder lack, and remove its strays.

    Returns the files that were written or removed. A strip that cannot be read is skipped with a warning.

    Raises:
        RecordError: a file cannot be written.
    """
    removed = [path for path in strays(folder, records) if not path.is_dir()]
    for path in removed:
        path.unlink()
    lacking = {path: record for path, record in _places(folder, records).items() if not is_strip_of(record, path)}
    wanted = {record.bits.weights for record in lacking.values()}
    given = {(strip.weights, strip.suffix): strip for strip in _readable(strips) if strip.weights in wanted}
    written = {
        path: given[key] for path, record in lacking.items() if (key := (record.bits.weights, path.suffix)) in given
    }
    for path, strip in written.items():
        write_atomically(path, strip.content)
    return [*{*removed, *written}]


def _readable(strips: Iterable[Path]) -> Iterator[Strip]:
    for path in strips:
        try:
            yield read_strip(path)
        except RecordError as error:
            warnings.warn(GanbenchWarning(f"{error.message}; it is not published"), stacklevel=3)


def _first_seeds(records: Named) -> dict[str, Record]:
    """The record of each row's lowest seed, by the name of its file without the suffix."""
    names: dict[Entry, str] = {}
    for name in sorted(records, key=lambda name: records[name].seed):
        names.setdefault(entry_of(records[name]), name)
    return {name.removesuffix(".json"): records[name] for name in names.values()}


def _places(folder: Path, records: Named) -> dict[Path, Record]:
    """Every path that a strip may have, and the record that it must be bound to."""
    return {
        folder / "strips" / f"{stem}{suffix}": record
        for stem, record in _first_seeds(records).items()
        for suffix in (PICTURE, SOUND)
    }
