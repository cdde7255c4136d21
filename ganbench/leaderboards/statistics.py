"""Statistics of a few seeds: Student-t intervals, Welch's test, Holm's correction, and ranges of ranks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from statistics import median
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from ganbench.contracts.metric import Goal

ALPHA = 0.05
LOW_N = 5
"""Fewer seeds than this are flagged: intervals are wide, and hardly any difference is significant."""

NOTHING = 1e-12
"""Anything smaller is rounding error, such as the distance of a set from itself."""

Array = NDArray[np.float64]


class Summary(Struct, frozen=True):
    """A score over seeds.

    ``centre`` is the mean, or the geometric mean on the log scale; ``low`` and ``high`` bound its 95 % interval (None
    for a single value). ``sd`` is the sample standard deviation (n - 1) of the untransformed values.
    """

    centre: float
    sd: float | None
    n: int
    low: float | None
    high: float | None
    values: tuple[float, ...]
    log: bool = False

    @property
    def median(self) -> float:
        """The median of the values."""
        return median(self.values)


def summarise(
    values: Sequence[float], low: float | None = None, high: float | None = None, log: bool = False
) -> Summary:
    """Mean, sd and Student-t 95 % interval, clipped to the range ``low`` .. ``high`` that the score can take.

    With ``log``, if all values are positive, mean and interval are computed from the logarithms and transformed back. A
    percentile bootstrap, the usual alternative, covers 75 % instead of 95 % at n = 3.
    """
    log = on_log_scale([values], log)
    sd = math.sqrt(moments(values)[1])
    mean, variance = moments([math.log(v) for v in values] if log else values)
    back = math.exp if log else float
    centre = float(values[0]) if min(values) == max(values) else back(mean)  # do not round a constant
    if len(values) < 2:
        return Summary(centre, None, len(values), None, None, tuple(values), log)
    half = t_quantile(len(values) - 1) * math.sqrt(variance / len(values))
    ends = (centre, centre) if not half else (back(mean - half), back(mean + half))
    lowest = ends[0] if low is None else min(centre, max(ends[0], low))
    highest = ends[1] if high is None else max(centre, min(ends[1], high))
    return Summary(centre, sd, len(values), lowest, highest, tuple(values), log)


def pooled_sd(groups: Iterable[Sequence[float]]) -> float | None:
    """Standard deviation within groups (repeated evaluations of one run); None if nothing was repeated."""
    squares, freedom = 0.0, 0
    for group in groups:
        if len(group) > 1:
            squares += moments(group)[1] * (len(group) - 1)
            freedom += len(group) - 1
    return math.sqrt(squares / freedom) if freedom else None


def smallest_step(
    values: Sequence[float], *, low: float | None, counted: bool, draws: int, samples: int, log: bool
) -> float:
    """The smallest change that a mean over draws can show; noise is at least as large, even if all seeds agree.

    A count (whole numbers in every draw, such as ``modes_hit``) changes by 1 in one draw. Any other score of N samples
    changes by the weight of one sample in one draw, 1 / (N * draws). This step is absolute for a score whose lowest
    value is 0 (a share, a density), and relative to the score for any other score and on the log scale.

    Args:
        values: the scores compared.
        low: the score's lowest possible value; None if unbounded.
        counted: whether the score may be a count, with values in 0 .. infinity.
        draws: evaluations of a run.
        samples: samples in each evaluation.
        log: whether the step is that of the logarithm.
    """
    if counted and _whole(values, draws):
        return math.log1p(1 / draws / min(values)) if log else 1 / draws
    one = 1 / (draws * samples)
    if log:
        return math.log1p(one)
    return one if low == 0 else one * max(map(abs, values))


def _whole(values: Iterable[float], draws: int) -> bool:
    """Whether all values are counts, or means of one count per draw."""
    return all(math.isclose(value * draws, round(value * draws), rel_tol=0, abs_tol=1e-6) for value in values)


def welch(a: Sequence[float], b: Sequence[float], log: bool = False, least: tuple[float, float] = (0.0, 0.0)) -> float:
    """Two-sided p-value of Welch's t-test (Welch 1947) for equal means; variances may differ.

    The test is on the log scale if ``log`` is set and every value is positive. ``least`` are lower bounds on the
    standard deviations of the groups, on that scale. Without any variance, the p-value is 1 for equal values and 0 for
    different ones.

    Raises:
        ValueError: a group has fewer than two values.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError("Welch's test needs two values in each group")
    return float(_p_values(*moments_of_all([a, b], on_log_scale([a, b], log), least))[0, 1])


def holm(p: ArrayLike) -> Array:
    """Adjust p-values ``p[..., m]`` to control the family-wise error rate (Holm 1979)."""
    p = np.asarray(p, np.float64)
    order = p.argsort(-1)
    steps = np.arange(p.shape[-1], 0, -1)
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, -1) * steps, -1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, stepped.clip(max=1), -1)
    return adjusted


