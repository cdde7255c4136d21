"""Which rows of a table are ranked, on which scale, and which of them beat the trivial yardstick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ganbench.leaderboards.rows import Entry, Row
from ganbench.leaderboards.statistics import ALPHA, Ranking, Summary, holm, on_log_scale, rank, welch
from ganbench.records.record import Column

TRIVIAL = ("gaussian fit", "low-rank gaussian fit")
"""The yardstick that every row should beat: right in two moments of the pixels, and nothing else."""


class Standing(NamedTuple):
    """The complete entries of a table, and their ranking by one column."""

    rows: tuple[Row, ...]
    ranking: Ranking


def sign_of(column: Column) -> int:
    """-1 where more is better, so that a smaller product is the better one."""
    return -1 if column.goal == "max" else 1


def centre_of(row: Row, summary: Summary) -> float:
    """What stands for a row: the mean on the scale of the test, or the median if a seed failed or collapsed."""
    return summary.median if row.trouble else summary.centre


def log_columns(rows: Iterable[Row], columns: Mapping[str, Column]) -> frozenset[str]:
    """The columns to be compared and averaged on the log scale: every score of every complete entry has a logarithm."""
    complete = [row for row in rows if row.kind == "entry" and row.part == "ranked"]
    return frozenset(
        name
        for name, column in columns.items()
        if on_log_scale(([r.scores[name] for r in row.well if name in r.scores] for row in complete), column.log)
    )


def standing_of(rows: Iterable[Row], column: str, about: Column | None, seeds: Sequence[int]) -> Standing | None:
    """Ranks for the complete entries of which every seed has a score in the column; None if there are none, the column
    has no direction, or the protocol has a single seed."""
    rivals = tuple(
        row
        for row in rows
        if row.kind == "entry" and row.part == "ranked" and column in row.scores and row.scores[column].n == row.seeds
    )
    if about is None or about.goal == "info" or not rivals or len(seeds) < 2:
        return None
    return Standing(rivals, rank([row.scores[column].values for row in rivals], about.goal, about.log))


def judged(rows: Sequence[Row], headline: str, column: Column | None, seeds: Sequence[int]) -> list[Row]:
    """Give complete entries their ranks, and mark the rows that do not beat the trivial yardstick."""
    ranges = {}
    if standing := standing_of(rows, headline, column, seeds):
        ranges = {row.key: given for row, given in zip(standing.rows, standing.ranking.ranges, strict=True)}
    rows = [replace(row, rank=ranges.get(row.key)) for row in rows]
    trivial = next((r for name in TRIVIAL for r in rows if r.entry.yardstick == name and headline in r.scores), None)
    if trivial is None or column is None or column.goal == "info":
        return rows
    better, name = _better_than(trivial, rows, headline, column), trivial.entry.yardstick
    return [replace(row, not_beaten="" if row.key in better or row.kind == "yardstick" else name) for row in rows]


def _better_than(trivial: Row, rows: Sequence[Row], headline: str, column: Column) -> set[tuple[Entry, bool]]:
    """The rows that beat a yardstick: significantly, where a row can be tested, else by the median."""
    bar, sign = trivial.scores[headline], sign_of(column)
    scored = [row for row in rows if headline in row.scores and row.kind != "yardstick"]
    ahead = [r for r in scored if sign * centre_of(r, r.scores[headline]) < sign * centre_of(trivial, bar)]
    tested = [row for row in scored if not row.trouble and row.scores[headline].n > 1 and bar.n > 1]
    p = holm([welch(row.scores[headline].values, bar.values, column.log) for row in tested])
    unsure = {row.key for row, adjusted in zip(tested, p, strict=True) if adjusted > ALPHA}
    return {row.key for row in ahead if row.key not in unsure}
