"""Gather a protocol's records from local runs and its published folder, and build the table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ganbench.contracts.protocol import Protocol
from ganbench.errors import RecordError
from ganbench.leaderboards.published import installed_source, published_files, published_folder, rules_of
from ganbench.leaderboards.table import Table, build
from ganbench.records.files import text_of
from ganbench.records.record import Record
from ganbench.records.store import read_all
from ganbench.records.timing import read_timings

REMARKS = "NOTES.md"
"""A list, written by hand, of what readers of a published table should know beyond its records."""


def remarks_in(folder: Path | None) -> list[str]:
    """The list items in a folder's ``NOTES.md``, as sentences; empty without that file."""
    text = text_of(folder / REMARKS) if folder is not None else None
    found: list[str] = []
    for line in (text or "").splitlines():
        if line.startswith("* "):
            found.append(line[2:].strip())
        elif found and line.startswith("  "):
            found[-1] += f" {line.strip()}"
    return found


def timings_in(folder: Path) -> list[Path]:
    """Timing records of a published leaderboard, or of a protocol's runs."""
    return sorted(folder.glob("timings/*.json"))


def records_in(folder: Path) -> list[Path]:
    """Record files of a published leaderboard, ``records/*.json``, or of runs, ``*/seed*/record.json``."""
    return sorted([*folder.glob("records/*.json"), *folder.glob("*/seed*/record.json")])


def records_below(path: Path) -> list[Path]:
    """Record files anywhere below a folder, or that file alone, sorted.

    They are ``record.json``, as runs leave it, and ``records/*.json``, as it is published. A folder without either is
    taken for one of published records.

    Raises:
        RecordError: there are none.
        OSError: a folder cannot be read.
    """
    if not path.is_dir():
        if not path.exists():
            raise RecordError(f"{path} does not exist", "give a folder of runs, or a record")
        return [path]
    found = list[str]()
    for folder, below, files in os.walk(path, onerror=_raise):
        below[:] = [name for name in below if not name.startswith(".")]
        everything = os.path.basename(os.path.abspath(folder)) == "records"
        names = (name for name in files if name == "record.json" or (everything and _is_json(name)))
        found += (os.path.join(folder, name) for name in names)
    found = found or [str(file) for file in path.iterdir() if _is_json(file.name)]
    if not found:
        raise RecordError(f"{path} holds no records", "give a folder of runs, such as runs, or a record")
    return [Path(file) for file in sorted(found)]


def _is_json(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _raise(error: OSError) -> None:
    raise error


class Gathered(NamedTuple):
    """Local and published records of one protocol, and an error for each record that cannot be read."""

    name: str
    rules: Protocol | None
    """The protocol; None if no installed package provides it."""
    local: list[Record]
    published: list[Record]
    errors: list[RecordError]


def gather_records(name: str, rules: Protocol | None, runs: Path, *, published: bool = True) -> Gathered:
    """The records of a protocol in the folder ``runs``, and the published ones."""
    name = rules.name if rules else name
    local, errors = read_all(records_in(runs / name))
    others, more = read_all(published_files(name) if published else ())
    return Gathered(name, rules, local, others, [*errors, *more])


def gather(
    protocol: str, runs: Path, *, published: bool = True, sort: str = "", metrics: Sequence[str] = ()
) -> tuple[Table | None, list[RecordError]]:
    """The table of a protocol from local and published records, or None if there are no records.

    Also returns an error for each record that cannot be read.

    Raises:
        GanbenchError: there is no such protocol, or no such column to sort by or to show.
    """
    found = gather_records(protocol, rules_of(protocol, runs), runs, published=published)
    folder = published_folder(found.name) if published else None
    timings, bad = read_timings([*timings_in(runs / found.name), *(timings_in(folder) if folder else [])])
    errors = [*found.errors, *bad]
    if not found.local and not found.published:
        return None, errors
    table = build(
        found.local,
        found.rules,
        published=found.published,
        installed=installed_source,
        sort=sort,
        metrics=metrics,
        remarks=remarks_in(folder),
        timings=timings,
    )
    return table, errors
