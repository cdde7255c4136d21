"""Compare two rows of a leaderboard: their difference, its significance, and the seeds needed to settle it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct, structs

from ganbench.contracts.metric import Goal
from ganbench.contracts.score_name import is_called
from ganbench.errors import GanbenchError, plural
from ganbench.leaderboards.admission import Unfit, fitted_to, judged_by
from ganbench.leaderboards.cells import interval, number
from ganbench.leaderboards.differences import (
    MOST_SEEDS,
    Chance,
    Difference,
    Pairing,
    difference,
    improvement,
    pairing,
    seeds_needed,
)
from ganbench.leaderboards.entries import YardstickEntry
from ganbench.leaderboards.ranking import Standing, step_of
from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.statistics import ALPHA, LOW_N, NOTHING, Summary, on_log_scale
from ganbench.records.record import Column, Environment

UNTESTED = "none: a seed failed or collapsed"
PAIR_CONDITIONS: Mapping[str, Callable[[Environment], str]] = {
    "torch": lambda environment: environment.torch,
    "the machine": lambda environment: environment.machine,
}
"""What two compared methods should have in common besides the rules."""


class Contender(NamedTuple):
    """A row to compare, and what the user calls it."""

    row: Row
    name: str


class Side(Struct, frozen=True):
    """One method: its score over seeds, and how many runs succeeded.

    ``values`` maps seeds to scores. A run has ``draws`` evaluations; ``noise`` is the standard deviation of one.
    """

    name: str
    summary: Summary
    values: dict[int, float]
    noise: float | None
    draws: int
    runs: str
    trouble: int
    """How many of its runs failed, collapsed, or have no score in the headline."""

    @property
    def noise_share(self) -> float | None:
        """The share of the variance between seeds that is evaluation noise; None if unknown."""
        if self.noise is None or not self.summary.sd:
            return None
        return self.noise**2 / self.draws / self.summary.sd**2


class Ranks(NamedTuple):
    """The ranges of the ranks of A and B, as text."""

    a: str
    b: str


class InTable(Struct, frozen=True):
    """What the table says about two of its rows.

    ``adjusted`` is the p-value of their difference, corrected for all ``tests`` of ``family``; ``ranks`` are the ranges
    of two complete entries among all ``entries``.
    """

    adjusted: float
    tests: int
    family: str
    ranks: Ranks | None = None
    entries: int = 0


class Comparison(Struct, frozen=True):
    """A against B in one column.

    ``settled`` says whether the difference is significant: by the table's test if it has one (``in_table``), else by a
    test of these two rows alone. A row with a failed or collapsed seed is not tested, and ``difference`` is None.

    ``more_seeds`` is how many more seeds each row needs to settle it with a probability of 80 %. It is 0 if it is
    settled, and None if a row would need more than ``MOST_SEEDS`` in total or if there is no test.
    """

    protocol: str
    digest: str
    column: str
    label: str
    goal: Goal
    a: Side
    b: Side
    difference: Difference | None
    pairing: Pairing
    chance: Chance
    in_table: InTable | None
    settled: bool
    more_seeds: int | None
    test: str
    verdict: str
    notes: tuple[str, ...]


def compare(
    one: Contender,
    other: Contender,
    column: str,
    about: Column,
    label: str,
    standing: Standing | None = None,
) -> Comparison:
    """Compare two rows by a column; ``label`` is its short name, ``standing`` the table's ranking by it.

    Raises:
        GanbenchError: the rows were run or judged under different rules, the column has no direction, or a row has
            fewer than two runs with a score in it.
    """
    if about.goal == "info":
        raise GanbenchError(
            f"'{label}' has no direction: neither higher nor lower is better", "choose another column with --metric"
        )
    _check_rules(one, other)
    rows = one.row, other.row
    a, b = (_side(contender, column, label) for contender in (one, other))
    tested = not any(row.trouble for row in rows)
    in_table = (_in_table(rows, standing) or _against_trivial(rows, column)) if tested else None
    log = standing.ranking.log if in_table and in_table.ranks and standing else about.log
    log = on_log_scale([tuple(a.values.values()), tuple(b.values.values())], log)
    pairs = pairing(a.values, b.values, log)
    paired = pairs.worth and in_table is None  # the table does not pair, and must not be contradicted
    seeds = [sorted(a.values.keys() & b.values.keys())] * 2 if paired else [sorted(a.values), sorted(b.values)]
    ours, theirs = ([side.values[seed] for seed in those] for side, those in zip((a, b), seeds, strict=True))
    least = step_of(one.row, column, about, log=log), step_of(other.row, column, about, log=log)
    apart = difference(ours, theirs, log, paired, least) if tested else None
    settled = apart is not None and (in_table.adjusted if in_table else apart.p) <= ALPHA
    level = ALPHA / in_table.tests if in_table else ALPHA
    more = 0 if settled else _more_seeds(apart, min(len(ours), len(theirs)), level) if apart else None
    found = Comparison(
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
        in_table=in_table,
        settled=settled,
        more_seeds=more,
        test=_test(apart, pairs, about, in_table) if apart else UNTESTED,
        verdict="",
        notes=(*_unlike(one, other), *_doubts((a, b), apart)),
    )
    return structs.replace(found, verdict=_verdict(found, apart) if apart else _untested(found, rows))


def _in_table(rows: tuple[Row, Row], standing: Standing | None) -> InTable | None:
    """None unless both rows are ranked in the table."""
    if standing is None:
        return None
    places = [i for row in rows for i, ranked in enumerate(standing.rows) if ranked.records == row.records]
    if len(places) != 2:
        return None
    one, other = places
    ranges, adjusted = standing.ranking.ranges, float(standing.ranking.adjusted[one, other])
    n = len(standing.rows)
    tests = n * (n - 1) // 2
    return InTable(
        adjusted,
        tests,
        f"the {tests} pairs of the table" if tests > 1 else "the only pair of the table",
        Ranks(str(ranges[one]), str(ranges[other])),
        n,
    )


def _against_trivial(rows: tuple[Row, Row], column: str) -> InTable | None:
    """The table's test of a row against the trivial yardstick, by the headline."""
    for row, other in (rows, rows[::-1]):
        against = row.trivial
        by_headline = is_called(column, row.records[0].headline)
        if against and against.p is not None and other.entry == YardstickEntry(against.name) and by_headline:
            return InTable(
                against.p, against.tests, f"the {plural(against.tests, 'row')} tested against {against.name}"
            )
    return None


