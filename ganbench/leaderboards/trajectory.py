"""How a row's headline developed during training: its mean over seeds at each look, and the range of the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, geometric_mean
from typing import NamedTuple

from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.table import Table
from ganbench.records.record import runs_in


class Mark(NamedTuple):
    """One look at all seeds of a row, on the selection split.

    Args:
        kimg: thousand real samples shown to D so far.
        centre: the mean over seeds, geometric where the table's is.
        low, high: the lowest and the highest score of a seed.
    """

    kimg: float
    centre: float
    low: float
    high: float


def trajectory_of(table: Table, row: Row) -> tuple[Mark, ...]:
    """The looks that all successful seeds of a row share; empty if there are none."""
    looks = [{look.kimg: look.score for look in record.curve} for record in runs_in(row.well)]
    if not looks:
        return ()
    common = sorted(set.intersection(*(set(one) for one in looks)))
    return tuple(_mark(kimg, [one[kimg] for one in looks], log=table.log) for kimg in common)


def _mark(kimg: float, scores: Sequence[float], *, log: bool) -> Mark:
    mean = geometric_mean if log and min(scores) > 0 else fmean
    return Mark(kimg, mean(scores), min(scores), max(scores))
