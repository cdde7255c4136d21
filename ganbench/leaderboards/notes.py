"""Notes under a table: caveats about where its numbers come from."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from ganbench.errors import listed, plural
from ganbench.leaderboards.rows import Edit, Row
from ganbench.records.record import Declared, Environment, ExternalRecord, runs_in

TABLE_CONDITIONS: Mapping[str, Callable[[Environment], str]] = {
    "torch": lambda environment: environment.torch,
    "ganbench": lambda environment: environment.ganbench,
    "precision": lambda environment: environment.precision,
}
"""What a table's runs should have in common besides the rules."""


def notes_on(rows: Iterable[Row]) -> list[str]:
    """Caveats about the rows, one sentence each."""
    rows = list(rows)
    return [
        *_surroundings(rows),
        *_versions(rows),
        *_edited(rows),
        *_external(rows),
        *_doubts(rows),
        *_absences(rows),
    ]


def _surroundings(rows: Sequence[Row]) -> list[str]:
    notes = []
    records = [record for row in rows for record in row.records]
    for what, of in TABLE_CONDITIONS.items():
        versions = sorted({of(record.environment) for record in runs_in(records)})
        if len(versions) > 1:
            notes.append(f"the runs differ in {what}: {', '.join(versions)}")
    dirty = sum(record.environment.dirty for record in records)
    if dirty:
        notes.append(f"{dirty} of {plural(len(records), 'record')} come from a checkout with uncommitted changes")
    free = [record for record in records if record.environment.nondeterministic]
    if free:
        names = sorted({name for record in free for name in record.environment.nondeterministic})
        notes.append(
            f"{len(free)} of {plural(len(records), 'record')} used operations that have no deterministic "
            f"implementation, so they may not reproduce bit for bit: {', '.join(names)}"
        )
    return notes


def _versions(rows: Sequence[Row]) -> list[str]:
    notes = []
    for row in rows:
        found: dict[str, set[str]] = defaultdict(set)
        for record in row.records:
            for kind, part in record.players:
                found[part.name if kind == "trick" else kind].add(part.version)
        notes += [
            f"{row.entry.name}: the version of its {what} differs between seeds ({', '.join(sorted(versions))})"
            for what, versions in found.items()
            if len(versions) > 1
        ]
    return notes


def _edited(rows: Sequence[Row]) -> list[str]:
    """One sentence for each edited component."""
    where: dict[Edit, list[str]] = defaultdict(list)
    for row in rows:
        for edit in row.edits:
            where[edit].append(row.entry.name)
    return [
        f"the {e.kind} {e.name} ({e.package} {e.version}) was edited without a new version: its source hash is "
        f"{e.source}, while that of {e.whose} is {e.expected}. Not ranked: {', '.join(names)}. Give the plugin a new "
        "version, or run these rows again"
        for e, names in sorted(where.items())
    ]


def _external(rows: Sequence[Row]) -> list[str]:
    """What is stated about samples from elsewhere, how they were read, and what may be wrong with them."""
    notes = []
    for record in (record for row in rows for record in row.records if isinstance(record, ExternalRecord)):
        it = record.external
        stated = [] if it.declared == Declared() else [str(it.declared)]
        notes.append(f"{it.name}: {'. '.join([*stated, it.read, *it.assumed, *it.found])}")
    return notes


def _doubts(rows: Sequence[Row]) -> list[str]:
    """Doubts and failed self-checks of the evaluation, with the number of records affected."""
    where: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for record in row.records:
            for sentence in record.self_checks.failed if record.self_checks else ():
                where[one_line(sentence)].append(row.entry.name)
    total = sum(len(row.records) for row in rows)
    said: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for record in row.records:
            for doubt in record.doubts:
                said[" ".join(doubt.split())].append(row.entry.name)
    return [
        *(f"{doubt} ({_whose(names, total)})" for doubt, names in said.items()),
    ] + [
        f"a self-check of the evaluation failed in {plural(len(names), 'record')} "
        f"({', '.join(dict.fromkeys(names))}): {sentence}"
        for sentence, names in where.items()
    ]


FEW = 3
"""Rows whose names a note lists."""


def _whose(names: Sequence[str], total: int) -> str:
    """How many records, of which rows, if these are few: ``2 of 20 records: dcgan+r1``."""
    rows = list(dict.fromkeys(names))
    return f"{len(names)} of {plural(total, 'record')}" + (f": {', '.join(rows)}" if len(rows) <= FEW else "")


class _Gap(NamedTuple):
    """Columns without a score, and the reason with its numbers masked."""

    columns: tuple[str, ...]
    like: str


class _Absence(NamedTuple):
    """An entry with a record that lacks scores, and the reason."""

    entry: str
    reason: str


def _absences(rows: Sequence[Row]) -> list[str]:
    """Missing scores, with the reason and the number of records that lack them.

    Reasons that differ only in their numbers are merged.
    """
    where: dict[_Gap, list[_Absence]] = defaultdict(list)
    for row in rows:
        for record in row.records:
            for reason in dict.fromkeys(record.absent.values()):
                columns = tuple(column for column, why in record.absent.items() if why == reason)
                like = re.sub(r"\d+(\.\d+)?", "#", reason)
                where[_Gap(columns, like)].append(_Absence(row.entry.name, one_line(reason)))
    notes = []
    for gap, found in where.items():
        names, reasons = (list(dict.fromkeys(part)) for part in zip(*found, strict=True))
        more = ", for example" if len(reasons) > 1 else ""
        count = plural(len(found), "record")
        notes.append(f"no {listed(gap.columns)} in {count} ({', '.join(names)}){more}: {reasons[0]}")
    return notes


def one_line(text: str) -> str:
    """A reason on one line of at most 160 characters."""
    text = " ".join(text.split())
    return text if len(text) <= 160 else text[:159] + "…"