def _check_rules(a: Contender, b: Contender) -> None:
    """Refuse to compare rows that were run or judged under different rules."""
    for contender in (a, b):
        if not contender.row.records:
            raise GanbenchError(
                f"{contender.name} has no finished run", "repeat the same `ganbench run` command to resume it"
            )
    one, other = a.row.records[0], b.row.records[0]
    hint = "compare runs of one protocol and one dataset, judged by one extractor"
    if one.digest != other.digest:
        rules = f"{one.protocol} {one.digest}, {other.protocol} {other.digest}"
        raise GanbenchError(f"{a.name} and {b.name} were run under different rules ({rules})", hint)
    # as in a table: columns from another revision of a metric are dropped, and the rest is compared
    first, second = fitted_to(judged_by(one), other), fitted_to(judged_by(other), one)
    if isinstance(first, Unfit) and isinstance(second, Unfit):
        raise GanbenchError(f"{a.name} and {b.name} cannot be compared: one was {first.why}", hint)


def _side(contender: Contender, column: str, label: str) -> Side:
    row, name = contender
    values = {record.seed: record.scores[column] for record in row.well if column in record.scores}
    if len(values) < 2:
        n = plural(len(values), "run")
        raise GanbenchError(f"{name} has {n} with a score for {label}, but a comparison needs two", "run more seeds")
    draws = min(len(record.draws) for record in row.well)
    return Side(name, row.scores[column], values, row.noise.get(column), max(1, draws), row.verdict, row.trouble)


def _more_seeds(apart: Difference, have: int, level: float) -> int | None:
    needed = seeds_needed(apart.shift, apart.freedom, alpha=level)
    return None if needed is None else max(1, needed - have)


# -- sentences -----------------------------------------------------------------------------------------------


def _test(apart: Difference, pairs: Pairing, about: Column, in_table: InTable | None) -> str:
    """Which test was used, and why."""
    scale = " of the logarithms" if apart.log else ""
    if about.log and not apart.log:
        scale = " (not of the logarithms, because a value is not positive)"
    if in_table:
        return f"Welch's t-test{scale}, as in the table"
    common = f"over {pairs.n} common seeds the scores correlate with r = {pairs.correlation or 0:.2f}"
    if apart.paired:
        return f"paired t-test{scale}: {common}"
    if pairs.correlation is None:
        return f"Welch's t-test{scale}; not paired: too few common seeds, or scores without spread"
    return f"Welch's t-test{scale}; not paired: {common}, too weakly for a paired test"


def p_value(p: float) -> str:
    """``p = 0.034``, ``p < 0.0001``; with a fourth digit where three would hide which side of 5 % it is on."""
    digits = 4 if f"{p:.3f}" == f"{ALPHA:.3f}" else 3
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.1g}" if p < 0.001 else f"p = {p:.{digits}f}"


def precise(value: float) -> str:
    """Three significant digits, even of small numbers: ``0.00104``, ``9.60``, ``1043``."""
    return number(value) if abs(value) >= 0.1 or abs(value) < NOTHING else f"{value:.3g}"


