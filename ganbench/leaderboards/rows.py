"""Rows of a leaderboard: the records of one entry, summarised over its seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import median
from typing import Any, Literal, NamedTuple

from ganbench.contracts.kind import Kind
from ganbench.contracts.metric import Goal
from ganbench.leaderboards.entries import Entry, ExternalEntry, RunEntry, YardstickEntry
from ganbench.leaderboards.statistics import RankRange, Summary, pooled_sd, summarise
from ganbench.records.collapse import Collapse, collapses_of
from ganbench.records.record import FINISHED, Column, ExternalRecord, Look, Record, TrainingRecord, runs_in
from ganbench.records.timing import Timing

RowKind = Literal["entry", "custom", "edited", "yardstick", "external"]
Part = Literal["ranked", "unstable", "incomplete", "custom", "edited", "external"]
PARTS: tuple[Part, ...] = ("ranked", "unstable", "incomplete", "custom", "edited", "external")
"""The parts of a table, in their order. Yardsticks are listed among the ranked rows, without a rank."""


class RowKey(NamedTuple):
    """Identifies a row within a table: an entry can have a published row and a local one (``here``)."""

    entry: Entry
    here: bool

    @property
    def order(self) -> tuple[Any, ...]:
        """Sort key for the rows of a new table."""
        return self.entry.order, self.here


class Edit(NamedTuple):
    """A component whose source differs from the one ``expected``: the known source of its version, from ``whose``."""

    kind: Kind
    name: str
    package: str
    version: str
    source: str
    expected: str
    whose: str


class BestScore(NamedTuple):
    """The headline of the best generators during training, and the median kimg at which they occurred."""

    score: Summary
    kimg: float


class Reached(NamedTuple):
    """When the headline's target was first met: medians over seeds.

    A seed that never met it counts as infinite; ``hits`` of ``runs`` met it. ``seconds`` are CPU seconds (see
    ``own_speed``), None if the seeds ran on several machines or their time is unknown.
    """

    kimg: float
    seconds: float | None
    hits: int
    runs: int


class AgainstTrivial(NamedTuple):
    """Whether a row beats the trivial yardstick ``name``.

    ``p`` is the p-value of their difference, adjusted for all ``tests`` of this kind in the table. It is None if the
    row was not tested; medians then decide.
    """

    name: str
    beaten: bool
    p: float | None
    tests: int


@dataclass(frozen=True)
class Row:
    """One entry, custom run, yardstick or set of samples from elsewhere, over its seeds.

    ``records`` are the finished ones, one per seed; ``missing`` are the protocol's seeds without one. ``scores``
    summarises the successful runs. ``costs`` are medians over seeds, without timings if the seeds ran on several
    machines.
    """

    entry: Entry
    records: tuple[Record, ...] = ()
    missing: tuple[int, ...] = ()
    scores: Mapping[str, Summary] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    machines: tuple[str, ...] = ()
    best: BestScore | None = None
    reached: Reached | None = None
    edits: tuple[Edit, ...] = ()
    unscored: tuple[int, ...] = ()
    """The seeds of successful runs that lack the headline score."""
    rank: RankRange | None = None
    trivial: AgainstTrivial | None = None
    """How the row fares against the trivial yardstick; None if the table has none."""
    here: bool = False
    timing: Timing | None = None
    """The row's speed, timed alone; None unless the whole table uses timings."""

    @property
    def kind(self) -> RowKind:
        """An entry, a custom or edited run, a yardstick, or samples from elsewhere; only entries are ranked."""
        if isinstance(self.entry, YardstickEntry):
            return "yardstick"
        if isinstance(self.entry, ExternalEntry):
            return "external"
        return "custom" if self.entry.custom else "edited" if self.edits else "entry"

    @property
    def key(self) -> RowKey:
        """Identifies the row within its table."""
        return RowKey(self.entry, self.here)

    @cached_property
    def well(self) -> tuple[Record, ...]:
        """The successful runs."""
        return tuple(record for record in self.records if record.status == "ok")

    @cached_property
    def failures(self) -> tuple[Record, ...]:
        """Finished runs that did not succeed."""
        return tuple(record for record in self.records if record.status != "ok")

    @cached_property
    def collapses(self) -> Mapping[int, tuple[Collapse, ...]]:
        """Seed -> how the samples of a successful run collapsed."""
        found = {record.seed: collapses_of(record) for record in self.well}
        return {seed: ways for seed, ways in found.items() if ways}

    @cached_property
    def noise(self) -> Mapping[str, float | None]:
        """Score -> standard deviation between evaluations of one run; None if none were repeated."""
        return {
            name: pooled_sd([draw[name] for draw in record.draws if name in draw] for record in self.well)
            for name in self.scores
        }

    @property
    def ok(self) -> int:
        """The number of successful runs."""
        return len(self.well)

    @property
    def seeds(self) -> int:
        """The number of runs that the row should have."""
        return len(self.records) + len(self.missing)

    @property
    def d_norm(self) -> str:
        """The normalisation in D."""
        return ", ".join(sorted({record.d_norm for record in runs_in(self.records)}))

    @property
    def not_beaten(self) -> str:
        """The trivial yardstick, if this row does not beat it."""
        return self.trivial.name if self.trivial and not self.trivial.beaten else ""

    @property
    def doubts(self) -> tuple[str, ...]:
        """What may be wrong with samples from elsewhere."""
        return tuple(
            said for record in self.records if isinstance(record, ExternalRecord) for said in record.external.found
        )

    @property
    def trouble(self) -> int:
        """The number of seeds that failed, collapsed, or lack the headline score."""
        return len({record.seed for record in self.failures} | {*self.collapses, *self.unscored})

    @property
    def part(self) -> Part:
        """The part of the table that the row belongs to."""
        match self.kind:
            case "custom" | "edited" | "external" as apart:
                return apart
        return "incomplete" if self.missing else "unstable" if self.trouble and self.kind == "entry" else "ranked"

    @property
    def verdict(self) -> str:
        """How many seeds succeeded, and what happened to the others: ``5/5``, ``2/5, 1 collapsed, 2 missing``."""
        wrong = Counter(record.status for record in self.failures)
        reasons = [f"{len(self.collapses)} collapsed"] if self.collapses else []
        reasons += [f"{count} {status}" for status, count in sorted(wrong.items())]
        silent = [seed for seed in self.unscored if seed not in self.collapses]
        reasons += [f"{len(silent)} without a headline"] if silent else []
        reasons += [f"{len(self.missing)} missing"] if self.missing else []
        return ", ".join([f"{len(self.records) - self.trouble}/{self.seeds}", *reasons])


