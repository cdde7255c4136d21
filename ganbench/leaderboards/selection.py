"""Which records may share a table, which components were edited, and notes for the reader."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from ganbench.contracts.protocol import Protocol
from ganbench.contracts.score_name import is_called
from ganbench.errors import listed
from ganbench.leaderboards.rows import Edit, Entry, Row, entry_of
from ganbench.records.record import FINISHED, Component, Record, YardstickRecord, runs_in
from ganbench.records.store import facts_of


class Found(NamedTuple):
    """A record, and whether it was made on this machine (not published)."""

    record: Record
    here: bool


def select(found: Iterable[Found], protocol: Protocol | None) -> tuple[list[Found], list[str]]:
    """The records that may share a table, sorted, one per entry, seed and origin; and sentences on those left out."""
    found = list(found)
    left_out: list[str] = []

    def keep(those: Iterable[Found], total: int, why: str) -> list[Found]:
        kept = list(those)
        if len(kept) < total:
            left_out.append(f"{_plural(total - len(kept), 'record')} {why} left out")
        return kept

    digest = protocol.digest if protocol else _most_common(f.record.digest for f in found)
    found = keep((f for f in found if f.record.digest == digest), len(found), "of another protocol digest")
    judged = _most_common(judgement(f.record) for f in found)
    fitting = [(f, fitted_to(judged, f.record)) for f in found]
    for why in dict.fromkeys(fit for _, fit in fitting if isinstance(fit, str)):
        gone = [f for f, fit in fitting if fit == why]
        alone = " (`--no-published` shows them)" if all(f.here for f in gone) and len(gone) < len(found) else ""
        left_out.append(f"{_plural(len(gone), 'record')} {why} left out{alone}")
    found = [f._replace(record=fit) for f, fit in fitting if isinstance(fit, Record)]
    left_out += _bared(fitting)
    if protocol:
        seeds = set(protocol.seeds)
        inside = (f for f in found if isinstance(f.record, YardstickRecord) or f.record.seed in seeds)
        found = keep(inside, len(found), "of seeds that the protocol does not have")
    skipped = {f"{f.record.entry}: skipped: {one_line(f.record.reason)}" for f in found if f.record.status == "skipped"}
    found = [f for f in found if f.record.status != "skipped"]
    latest = [Found(r, here) for here in (False, True) for r in newest(f.record for f in found if f.here == here)]
    found = keep(latest, len(found), "replaced by a newer one of the same entry and seed")
    return found, left_out + sorted(skipped)


def _most_common(values: Iterable[Any]) -> Any:
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value), default=None)


class Judgement(NamedTuple):
    """What a record was judged by: scores on other data, in another feature space, or by another revision of a metric
    are not the same quantity. ``metrics`` are names, packages and revisions."""

    dataset: str
    extractor: str
    metrics: tuple[tuple[str, str, int], ...]


def judgement(record: Record) -> Judgement:
    """What a record was judged by."""
    metrics = ((name, part.package, max(1, part.revision)) for name, part in record.metrics.items())
    return Judgement(record.dataset_hash, record.extractor, tuple(sorted(metrics)))


def fitted_to(judged: Judgement, record: Record) -> Record | str:
    """The record as it may share a table with others, or why it may not. Columns of metrics of another revision are
    left out; if the headline's is among them, the record is."""
    mine = judgement(record)
    if mine == judged:
        return record
    if (mine.dataset, mine.extractor) != (judged.dataset, judged.extractor):
        return "judged on other data or by another extractor"
    others = {name for name, *_ in {*mine.metrics} ^ {*judged.metrics}}
    headline = next((c for c in record.columns if is_called(c, record.headline)), None)
    if any(not column.metric for column in record.columns.values()) or (
        headline and record.columns[headline].metric in others
    ):
        return f"judged by another revision of {listed(sorted(others))}"
    kept = {name: column for name, column in record.columns.items() if column.metric not in others}
    return msgspec.structs.replace(
        record,
        columns=kept,
        scores={name: value for name, value in record.scores.items() if name in kept},
        draws=[{name: value for name, value in draw.items() if name in kept} for draw in record.draws],
    )


