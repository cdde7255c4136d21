"""Whether a repetition's scores differ from the record's by more than the noise between seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import stdev

from ganbench.leaderboards.statistics import ALPHA, holm, on_log_scale, pooled_sd, smallest_step
from ganbench.records.record import Record
from ganbench.runs.siblings import ENOUGH


@dataclass(frozen=True)
class Judged:
    """One score, then and now.

    Args:
        column: its name.
        then, now: its values.
        seeds: the number of other seeds whose noise it is judged by.
        p: the chance of a difference at least this large under that noise alone.
        adjusted: ``p`` after Holm's correction over all columns compared.
    """

    column: str
    then: float
    now: float
    seeds: int
    p: float
    adjusted: float

    @property
    def beyond_noise(self) -> bool:
        """Whether the difference is significant at 5 % over all columns."""
        return self.adjusted <= ALPHA


def judge_scores(then: Record, now: Record, others: Sequence[Record]) -> list[Judged]:
    """Compare the scores of a repetition with those of its record by the noise between other seeds.

    On another device or another torch, rounding differs from the first step on, and training amplifies it until the
    repetition is one more draw from the distribution that seeds come from. If σ is the standard deviation between
    seeds, the difference d of two independent draws has standard deviation √2 σ. If s is the standard deviation of n
    *other* seeds, ``d / (√2 s)`` has Student's t distribution with n - 1 degrees of freedom. The record itself must not
    be among the n seeds: s would grow with the record's own error, ``d / (√2 s)`` could never exceed √(n / 2), and
    no record would ever be found wrong. As the repetition shares initial weights and the order of data with the record,
    σ is too large if anything, so the test errs on the side of noise.

    s is at least the noise of evaluating one run (standard deviation between draws of the other seeds, pooled, over the
    root of the number of draws) and at least one step of the score (``smallest_step``). It is on the log scale for
    columns that tables compare there, if all their values are positive. Holm's correction covers all columns compared:
    those with a direction that the record, its repetition and at least two other seeds have.

    Args:
        then: the record, of a successful run.
        now: its repetition, also successful.
        others: successful records of the same row with other seeds.

    Returns:
        The columns compared, the smallest ``p`` first; none if no column has two other seeds.
    """
    having = {
        name: [other for other in others if name in other.scores]
        for name, column in now.columns.items()
        if column.goal != "info" and name in then.scores
    }
    having = {name: those for name, those in having.items() if len(those) >= ENOUGH}
    p = [_p(name, then, now, those) for name, those in having.items()]
    judged = [
        Judged(name, then.scores[name], now.scores[name], len(those), chance, adjusted)
        for (name, those), chance, adjusted in zip(having.items(), p, holm(p).tolist(), strict=True)
    ]
    return sorted(judged, key=lambda one: one.p)


def _p(name: str, then: Record, now: Record, others: Sequence[Record]) -> float:
    """Two-sided p of the difference between ``then`` and ``now`` in one column."""
    from scipy.special import stdtr  # scipy.stats takes much longer to import

    column = now.columns[name]
    means = [record.scores[name] for record in (then, now, *others)]
    draws = [[draw[name] for draw in other.draws if name in draw] for other in others]
    log = on_log_scale([means, *draws], column.log)
    before, after, *seeds = _scaled(means, log)
    if before == after:
        return 1.0
    evaluation = pooled_sd(_scaled(values, log) for values in draws) or 0.0
    step = smallest_step(
        [*means, *(value for values in draws for value in values)],
        low=column.low,
        counted=column.log,
        draws=len(now.draws),
        samples=now.self_checks.fake if now.self_checks else 1,
        log=log,
    )
    s = max(stdev(seeds), evaluation / math.sqrt(len(now.draws)), step)
    return float(2 * stdtr(len(seeds) - 1, -abs(after - before) / (math.sqrt(2) * s)))


def _scaled(values: Iterable[float], log: bool) -> list[float]:
    return [math.log(value) if log else value for value in values]