def _positive(values: Iterable[float]) -> float | None:
    known = [value for value in values if value > 0]
    return median(known) if known else None


class _Cost(NamedTuple):
    goal: Goal
    of: Callable[[TrainingRecord], float]
    timing: bool = True


def own_speed(record: TrainingRecord) -> float:
    """Real samples shown to D per second of the run's own CPU time.

    On another device than the CPU, per second of wall-clock time, but only if the command ran one run at a time:
    concurrent runs distort wall-clock time. 0 if neither is known.
    """
    elsewhere = not record.speed.train_cpu and record.cost.train_cpu_seconds > 0
    if elsewhere or record.environment.cuda:
        return record.speed.train if record.environment.workers == 1 else 0.0
    return record.speed.train_cpu


COSTS: dict[str, _Cost] = {
    "samples/s": _Cost("max", own_speed),
    "flops": _Cost("min", lambda record: record.speed.d_flops + record.speed.g_flops, timing=False),
    "memory_mb": _Cost("min", lambda record: record.speed.peak_memory_mb, timing=False),
    "params_g": _Cost("min", lambda record: record.parameters.get("G", 0), timing=False),
    "params_d": _Cost("min", lambda record: record.parameters.get("D", 0), timing=False),
    "kimg": _Cost("max", lambda record: record.cost.images / 1000, timing=False),
    "cpu_s": _Cost("min", lambda record: record.cost.train_cpu_seconds),
}
"""The cost columns, as medians over seeds: samples shown to D per second, FLOPs per sample, CPU seconds of training,
and so on."""


