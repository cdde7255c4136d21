"""Records of a protocol from runs and from its published folder, and the table made from them."""

from __future__ import annotations

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
"""What a reader of a published table must know and its records do not tell: a list, written by hand."""


def remarks_in(folder: Path | None) -> list[str]:
    """The items of the list in a folder's ``NOTES.md``, as sentences; none without that file."""
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


class Gathered(NamedTuple):
    """Records of one protocol, made here and published, and an error for each that cannot be read."""

    name: str
    rules: Protocol | None
    """The protocol; None if no installed package provides it any more."""
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

    With it comes an error for each record that cannot be read.

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
