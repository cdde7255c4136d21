"""Published leaderboards: folders of records with the tables computed from them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from ganbench.contracts.protocol import Protocol
from ganbench.errors import RecordError
from ganbench.leaderboards.admission import newest
from ganbench.leaderboards.entries import run_key
from ganbench.leaderboards.export import to_csv
from ganbench.leaderboards.html import to_page
from ganbench.leaderboards.markdown import to_markdown
from ganbench.leaderboards.published import installed_source, published_files, published_folder, rules_of
from ganbench.leaderboards.strips import renew, samples_in, strays
from ganbench.leaderboards.table import Table, build
from ganbench.records.files import cut, write_atomically
from ganbench.records.record import FINISHED, Record
from ganbench.records.store import read, read_all, write
from ganbench.records.timing import Timing, read_timing, read_timings, write_timing

REMARKS = "NOTES.md"
"""What a reader of a published table must know and its records do not tell: a list, written by hand."""


def remarks_in(folder: Path | None) -> list[str]:
    """The items of the list in a folder's ``NOTES.md``, as sentences; none without that file."""
    text = _text(folder / REMARKS) if folder is not None else None
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


def write_folder(
    records: Iterable[Record],
    protocol: Protocol,
    folder: Path,
    timings: Iterable[Timing] = (),
    strips: Iterable[Path] = (),
) -> list[str]:
    """Publish finished records of a protocol, timings of its rows, and those of ``strips`` that belong to its records.

    The folder gets ``README.md``, ``table.csv``, ``index.html``, ``records/*.json``, ``timings/*.json`` and, for the
    lowest seed of each row, ``strips/*``. What its ``NOTES.md`` says is repeated under the table.

    Records that the folder already has stay, unless a new one of the same entry and seed replaces them. Strips that are
    bound to no record go.
    Returns the files that were written or removed; each is written whole or not at all.

    Raises:
        RecordError: a record in the folder cannot be read, or a file cannot be written.
    """
    for leftover in folder.rglob(".*.tmp"):  # of a process that was killed while writing
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
    for name, text in _derived(named, protocol, folder).items():
        if _text(folder / name) != text:
            write_atomically(folder / name, text.encode())
            changed.append(folder / name)
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
    """Files of a published leaderboard that do not match its records: edited, stale, strange or unreadable."""
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
    wrong |= {name for name, text in _derived(named, protocol, folder).items() if _text(folder / name) != text}
    return sorted(wrong)


def file_names(records: Iterable[Record]) -> dict[str, Record]:
    """A file name for every record; those that would share one on some file system get a hash as well."""
    records = list(records)
    plain = [re.sub(r"[^\w.+=-]", "-", record.file_name) for record in records]
    taken = Counter(name.lower() for name in plain)
    names = {}
    for name, record in zip(plain, records, strict=True):
        identity = hashlib.sha256(msgspec.json.encode(run_key(record).order)).hexdigest()[:8]
        clear = taken[name.lower()] == 1 and len(name.encode()) <= 150
        names[name if clear else f"{cut(name.removesuffix('.json'), 120)}+{identity}.json"] = record
    return names


def _stored(record: Record) -> Record:
    """The record as it is read back: a recipe's tuple as a list, a column's limit 0 as 0.0."""
    return msgspec.json.decode(msgspec.json.encode(record), type=type(record))


def _derived(records: Mapping[str, Record], protocol: Protocol, folder: Path) -> dict[str, str]:
    timings, errors = read_timings(timings_in(folder))
    if errors:
        raise errors[0]
    table = build(records.values(), protocol, remarks=remarks_in(folder), timings=timings)
    samples = samples_in(folder, records)
    return {
        "README.md": to_markdown(table, samples),
        "table.csv": to_csv(table),
        "index.html": to_page(table, samples),
    }


def _text(path: Path) -> str | None:
    """A file's text byte for byte; None where there is none."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None


def _readable(path: Path) -> bool:
    try:
        read(path)
    except RecordError:
        return False
    return True