class SummaryRules(NamedTuple):
    """What summarising a row takes from the table.

    These are its columns, headline and seeds, the headline's target, and the columns that are averaged on the log
    scale.
    """

    columns: Mapping[str, Column]
    headline: str
    seeds: Sequence[int]
    target: float | None = None
    logs: frozenset[str] = frozenset()


def make_row(key: RowKey, records: Iterable[Record], rules: SummaryRules, edits: Iterable[Edit]) -> Row:
    """Group the records of one entry; ``summarised`` adds its scores, once the scales of the columns are known."""
    finished = tuple(sorted((r for r in records if r.status in FINISHED), key=lambda r: r.seed))
    there = {record.seed for record in finished}
    well = [record for record in finished if record.status == "ok"]
    machines = tuple(sorted({record.environment.machine for record in finished}))
    return Row(
        key.entry,
        finished,
        missing=tuple(seed for seed in rules.seeds if seed not in there) if isinstance(key.entry, RunEntry) else (),
        costs=_costs(runs_in(well or finished), len(machines) == 1),
        machines=machines,
        reached=_reached(finished, rules, len(machines) == 1),
        edits=tuple(edits),
        here=key.here,
        unscored=tuple(record.seed for record in well if rules.headline not in record.scores),
    )


def summarised(row: Row, rules: SummaryRules) -> Row:
    """The row with its scores, each on the scale of its column."""
    return replace(row, scores=_scores(row.well, rules), best=_best(row.well, rules))


def _scores(well: Sequence[Record], rules: SummaryRules) -> dict[str, Summary]:
    scores = {}
    for name, column in rules.columns.items():
        values = [record.scores[name] for record in well if name in record.scores]
        if values:
            scores[name] = summarise(values, column.low, column.high, name in rules.logs)
    return scores


def _costs(records: Sequence[TrainingRecord], one_machine: bool) -> dict[str, float]:
    return {
        name: value
        for name, cost in COSTS.items()
        if (one_machine or not cost.timing) and (value := _positive(cost.of(record) for record in records)) is not None
    }


def _best(well: Iterable[Record], rules: SummaryRules) -> BestScore | None:
    """None if no record has the headline of its best generator."""
    found = [record.best for record in runs_in(well) if record.best and rules.headline in record.best.scores]
    column = rules.columns.get(rules.headline)
    if not found or column is None:
        return None
    values = [best.scores[rules.headline] for best in found]
    score = summarise(values, column.low, column.high, rules.headline in rules.logs)
    return BestScore(score, median(best.kimg for best in found))


def _reached(finished: Sequence[Record], rules: SummaryRules, one_machine: bool) -> Reached | None:
    """When the target was met; never by a failed run. None if a successful run has no curve (an old record)."""
    column = rules.columns.get(rules.headline)
    trained = runs_in(finished)
    if rules.target is None or column is None or column.goal == "info" or not any(r.curve for r in trained):
        return None
    if not all(record.curve for record in trained if record.status == "ok"):
        return None
    sign = 1 if column.goal == "min" else -1
    firsts = [
        (record, next((look for look in record.curve if sign * look.score <= sign * rules.target), None))
        for record in trained
        if record.status == "ok"
    ]
    hits = [(record, look) for record, look in firsts if look]
    never = [math.inf] * (len(trained) - len(hits))
    times = [_own_seconds(record, look) for record, look in hits]
    seconds = median([*times, *never]) if one_machine and all(times) else None
    return Reached(median([*(look.kimg for _, look in hits), *never]), seconds, len(hits), len(trained))


def _own_seconds(record: TrainingRecord, look: Look) -> float:
    """Seconds until a look, by the clock of ``own_speed``; 0 if unknown."""
    if not own_speed(record):
        return 0.0
    return look.cpu_seconds if record.speed.train_cpu else look.seconds