def _bared(fitting: Iterable[tuple[Found, Record | str]]) -> list[str]:
    """A sentence on the columns that were left out of records."""
    bared: Counter[str] = Counter()
    for one, fit in fitting:
        if isinstance(fit, Record):
            gone = {column.metric for name, column in one.record.columns.items() if name not in fit.columns}
            bared.update([listed(sorted(gone))] if gone else [])
    return [
        f"{_plural(n, 'record')} judged by another revision of {which}: its scores left out"
        for which, n in bared.items()
    ]


def newest(records: Iterable[Record]) -> list[Record]:
    """One record per entry and seed, sorted by them: a finished one if there is one, then the latest."""
    by_run: dict[tuple[Entry, int], list[Record]] = defaultdict(list)
    for record in records:
        by_run[entry_of(record), record.seed].append(record)
    return [group[0] if len(group) == 1 else max(group, key=_recency) for _, group in sorted(by_run.items())]


def _recency(record: Record) -> tuple[bool, str, bytes]:
    return record.status in FINISHED, record.started, msgspec.json.encode(facts_of(record))


def merge(rows: Iterable[Row]) -> tuple[list[Row], list[str]]:
    """Rows made here beside published ones.

    A row made here takes the published one's place if it is complete and of the same code. Otherwise the published
    row stays, and the one made here is shown beside it, without a rank. Of two rows of a yardstick, only the fuller one
    is shown. Returns the rows, and sentences about those shown beside others.
    """
    rows = list(rows)
    twins = {row.key: row for row in rows}
    kept, notes = [], []
    for row in rows:
        twin = twins.get((row.entry, not row.here))
        if twin is None or (row.here and _replaces(row, twin)) or (not row.here and not _replaces(twin, row)):
            kept.append(row)
        elif row.here and row.records and not row.entry.yardstick:
            kept.append(row)
            lacking = f"the runs made here lack {_plural(len(row.missing), 'seed')}"
            if row.missing:
                notes.append(f"{row.entry.name}: {lacking}; they are shown beside the published row, without a rank")
    return kept, notes


def _replaces(ours: Row, published: Row) -> bool:
    if ours.entry.yardstick:
        scored, known = ({name for record in row.records for name in record.columns} for row in (ours, published))
        return len(ours.records) >= len(published.records) and known <= scored
    return not ours.missing and not ours.edits


# -- edited components ---------------------------------------------------------------------------------------

Installed = Callable[[str, Component], str]
"""``(kind, component) -> source hash`` of the installed plugin of that name, package and version, or ""."""


class _Code(NamedTuple):
    """A version of a component; sources that were ``hashed`` in other ways do not compare."""

    kind: str
    package: str
    name: str
    version: str
    hashed: str


class Reference(NamedTuple):
    """The known source of a version of a component, and whose it is."""

    source: str
    whose: str


References = dict[_Code, Reference]


def _codes(record: Record) -> dict[_Code, Component]:
    return {
        _Code(kind, part.package, part.name, part.version, _hashed_as(part, record)): part
        for kind, part in record.players
    }


def _hashed_as(part: Component, record: Record) -> str:
    """Format 2 did not state how a hash was computed; since then the hash does."""
    return part.hash_kind or f"format {record.format}"


def references(found: Iterable[Found], installed: Installed | None) -> References:
    """The known source of each version of a component, and whose it is: that of the published records, else of the
    installed plugin, else of most records (on a tie, the earliest)."""
    found = list(found)
    mixed = any(one.here for one in found)
    groups: dict[_Code, list[tuple[Found, Component]]] = defaultdict(list)
    for one in found:
        for code, part in _codes(one.record).items():
            groups[code].append((one, part))
    known: References = {}
    for code, group in groups.items():
        published = [pair for pair in group if not pair[0].here]
        source = installed(code.kind, group[0][1]) if installed and not published else ""
        if source.rpartition(":")[0] != group[0][1].hash_kind:
            source = ""
        whose = "the installed plugin" if source else "the published one" if published and mixed else "most runs"
        known[code] = Reference(source or _usual(published or group), whose)
    return known


