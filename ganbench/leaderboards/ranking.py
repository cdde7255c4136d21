"""Rank the complete rows of a table, choose the scale, and find the rows that beat the trivial yardstick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ganbench.leaderboards.entries import RunEntry, YardstickEntry
from ganbench.leaderboards.rows import AgainstTrivial, Row, RowKey
from ganbench.leaderboards.statistics import ALPHA, Ranking, Summary, holm, on_log_scale, rank, smallest_step, welch
from ganbench.records.record import Column

TRIVIAL = ("gaussian fit", "low-rank gaussian fit")
"""The yardstick that every row should beat: it matches the first two moments of the pixels, and nothing else."""


class Standing(NamedTuple):
    """The complete entries of a table, and their ranking by one column."""

    rows: tuple[Row, ...]
    ranking: Ranking


def sign_of(column: Column) -> int:
    """-1 if higher is better, else 1; the smaller product of sign and score is the better one."""
    return -1 if column.goal == "max" else 1


def centre_of(row: Row, summary: Summary) -> float:
    """The score of a row as a whole: the mean on the scale of the test, or the median if a seed failed or collapsed."""
    return summary.median if row.trouble else summary.centre


def log_columns(rows: Iterable[Row], columns: Mapping[str, Column]) -> frozenset[str]:
    """The columns to compare and average on the log scale: every score of every complete entry must be positive."""
    complete = [row for row in rows if row.kind == "entry" and row.part == "ranked"]
    return frozenset(
        name
        for name, column in columns.items()
        if on_log_scale(([r.scores[name] for r in row.well if name in r.scores] for row in complete), column.log)
    )


def standing_of(rows: Iterable[Row], column: str, about: Column | None, seeds: Sequence[int]) -> Standing | None:
    """Rank the complete entries that have a score in the column for every seed.

    None if there are no such entries, the column has no direction, or the protocol has a single seed.
    """
    rivals = tuple(
        row
        for row in rows
        if row.kind == "entry" and row.part == "ranked" and column in row.scores and row.scores[column].n == row.seeds
    )
    if about is None or about.goal == "info" or not rivals or len(seeds) < 2:
        return None
    groups = [row.scores[column].values for row in rivals]
    log = on_log_scale(groups, about.log)
    least = [step_of(row, column, about, log=log) for row in rivals]
    return Standing(rivals, rank(groups, about.goal, log, least))


def step_of(row: Row, column: str, about: Column, *, log: bool) -> float:
    """A lower bound on the standard deviation of a row in a column: one step of the score."""
    checks = [record.self_checks.fake for record in row.well if record.self_checks]
    draws = max(1, min((len(record.draws) for record in row.well), default=1))
    values = row.scores[column].values
    return smallest_step(values, low=about.low, counted=about.log, draws=draws, samples=min(checks, default=1), log=log)


def judged(rows: Sequence[Row], headline: str, column: Column | None, seeds: Sequence[int]) -> list[Row]:
    """Give complete entries their ranks, and mark the rows that do not beat the trivial yardstick."""
    ranges = {}
    if standing := standing_of(rows, headline, column, seeds):
        ranges = {row.key: given for row, given in zip(standing.rows, standing.ranking.ranges, strict=True)}
    rows = [replace(row, rank=ranges.get(row.key)) for row in rows]
    bars = [YardstickEntry(name) for name in TRIVIAL]
    trivial = next((row for bar in bars for row in rows if row.entry == bar and headline in row.scores), None)
    if trivial is None or column is None or column.goal == "info":
        return rows
    against = _against(trivial, rows, headline, column)
    return [replace(row, trivial=against[row.key]) if isinstance(row.entry, RunEntry) else row for row in rows]


def _against(trivial: Row, rows: Sequence[Row], headline: str, column: Column) -> dict[RowKey, AgainstTrivial]:
    """Whether each row beats a yardstick: significantly where it can be tested, else by the median."""
    name, bar, sign = trivial.entry.name, trivial.scores[headline], sign_of(column)
    trained = [row for row in rows if isinstance(row.entry, RunEntry)]
    tested = [r for r in trained if not r.trouble and headline in r.scores and min(r.scores[headline].n, bar.n) > 1]
    p = holm([_p(row, trivial, headline, column) for row in tested])
    adjusted = {row.key: float(value) for row, value in zip(tested, p, strict=True)}
    found = {}
    for row in trained:
        score, sure = row.scores.get(headline), adjusted.get(row.key)
        ahead = score is not None and sign * centre_of(row, score) < sign * centre_of(trivial, bar)
        found[row.key] = AgainstTrivial(name, ahead and (sure is None or sure <= ALPHA), sure, len(tested))
    return found


def _p(row: Row, trivial: Row, headline: str, column: Column) -> float:
    values = row.scores[headline].values, trivial.scores[headline].values
    log = on_log_scale(values, column.log)
    one, other = (step_of(side, headline, column, log=log) for side in (row, trivial))
    return welch(*values, log, (one, other))