def apart_text(apart: Difference) -> str:
    """In words: ``ratio 0.513 [0.432, 0.608]`` or ``difference 0.23 [0.20, 0.26]``."""
    if apart.log:
        return f"ratio {precise(apart.estimate)} [{precise(apart.low)}, {precise(apart.high)}]"
    return f"difference {interval(Summary(apart.estimate, None, 0, apart.low, apart.high, ()))}"


def _turned(apart: Difference) -> Difference:
    """The same difference with A and B swapped."""

    def turn(value: float) -> float:
        return 1 / value if apart.log else -value

    return structs.replace(apart, estimate=turn(apart.estimate), low=turn(apart.high), high=turn(apart.low))


def _how_sure(found: Comparison, apart: Difference) -> str:
    """In words: ``p = 0.034``, or in the table ``p = 0.034 adjusted for the 496 pairs of the table``."""
    table = found.in_table
    return f"{p_value(table.adjusted)} adjusted for {table.family}" if table else p_value(apart.p)


def _verdict(found: Comparison, apart: Difference) -> str:
    """A sentence on two rows that were tested."""
    a, b, label, sure = found.a, found.b, found.label, _how_sure(found, apart)
    if found.settled:
        a_is_lower = apart.estimate < (1 if apart.log else 0)
        if a_is_lower != (found.goal == "min"):
            a, b, apart = b, a, _turned(apart)
        means = f"{precise(a.summary.centre)} against {precise(b.summary.centre)}"
        better = "lower" if found.goal == "min" else "higher"
        return f"{a.name} has the {better} {label}: {means} ({apart_text(apart)}), {sure}"
    alike = f"these seeds cannot tell {a.name} and {b.name} apart by {label} ({sure})"
    if found.more_seeds is None:
        return f"{alike}; even {MOST_SEEDS} seeds each would probably not be enough: call it a tie"
    seeds = f"about {plural(found.more_seeds, 'more seed')} each"
    return f"{alike}; {seeds} would, with a probability of 80 %, if the difference is as large as it looks"


def _untested(found: Comparison, rows: tuple[Row, Row]) -> str:
    """A sentence on two rows, at least one of which has a failed or collapsed seed."""
    sides = [(row, side) for row, side in zip(rows, (found.a, found.b), strict=True) if row.trouble]
    told = " and ".join(f"{row.trouble} of {row.seeds} seeds of {side.name}" for row, side in sides)
    medians = f"median {found.label} {precise(found.a.summary.median)} against {precise(found.b.summary.median)}"
    where = ""
    if len(sides) == 1 and all(row.kind == "entry" for row in rows):
        where = f"; by rule, the table lists {sides[0][1].name} below all complete rows"
    return f"not tested, because {told} failed or collapsed: {medians}{where}"


def _unlike(one: Contender, other: Contender) -> list[str]:
    """Sentences on how the two rows differ beyond their names, and what they lack."""
    notes = []
    for row, name in (one, other):
        if row.failures:
            notes.append(f"{name}: {row.verdict}; the comparison covers only the runs with a score")
        if row.missing:
            notes.append(f"{name}: seeds {', '.join(map(str, row.missing))} of the protocol are missing")
        if row.collapses:
            ways = sorted({collapse.way for found in row.collapses.values() for collapse in found})
            notes.append(f"{name}: {len(row.collapses)}/{row.seeds} collapsed: {'; '.join(ways)}")
        if row.not_beaten:
            notes.append(f"{name} is not significantly better than {row.not_beaten}")
        if row.kind == "custom":
            notes.append(f"{name} is custom: it ran with changed settings, or with code that no package provides")
        notes += [
            f"{name} is edited: the source hash of its {edit.kind} is {edit.source}, while that of {edit.whose} is "
            f"{edit.expected}"
            for edit in row.edits
        ]
    for what, of in PAIR_CONDITIONS.items():
        ours, theirs = (sorted({of(record.environment) for record in side.row.records}) for side in (one, other))
        if ours != theirs:
            notes.append(f"the two rows differ in {what}: {', '.join(ours)} and {', '.join(theirs)}")
    return notes


def _doubts(sides: Sequence[Side], apart: Difference | None) -> list[str]:
    """Reasons to treat the numbers with caution."""
    notes = []
    for side in sides:
        share = side.noise_share
        if share is not None and share >= 0.5 and side.noise is not None:
            notes.append(
                f"{side.name}: most of the spread between seeds is evaluation noise (sd {precise(side.noise)} per "
                f"evaluation, {side.draws} per run); more samples or draws would help more than more seeds"
            )
    if min(side.summary.n for side in sides) < LOW_N:
        notes.append(f"fewer than {LOW_N} runs: intervals are wide, and only large differences can be detected")
    if (
        apart
        and apart.paired
        and len({*sides[0].values, *sides[1].values}) > len(sides[0].values.keys() & sides[1].values.keys())
    ):
        notes.append("the paired test uses only the seeds that both rows have")
    return notes
