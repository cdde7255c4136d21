"""Which records share a table, and why the others are left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from ganbench.contracts.protocol import Protocol
from ganbench.contracts.score_name import is_called
from ganbench.errors import listed, plural
from ganbench.leaderboards.entries import RunEntry, RunKey, run_key
from ganbench.leaderboards.notes import one_line
from ganbench.leaderboards.rows import Row
from ganbench.records.record import FINISHED, Record, TrainingRecord
from ganbench.records.store import facts_of


class Found(NamedTuple):
    """A record, and whether it was made on this machine (not published)."""

    record: Record
    here: bool


def admit(found: Iterable[Found], protocol: Protocol | None) -> tuple[list[Found], list[str]]:
    """The records that may share a table, and a sentence on each group that was left out.

    Records are sorted, with one per entry, seed and origin (local or published).
    """
    found = list(found)
    left_out: list[str] = []

    def keep(those: Iterable[Found], total: int, why: str) -> list[Found]:
        kept = list(those)
        if len(kept) < total:
            left_out.append(f"left out {plural(total - len(kept), 'record')} {why}")
        return kept

    digest = protocol.digest if protocol else _most_common(f.record.digest for f in found)
    found = keep((f for f in found if f.record.digest == digest), len(found), "with another protocol digest")
    usual = _most_common(judged_by(f.record) for f in found)
    fitting = [(f, fitted_to(usual, f.record)) for f in found]
    for unfit in dict.fromkeys(fit for _, fit in fitting if isinstance(fit, Unfit)):
        gone = [f for f, fit in fitting if fit == unfit]
        alone = " (`--no-published` shows them)" if all(f.here for f in gone) and len(gone) < len(found) else ""
        left_out.append(f"left out {plural(len(gone), 'record')} {unfit.why}{alone}")
    found = [f._replace(record=fit) for f, fit in fitting if isinstance(fit, Record)]
    left_out += _bared(fitting, usual)
    if protocol:
        seeds = set(protocol.seeds)
        inside = (f for f in found if not isinstance(f.record, TrainingRecord) or f.record.seed in seeds)
        found = keep(inside, len(found), "with a seed that the protocol does not have")
    skipped = {
        f"{f.record.entry} was skipped: {one_line(f.record.reason)}" for f in found if f.record.status == "skipped"
    }
    found = [f for f in found if f.record.status != "skipped"]
    latest = [Found(r, here) for here in (False, True) for r in newest(f.record for f in found if f.here == here)]
    found = keep(latest, len(found), "superseded by a newer one of the same entry and seed")
    return found, left_out + sorted(skipped)


def _most_common(values: Iterable[Any]) -> Any:
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value), default=None)


class MetricUsed(NamedTuple):
    """A metric that scored a record, and its revision."""

    name: str
    package: str
    revision: int


class JudgedBy(NamedTuple):
    """What a record was judged with.

    Scores on other data, in another feature space, or by another revision of a metric are different quantities.
    """

    dataset: str
    extractor: str
    metrics: tuple[MetricUsed, ...]


def judged_by(record: Record) -> JudgedBy:
    """The data, the extractor and the metrics that a record was judged with."""
    metrics = (MetricUsed(name, part.package, max(1, part.revision)) for name, part in record.metrics.items())
    return JudgedBy(record.dataset_hash, record.extractor, tuple(sorted(metrics)))


class Unfit(NamedTuple):
    """Why a record may not share a table with others, to end a sentence with, such as ``judged on other data ...``."""

    why: str


def fitted_to(judged: JudgedBy, record: Record) -> Record | Unfit:
    """The record without the columns that do not compare with the others, or why none of it does.

    Columns from another revision of a metric are dropped. If the headline is among them, the whole record is unfit.
    """
    mine = judged_by(record)
    if mine == judged:
        return record
    if (mine.dataset, mine.extractor) != (judged.dataset, judged.extractor):
        return Unfit("judged on other data or with another extractor")
    others = {metric.name for metric in {*mine.metrics} ^ {*judged.metrics}}
    headline = next((c for c in record.columns if is_called(c, record.headline)), None)
    if any(not column.metric for column in record.columns.values()) or (
        headline and record.columns[headline].metric in others
    ):
        return Unfit(f"judged by another revision of {listed(sorted(others))}")
    kept = {name: column for name, column in record.columns.items() if column.metric not in others}
    return msgspec.structs.replace(
        record,
        columns=kept,
        scores={name: value for name, value in record.scores.items() if name in kept},
        draws=[{name: value for name, value in draw.items() if name in kept} for draw in record.draws],
    )


def _bared(fitting: Iterable[tuple[Found, Record | Unfit]], usual: JudgedBy | None) -> list[str]:
    """Sentences on the columns that were dropped from records: of other revisions, and of metrics that others lack."""
    known = {metric.name for metric in usual.metrics} if usual else set[str]()
    revised, further = Counter[str](), Counter[str]()
    for one, fit in fitting:
        if isinstance(fit, Record):
            gone = {column.metric for name, column in one.record.columns.items() if name not in fit.columns}
            for names, counted in ((gone & known, revised), (gone - known, further)):
                counted.update([listed(sorted(names))] if names else [])
    left_out = [
        f"left out the scores of {which} from {plural(n, 'record')}, which another revision computed"
        for which, n in revised.items()
    ]
    return left_out + [
        f"left out the scores of {which} from {plural(n, 'record')}, because the others have none"
        for which, n in further.items()
    ]


def newest(records: Iterable[Record]) -> list[Record]:
    """One record per entry and seed, sorted by them: the latest finished one, else the latest."""
    by_run: dict[RunKey, list[Record]] = defaultdict(list)
    for record in records:
        by_run[run_key(record)].append(record)
    groups = [by_run[key] for key in sorted(by_run, key=lambda key: key.order)]
    return [group[0] if len(group) == 1 else max(group, key=_recency) for group in groups]


def _recency(record: Record) -> tuple[bool, str, bytes]:
    return record.status in FINISHED, record.started, msgspec.json.encode(facts_of(record))


def merge(rows: Iterable[Row]) -> tuple[list[Row], list[str]]:
    """Merge local rows with published ones.

    A local row replaces the published one if it is complete and of the same code. Otherwise the published row stays,
    and the local one is shown beside it without a rank. Of two rows that were not trained, only the fuller one
    is shown. Returns the rows, and a sentence on each local row shown beside a published one because seeds are missing.
    """
    rows = list(rows)
    twins = {row.key: row for row in rows}
    kept, notes = [], []
    for row in rows:
        twin = twins.get(row.key._replace(here=not row.here))
        if twin is None or (row.here and _replaces(row, twin)) or (not row.here and not _replaces(twin, row)):
            kept.append(row)
        elif row.here and row.records and isinstance(row.entry, RunEntry):
            kept.append(row)
            lacking = f"your own runs lack {plural(len(row.missing), 'seed')}"
            if row.missing:
                notes.append(f"{row.entry.name}: {lacking}, so they are shown beside the published row without a rank")
    return kept, notes


def _replaces(ours: Row, published: Row) -> bool:
    if not isinstance(ours.entry, RunEntry):
        scored, known = ({name for record in row.records for name in record.columns} for row in (ours, published))
        return len(ours.records) >= len(published.records) and known <= scored
    return not ours.missing and not ours.edits