def _usual(group: Sequence[tuple[Found, Component]]) -> str:
    counts = Counter(part.source for _, part in group)
    first: dict[str, str] = {}
    for one, part in group:
        first[part.source] = min(one.record.started, first.get(part.source, one.record.started))
    return min(counts, key=lambda source: (-counts[source], first[source], source))


def edits_of(records: Iterable[Record], known: References) -> list[Edit]:
    """The components in which finished runs differ from the known source of the same version."""
    edits = set()
    for record in records:
        for code, part in _codes(record).items():
            expected, whose = known[code]
            if record.status in FINISHED and part.source != expected:
                edits.add(Edit(code.kind, part.name, part.package, part.version, part.source, expected, whose))
    return sorted(edits)


# -- notes ---------------------------------------------------------------------------------------------------


def notes_on(rows: Iterable[Row]) -> list[str]:
    """What a reader should know about where the numbers come from."""
    rows = list(rows)
    return [*_surroundings(rows), *_versions(rows), *_edited(rows), *_doubts(rows), *_absences(rows)]


def _surroundings(rows: Sequence[Row]) -> list[str]:
    notes = []
    records = [record for row in rows for record in row.records]
    for what, of in (
        ("torch", lambda r: r.environment.torch),
        ("ganbench", lambda r: r.environment.ganbench),
        ("precision", lambda r: r.environment.precision),
    ):
        versions = sorted({of(record) for record in runs_in(records)})
        if len(versions) > 1:
            notes.append(f"the runs differ in {what}: {', '.join(versions)}")
    dirty = sum(record.environment.dirty for record in records)
    if dirty:
        notes.append(f"{dirty} of {len(records)} records come from a checkout with uncommitted changes")
    free = [record for record in records if record.environment.nondeterministic]
    if free:
        names = sorted({name for record in free for name in record.environment.nondeterministic})
        notes.append(
            f"{len(free)} of {len(records)} records used operations without a deterministic form, and may not "
            f"repeat bit for bit: {', '.join(names)}"
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
            f"{row.entry.name}: its {what} changed between seeds: versions {', '.join(sorted(versions))}"
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
        f"the {e.kind} {e.name} ({e.package} {e.version}) was edited without a new version: its source is {e.source}, "
        f"that of {e.whose} {e.expected}. Not ranked: {', '.join(names)}. Give the plugin a new version, or run again"
        for e, names in sorted(where.items())
    ]


def _doubts(rows: Sequence[Row]) -> list[str]:
    """Failed self-checks of the evaluation, with the number of records that they failed in."""
    where: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for record in row.records:
            for sentence in record.self_checks.failed if record.self_checks else ():
                where[one_line(sentence)].append(row.entry.name)
    total = sum(len(row.records) for row in rows)
    said = Counter(" ".join(doubt.split()) for row in rows for record in row.records for doubt in record.doubts)
    return [
        *(f"{doubt} ({number} of {total} records)" for doubt, number in said.items()),
    ] + [
        f"a self-check of the evaluation failed in {_plural(len(names), 'record')} "
        f"({', '.join(dict.fromkeys(names))}): {sentence}"
        for sentence, names in where.items()
    ]


def _absences(rows: Sequence[Row]) -> list[str]:
    """Scores that do not exist, with the reason and the number of records that lack them. Reasons that differ in their
    numbers only are one."""
    where: dict[tuple[tuple[str, ...], str], list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        for record in row.records:
            for reason in dict.fromkeys(record.absent.values()):
                columns = tuple(column for column, why in record.absent.items() if why == reason)
                where[columns, re.sub(r"\d+(\.\d+)?", "#", reason)].append((row.entry.name, one_line(reason)))
    notes = []
    for (columns, _), found in where.items():
        names, reasons = (list(dict.fromkeys(part)) for part in zip(*found, strict=True))
        more = ", for example" if len(reasons) > 1 else ""
        count = _plural(len(found), "record")
        notes.append(f"no {listed(columns)} in {count} ({', '.join(names)}){more}: {reasons[0]}")
    return notes


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"


def one_line(text: str) -> str:
    """A reason fit for a footnote."""
    text = " ".join(text.split())
    return text if len(text) <= 160 else text[:159] + "…"
