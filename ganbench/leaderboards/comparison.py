"""Two rows of a leaderboard against each other: how far apart, how sure, and how many seeds would settle it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, structs

from ganbench.contracts.metric import Goal
from ganbench.errors import GanbenchError
from ganbench.leaderboards.cells import interval, number
from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.selection import judgement
from ganbench.leaderboards.statistics import (
    ALPHA,
    LOW_N,
    MANY,
    Chance,
    Difference,
    Pairing,
    Summary,
    difference,
    improvement,
    pairing,
    seeds_needed,
)
from ganbench.records.record import Column


class Side(Struct, frozen=True):
    """One method: its score over seeds (``values``: seed -> score), the sd of one of a run's ``draws`` evaluations, and
    how many runs succeeded."""

    name: str
    summary: Summary
    values: dict[int, float]
    noise: float | None
    draws: int
    runs: str

    @property
    def noise_share(self) -> float | None:
        """The share of the variance between seeds that comes from judging; None if unknown."""
        if self.noise is None or not self.summary.sd:
            return None
        return self.noise**2 / self.draws / self.summary.sd**2


class Comparison(Struct, frozen=True):
    """A against B by one column. ``more_seeds`` more of each would settle it with a chance of 80 %: 0 if it is settled,
    None if it would take more than ``MANY`` each in all."""

    protocol: str
    digest: str
    column: str
    label: str
    goal: Goal
    a: Side
    b: Side
    difference: Difference
    pairing: Pairing
    chance: Chance
    more_seeds: int | None
    test: str
    verdict: str
    notes: tuple[str, ...]


def compare(rows: tuple[Row, Row], names: tuple[str, str], column: str, about: Column, label: str) -> Comparison:
    """Compare two rows by a column; ``label`` is its short name.

    Raises:
        GanbenchError: the rows were run or judged under different rules, the column has no direction, or a row has
            fewer than two runs with a score in it.
    """
    if about.goal == "info":
        raise GanbenchError(
            f"'{label}' has no direction: neither more nor less is better", "choose another column with --metric"
        )
    _check_rules(rows, names)
    a, b = (_side(row, name, column, label) for row, name in zip(rows, names, strict=True))
    pairs = pairing(a.values, b.values, about.log)
    seeds = [sorted(a.values.keys() & b.values.keys())] * 2 if pairs.worth else [sorted(a.values), sorted(b.values)]
    ours, theirs = ([side.values[seed] for seed in those] for side, those in zip((a, b), seeds, strict=True))
    apart = difference(ours, theirs, about.log, pairs.worth)
    more = _more_seeds(apart, min(len(ours), len(theirs)))
    return Comparison(
        protocol=rows[0].records[0].protocol,
        digest=rows[0].records[0].digest,
        column=column,
        label=label,
        goal=about.goal,
        a=a,
        b=b,
        difference=apart,
        pairing=pairs,
        chance=improvement(a.summary.values, b.summary.values, about.goal),
        more_seeds=more,
        test=_test(apart, pairs, about),
        verdict=_verdict(a, b, apart, about.goal, label, more),
        notes=(*_unlike(rows, names), *_doubts((a, b), apart, label)),
    )


def _check_rules(rows: tuple[Row, Row], names: tuple[str, str]) -> None:
    """Unequal protocols are never compared."""
    for row, name in zip(rows, names, strict=True):
        if not row.records:
            raise GanbenchError(f"no run of {name} is finished", "the same `ganbench run` resumes it")
    (a, b), (one, other) = names, (row.records[0] for row in rows)
    hint = "compare runs of one protocol and one dataset, judged by one extractor"
    if one.digest != other.digest:
        rules = f"{one.protocol} {one.digest}, {other.protocol} {other.digest}"
        raise GanbenchError(f"{a} and {b} were run under different rules ({rules})", hint)
    if judgement(one) != judgement(other):
        raise GanbenchError(f"{a} and {b} were judged on different data or by different extractors", hint)


def _side(row: Row, name: str, column: str, label: str) -> Side:
    values = {record.seed: record.scores[column] for record in row.well if column in record.scores}
    if len(values) < 2:
        n = f"{len(values)} run{'s' * (len(values) != 1)}"
        raise GanbenchError(f"{name} has {n} with a score for {label}: a comparison needs two", "run more seeds")
    draws = min(len(record.draws) for record in row.well)
    return Side(name, row.scores[column], values, row.noise.get(column), max(1, draws), row.verdict)


def _more_seeds(apart: Difference, have: int) -> int | None:
    if apart.p <= ALPHA:
        return 0
    needed = seeds_needed(apart.shift, apart.freedom)
    return None if needed is None else max(1, needed - have)


# -- sentences -----------------------------------------------------------------------------------------------


def _test(apart: Difference, pairs: Pairing, about: Column) -> str:
    """Which test was used, and why."""
    scale = " of the logarithms" if apart.log else ""
    if about.log and not apart.log:
        scale = " (not of the logarithms: a value is not positive)"
    common = f"over {pairs.n} common seeds the scores correlate with r = {pairs.correlation or 0:.2f}"
    if apart.paired:
        return f"paired t-test{scale}: {common}"
    if pairs.correlation is None:
        return f"Welch's t-test{scale}; not paired: too few common seeds, or scores without spread"
    return f"Welch's t-test{scale}; not paired: {common}, too little to pair"


def p_value(p: float) -> str:
    """``p = 0.034``, ``p < 0.0001``"""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.1g}" if p < 0.001 else f"p = {p:.3f}"


def precise(value: float) -> str:
    """Three significant digits, of small numbers too: ``0.00104``, ``9.60``, ``1043``."""
    return number(value) if abs(value) >= 1 or not value else f"{value:.3g}"


def apart_text(apart: Difference) -> str:
    """``ratio 0.513 [0.432, 0.608]`` or ``difference 0.23 [0.20, 0.26]``"""
    if apart.log:
        return f"ratio {precise(apart.estimate)} [{precise(apart.low)}, {precise(apart.high)}]"
    return f"difference {interval(Summary(apart.estimate, None, 0, apart.low, apart.high, ()))}"


def _turned(apart: Difference) -> Difference:
    """The same difference, of B from A."""
    turn = (lambda value: 1 / value) if apart.log else (lambda value: -value)
    return structs.replace(apart, estimate=turn(apart.estimate), low=turn(apart.high), high=turn(apart.low))


def _verdict(a: Side, b: Side, apart: Difference, goal: Goal, label: str, more: int | None) -> str:
    """One sentence."""
    if apart.p <= ALPHA:
        a_is_lower = apart.estimate < (1 if apart.log else 0)
        if a_is_lower != (goal == "min"):
            a, b, apart = b, a, _turned(apart)
        means = f"{precise(a.summary.mean)} against {precise(b.summary.mean)}"
        better = "lower" if goal == "min" else "higher"
        return f"{a.name} has the {better} {label}: {means} ({apart_text(apart)}), {p_value(apart.p)}"
    alike = f"these seeds cannot tell {a.name} and {b.name} apart by {label} ({p_value(apart.p)})"
    if more is None:
        return f"{alike}; even {MANY} seeds each would hardly do: call it a tie"
    seeds = f"about {more} more seed{'s' * (more != 1)} each"
    return f"{alike}; {seeds} would, with a chance of 80 %, if the difference is as large as it looks"


def _unlike(rows: tuple[Row, Row], names: tuple[str, str]) -> list[str]:
    """How the two rows differ beyond their names, and what they lack."""
    notes = []
    for row, name in zip(rows, names, strict=True):
        if row.failures:
            notes.append(
                f"{name}: {row.verdict}; only the successful runs are compared here, but the leaderboard ranks an "
                "entry with failures below all complete ones"
            )
        if row.missing:
            notes.append(f"{name}: seeds {', '.join(map(str, row.missing))} of the protocol are missing")
        if row.collapsed:
            notes.append(f"{name}: {len(row.collapsed)}/{row.seeds} collapsed: {row.collapsed[0].collapse}")
        if row.entry.custom:
            notes.append(f"{name} is custom: made with changed settings, or with code that is in no package")
        notes += [
            f"{name} is edited: the source of its {edit.kind} is {edit.source} ({edit.whose}: {edit.expected})"
            for edit in row.edits
        ]
    for what, of in (
        ("torch", lambda record: record.environment.torch),
        ("the machine", lambda r: r.environment.machine),
    ):
        one, other = (sorted({of(record) for record in row.records}) for row in rows)
        if one != other:
            notes.append(f"they differ in {what}: {', '.join(one)} and {', '.join(other)}")
    return notes


def _doubts(sides: Sequence[Side], apart: Difference, label: str) -> list[str]:
    """Reasons not to trust the numbers too much."""
    notes = []
    for side in sides:
        share = side.noise_share
        if share is not None and share >= 0.5 and side.noise is not None:
            notes.append(
                f"{side.name}: most of the spread between seeds is noise of the evaluation ({precise(side.noise)} "
                f"each, {side.draws} per run); more samples or draws would tell more than more seeds"
            )
    if 0.001 < apart.p <= ALPHA:
        notes.append(
            "p is for this comparison alone; ranks correct for all those of a table, so the two may still share a rank"
        )
    if min(side.summary.n for side in sides) < LOW_N:
        notes.append(f"fewer than {LOW_N} runs: intervals are wide, and only large differences can be found")
    a, b = (side.summary for side in sides)
    if apart.log and (a.mean - b.mean) * (apart.estimate - 1) < 0:
        notes.append(
            f"the mean {label} contradicts the ratio: outlying seeds pull a mean more than they pull the logarithms"
        )
    if apart.paired and len({*sides[0].values, *sides[1].values}) > len(
        sides[0].values.keys() & sides[1].values.keys()
    ):
        notes.append("the paired test leaves out the seeds that only one of them has")
    return notes
