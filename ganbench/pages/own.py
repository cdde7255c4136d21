"""A page with the user's own rows beside the published ones: a single file in the folder of the runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from ganbench.errors import RecordError
from ganbench.leaderboards.entries import Entry, entry_of
from ganbench.leaderboards.gathering import records_in
from ganbench.leaderboards.published import published_folder
from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.strips import Samples
from ganbench.leaderboards.table import Table
from ganbench.pages.page import to_page
from ganbench.pages.places import Appearance, Places, RecordPlace, appearance_of
from ganbench.records.files import write_atomically
from ganbench.records.record import Record
from ganbench.records.store import read
from ganbench.records.strips import PICTURE, SOUND, is_strip_of

NAME = "leaderboard.html"

Found = Mapping[Entry, Mapping[int, tuple[Path, Record]]]
"""Records with their files, by row and seed."""


def write_own_page(table: Table, runs: Path) -> Path:
    """Write the page of a protocol's table to the folder of its runs; returns its path.

    Raises:
        RecordError: the file cannot be written.
    """
    folder = runs / table.name
    published = published_folder(table.name)
    own = _found(records_in(folder))
    theirs = _found(records_in(published)) if published else {}
    sources = {row.key: own if row.here or row.entry not in theirs else theirs for row in table.rows}
    places = {row.key: _places(row, sources[row.key], folder) for row in table.rows}
    write_atomically(folder / NAME, to_page(table, places).encode())
    return folder / NAME


def _found(files: Iterable[Path]) -> Found:
    found: dict[Entry, dict[int, tuple[Path, Record]]] = {}
    for path in files:
        with suppress(RecordError):  # the table has already reported it
            record = read(path)
            found.setdefault(entry_of(record), {})[record.seed] = path, record
    return found


def _places(row: Row, found: Found, folder: Path) -> Places:
    seeds = found.get(row.entry, {})
    there = [seeds[record.seed] for record in row.records if record.seed in seeds]
    records = tuple(RecordPlace(record.seed, _address(path, folder)) for path, record in there)
    if not there:
        return Places(records)
    picture, sound = (file if is_strip_of(there[0][1], file) else None for file in _strip(there[0][0]))
    samples = Samples(*(_address(file, folder) if file else "" for file in (picture, sound)))
    return Places(records, samples, appearance_of(picture) if picture else Appearance())


def _strip(path: Path) -> list[Path]:
    """The paths of a record's strip, picture and sound: beside the record of a run, or in a published folder."""
    stem = path.parent / "strip" if path.name == "record.json" else path.parents[1] / "strips" / path.stem
    return [stem.with_name(stem.name + suffix) for suffix in (PICTURE, SOUND)]


def _address(path: Path, folder: Path) -> str:
    """The URL of a file relative to a folder; an absolute one if the two are on different drives."""
    try:
        return quote(Path(os.path.relpath(path, folder)).as_posix(), safe="/+=")
    except ValueError:
        return path.resolve().as_uri()