class RankRange(NamedTuple):
    """The ranks that an entry may have; scores that vary widely between seeds give a wide range."""

    best: int
    worst: int

    def __str__(self) -> str:
        return str(self.best) if self.best == self.worst else f"{self.best}-{self.worst}"


class Ranking(NamedTuple):
    """The ranges of ranks of all entries.

    ``adjusted[E, E]`` are the p-values of their differences, corrected for all pairs (1 on the diagonal). ``log`` says
    whether logarithms were compared.
    """

    ranges: tuple[RankRange, ...]
    adjusted: Array
    log: bool


def rank(
    groups: Sequence[Sequence[float]], goal: Goal, log: bool = False, least: Sequence[float] = (), alpha: float = ALPHA
) -> Ranking:
    """Ranges of ranks, ``1 + #significantly better .. E - #significantly worse``.

    With Welch's test and Holm's correction over all pairs, the chance of any false claim in the whole table is at most
    ``alpha``. So all ranges contain the true ranks of their entries with confidence 1 - ``alpha``. Ranges are not
    forced to follow the order of the means; where spreads differ, that would cost their confidence. ``least`` are lower
    bounds on the standard deviations of the entries, on the scale of the test: a few seeds that happen to agree on a
    count of modes do not prove that all would.

    Raises:
        ValueError: an entry has fewer than two values, or the score has no direction (``goal`` is "info").
    """
    if goal == "info" or any(len(group) < 2 for group in groups):
        raise ValueError("ranks need a direction, and two values of every entry")
    log = on_log_scale(groups, log)
    if not groups:
        return Ranking((), np.ones((0, 0)), log)
    n, mean, variance = moments_of_all(groups, log, least)
    pairs = np.triu_indices(len(n), 1)
    adjusted: Array = np.ones((len(n), len(n)))
    adjusted[pairs] = holm(_p_values(n, mean, variance)[pairs])
    adjusted.T[pairs] = adjusted[pairs]
    merit = mean if goal == "max" else -mean
    apart = adjusted <= alpha
    better = (apart & (merit[None] > merit[:, None])).sum(1)
    worse = (apart & (merit[None] < merit[:, None])).sum(1)
    ranges = (RankRange(1 + int(b), len(n) - int(w)) for b, w in zip(better, worse, strict=True))
    return Ranking(tuple(ranges), adjusted, log)


def on_log_scale(groups: Iterable[Sequence[float]], log: bool) -> bool:
    """Whether to compare logarithms: the column asks for it, and every value is positive beyond rounding error."""
    return log and all(value > NOTHING for group in groups for value in group)


def moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and variance (n - 1); exactly (v, 0) for constants, where rounding would leave 1e-34."""
    if not values:
        raise ValueError("no values")
    if min(values) == max(values):
        return float(values[0]), 0.0
    mean = math.fsum(values) / len(values)
    return mean, math.fsum([(value - mean) ** 2 for value in values]) / (len(values) - 1)


def moments_of_all(
    groups: Sequence[Sequence[float]], log: bool, least: Sequence[float] = ()
) -> tuple[Array, Array, Array]:
    """n, mean and variance of every group, the variance not below the square of ``least``."""
    found = [moments([math.log(v) for v in group] if log else group) for group in groups]
    n = np.array([len(group) for group in groups], np.float64)
    mean, variance = np.array([m for m, _ in found]), np.array([v for _, v in found])
    return n, mean, np.maximum(variance, np.square(least)) if len(least) else variance


def _p_values(n: Array, mean: Array, variance: Array) -> Array:
    """Two-sided p-values of Welch's test for every pair, ``[E, E]``, with Welch-Satterthwaite degrees of freedom.

    Computed row by row: with thousands of entries, intermediate results for all pairs at once would fill the memory.
    """
    from scipy.special import stdtr  # scipy.stats takes much longer to import

    square = variance / n
    result: Array = np.ones((len(n), len(n)))
    for i in range(len(n) - 1):
        total = square[i] + square[i + 1 :]
        distance = np.abs(mean[i] - mean[i + 1 :])
        varied = total > 0
        share = np.divide(square[i], total, out=np.zeros_like(total), where=varied)
        df = 1 / (share**2 / (n[i] - 1) + (1 - share) ** 2 / (n[i + 1 :] - 1))
        t = np.divide(distance, np.sqrt(total), out=np.zeros_like(total), where=varied)
        result[i, i + 1 :] = np.where(varied, 2 * stdtr(df, -t), distance == 0)
        result[i + 1 :, i] = result[i, i + 1 :]
    return result


@cache
def t_quantile(df: float, alpha: float = ALPHA) -> float:
    """The two-sided t quantile, which the magnitude of a t-distributed value exceeds with probability ``alpha``."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 1 - alpha / 2))
