"""Published leaderboards: folders of records with the tables and pages made from them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from ganbench.contracts.protocol import Protocol
from ganbench.errors import RecordError
from ganbench.leaderboards.admission import newest
from ganbench.leaderboards.entries import run_key
from ganbench.leaderboards.export import to_csv, to_flat_json
from ganbench.leaderboards.gathering import remarks_in, timings_in
from ganbench.leaderboards.naming import file_names
from ganbench.leaderboards.strips import renew, strays
from ganbench.leaderboards.table import build
from ganbench.pages.charts.all import charts_of
from ganbench.pages.charts.svg import Chart, as_file
from ganbench.pages.citation import to_bibtex
from ganbench.pages.hub import SHARED
from ganbench.pages.markdown import PICTURES, to_markdown
from ganbench.pages.page import to_page
from ganbench.pages.places import places_in
from ganbench.pages.summary import summary_of, to_text
from ganbench.pages.templating import linked
from ganbench.records.files import text_of, write_atomically
from ganbench.records.record import FINISHED, Record
from ganbench.records.store import read, read_all, write
from ganbench.records.timing import Timing, read_timing, read_timings, write_timing


def write_folder(
    records: Iterable[Record],
    protocol: Protocol,
    folder: Path,
    timings: Iterable[Timing] = (),
    strips: Iterable[Path] = (),
) -> list[str]:
    """Publish finished records of a protocol, timings of its rows, and those of ``strips`` that belong to its records.

    The folder gets ``index.html``, ``README.md``, ``pictures/*.svg``, ``table.csv``, ``table.json``, ``summary.json``,
    ``cite.bib``, ``records/*.json``, ``timings/*.json`` and, for the lowest seed of each row, ``strips/*``. The items
    of its ``NOTES.md`` are repeated under the table.

    Records already in the folder stay, unless a new one of the same entry and seed replaces them. Strips that are not
    bound to a record are removed.
    Returns the files that were written or removed; each write is atomic.

    Raises:
        RecordError: a record in the folder cannot be read, or a file cannot be written.
    """
    for leftover in folder.rglob(".*.tmp"):  # from a process that was killed while writing
        leftover.unlink(missing_ok=True)
    new = newest(r for r in records if r.digest == protocol.digest and r.status in FINISHED)
    replaced = {run_key(record) for record in new}
    present = {path: read(path) for path in sorted(folder.glob("records/*.json"))}
    old = [record for record in present.values() if run_key(record) not in replaced]
    named = file_names([*new, *old])
    wanted = {folder / "records" / name: record for name, record in named.items()}
    changed = [path for path, record in wanted.items() if present.get(path) != _stored(record)]
    for path in changed:
        write(wanted[path], path)
    removed = [path for path in present if path not in wanted]
    for path in removed:
        path.unlink()
    changed += [*_write_timings(timings, protocol, folder), *renew(folder, named, strips)]
    derived = _derived(named, protocol, folder)
    for name, text in derived.items():
        if text_of(folder / name) != text:
            write_atomically(folder / name, text.encode())
            changed.append(folder / name)
    for path in _strange_pictures(folder, derived):
        path.unlink()
        removed.append(path)
    return sorted(path.relative_to(folder).as_posix() for path in [*changed, *removed])


def _write_timings(timings: Iterable[Timing], protocol: Protocol, folder: Path) -> list[Path]:
    """Add timings under a protocol's rules; returns the files that changed."""
    changed = []
    for timing in timings:
        path = folder / "timings" / timing.file_name
        if timing.digest == protocol.digest and not (path.exists() and read_timing(path) == timing):
            write_timing(timing, path)
            changed.append(path)
    return changed


def check_folder(folder: Path, protocol: Protocol) -> list[str]:
    """Files of a published leaderboard that do not match its records: edited, stale, unexpected or unreadable."""
    paths = sorted(folder.glob("records/*.json"))
    records, errors = read_all(paths)
    if errors:
        return sorted(path.relative_to(folder).as_posix() for path in paths if not _readable(path))
    named = file_names(records)
    _, unread = read_timings(timings_in(folder))
    if unread:
        return sorted(path.relative_to(folder).as_posix() for path in timings_in(folder) if read_timings([path])[1])
    wrong = {path.relative_to(folder).as_posix() for path in paths} ^ {f"records/{name}" for name in named}
    wrong |= {path.relative_to(folder).as_posix() for path in strays(folder, named)}
    derived = _derived(named, protocol, folder)
    wrong |= {path.relative_to(folder).as_posix() for path in _strange_pictures(folder, derived)}
    wrong |= {name for name, text in derived.items() if text_of(folder / name) != text}
    return sorted(wrong)


def _stored(record: Record) -> Record:
    """The record as it is read back: a recipe's tuple as a list, a column's limit 0 as 0.0."""
    return msgspec.json.decode(msgspec.json.encode(record), type=type(record))


def _derived(records: Mapping[str, Record], protocol: Protocol, folder: Path) -> dict[str, str]:
    """The text of every file that follows from records, timings and strips, by its path in the folder."""
    timings, errors = read_timings(timings_in(folder))
    if errors:
        raise errors[0]
    table = build(records.values(), protocol, remarks=remarks_in(folder), timings=timings)
    places = places_in(folder, records)
    charts = charts_of(table)
    return {
        "README.md": to_markdown(table, places, charts),
        "table.csv": to_csv(table),
        "table.json": to_flat_json(table),
        "cite.bib": to_bibtex(table),
        "summary.json": to_text(summary_of(table, places)),
        "index.html": to_page(table, places, shared=linked(f"../{SHARED}"), folder=folder, downloads=True),
        **{_picture(chart): as_file(chart) for chart in charts.values()},
    }


def _picture(chart: Chart) -> str:
    return f"{PICTURES}/{chart.name}.svg"


def _strange_pictures(folder: Path, derived: Collection[str]) -> list[Path]:
    """Pictures that do not belong to a chart of the table."""
    there = sorted(folder.glob(f"{PICTURES}/*.svg"))
    return [path for path in there if path.relative_to(folder).as_posix() not in derived]


def _readable(path: Path) -> bool:
    try:
        read(path)
    except RecordError:
        return False
    return True
