"""Find the other seeds of a record's row, which show how much its scores vary by chance alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ganbench.leaderboards.admission import judged_by, newest
from ganbench.leaderboards.entries import entry_of
from ganbench.leaderboards.published import published_files
from ganbench.records.record import FINISHED, Record
from ganbench.records.store import read_all

ENOUGH = 2
"""The fewest successful seeds that give a standard deviation."""


def other_seeds(file: Path, record: Record) -> list[Record]:
    """Finished records of the same row under the same rules, judged in the same way, one for each other seed.

    They come from the folder of the record's ``file`` and from the ``seed*`` folders beside that folder. If these hold
    fewer than two successful ones, the protocol's published records are searched as well, and the place that holds more
    is used. Files that are not records are skipped.
    """
    folder = file.absolute().parent
    near = _fitting([*folder.glob("*.json"), *folder.parent.glob("seed*/record.json")], record)
    if _successful(near) >= ENOUGH:
        return near
    return max(near, _fitting(published_files(record.protocol), record), key=_successful)


def _fitting(files: Iterable[Path], record: Record) -> list[Record]:
    found, _ = read_all(files)
    return newest(other for other in found if _fits(other, record))


def _fits(other: Record, record: Record) -> bool:
    return (
        other.seed != record.seed
        and other.digest == record.digest
        and other.status in FINISHED
        and entry_of(other) == entry_of(record)
        and judged_by(other) == judged_by(record)
    )


def _successful(records: list[Record]) -> int:
    return sum(record.status == "ok" for record in records)
