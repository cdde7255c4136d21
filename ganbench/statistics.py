"""Statistics of a few seeds: Student-t intervals, Welch's test, Holm's correction, ranks that admit ties."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from statistics import fmean

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from ganbench.contracts import Goal

ALPHA = 0.05
LOW_N = 5
"""Fewer seeds than this are flagged: intervals are wide, and hardly any difference is significant."""

Array = NDArray[np.float64]


class Summary(Struct, frozen=True):
    """A score over seeds. ``sd`` has n - 1 in its denominator, ``low`` and ``high`` bound the 95 % interval of
    the mean; one value has neither."""

    mean: float
    sd: float | None
    n: int
    low: float | None
    high: float | None
    values: tuple[float, ...]


def summarise(values: Sequence[float], low: float | None = None, high: float | None = None) -> Summary:
    """Mean, sd and Student-t 95 % interval, clipped to the range ``low`` .. ``high`` that the score can take.

    A percentile bootstrap, the usual alternative, covers 75 % instead of 95 % at n = 3.
    """
    mean, variance = _moments(values)
    if len(values) < 2:
        return Summary(mean, None, len(values), None, None, tuple(values))
    half = _t_quantile(len(values) - 1) * math.sqrt(variance / len(values))
    lowest = mean - half if low is None else min(mean, max(mean - half, low))
    highest = mean + half if high is None else max(mean, min(mean + half, high))
    return Summary(mean, math.sqrt(variance), len(values), lowest, highest, tuple(values))


def pooled_sd(groups: Iterable[Sequence[float]]) -> float | None:
    """Standard deviation within groups (repeated evaluations of one run); None where nothing was repeated."""
    repeated = [group for group in groups if len(group) > 1]
    if not repeated:
        return None
    squares = sum(_moments(group)[1] * (len(group) - 1) for group in repeated)
    return math.sqrt(squares / sum(len(group) - 1 for group in repeated))


def welch(a: Sequence[float], b: Sequence[float], log: bool = False) -> float:
    """Two-sided p of Welch's t-test (Welch 1947): equal means, whatever the variances.

    On the log scale where ``log`` is set and every value is positive. Without any variance the p-value is 1
    for equal values and 0 for different ones.

    Raises:
        ValueError: a group has fewer than two values.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError("Welch's test needs two values in each group")
    return float(_p_values(*_all_moments([a, b], on_log_scale([a, b], log)))[0, 1])


def holm(p: ArrayLike) -> Array:
    """Adjusted p-values, which control the chance of any false finding (Holm 1979); ``p[..., m]``."""
    p = np.asarray(p, np.float64)
    order = p.argsort(-1)
    steps = np.arange(p.shape[-1], 0, -1)
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, -1) * steps, -1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, stepped.clip(max=1), -1)
    return adjusted


def ranks(groups: Sequence[Sequence[float]], goal: Goal, log: bool = False, alpha: float = ALPHA) -> list[int | None]:
    """Rank of each entry: 1 + the number of entries that are significantly better; ties share a rank.

    Welch's test with Holm's correction over the pairs that involve the entry. An entry of fewer than two
    values has no rank and takes no part; without a direction (``goal`` "info") nobody has one.
    """
    taking_part = [i for i, group in enumerate(groups) if len(group) > 1]
    result: list[int | None] = [None] * len(groups)
    if goal == "info" or not taking_part:
        return result
    compared = [groups[i] for i in taking_part]
    n, mean, variance = _all_moments(compared, on_log_scale(compared, log))
    others = ~np.eye(len(n), dtype=bool)
    shape = len(n), len(n) - 1
    adjusted = holm(_p_values(n, mean, variance)[others].reshape(shape))
    ahead = mean[None, :] - mean[:, None] if goal == "max" else mean[:, None] - mean[None, :]
    beaten_by = (adjusted <= alpha) & (ahead[others].reshape(shape) > 0)
    for i, count in zip(taking_part, beaten_by.sum(1).tolist(), strict=True):
        result[i] = 1 + count
    return result


def on_log_scale(groups: Iterable[Sequence[float]], log: bool) -> bool:
    """Whether to compare logarithms: the column asks for it and there is one for every value."""
    return log and all(value > 0 for group in groups for value in group)


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and variance (n - 1); exactly (v, 0) for constants, where rounding would leave 1e-34."""
    if not values:
        raise ValueError("no values")
    if min(values) == max(values):
        return float(values[0]), 0.0
    mean = fmean(values)
    return mean, math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _all_moments(groups: Sequence[Sequence[float]], log: bool) -> tuple[Array, Array, Array]:
    """n, mean and variance of every group."""
    moments = [_moments([math.log(v) for v in group] if log else group) for group in groups]
    n = np.array([len(group) for group in groups], np.float64)
    return n, np.array([m for m, _ in moments]), np.array([v for _, v in moments])


def _p_values(n: Array, mean: Array, variance: Array) -> Array:
    """Two-sided p of Welch's test for every pair, ``[E, E]``; df by Welch and Satterthwaite."""
    from scipy.special import stdtr  # scipy.stats takes much longer to import

    one, other = np.triu_indices(len(n), 1)
    square = variance / n
    total = square[one] + square[other]
    distance = np.abs(mean[one] - mean[other])
    p = np.where(distance == 0, 1.0, 0.0)
    varied = total > 0
    one, other, total, distance = one[varied], other[varied], total[varied], distance[varied]
    share = square[one] / total
    df = 1 / (share**2 / (n[one] - 1) + (1 - share) ** 2 / (n[other] - 1))
    p[varied] = 2 * stdtr(df, -distance / np.sqrt(total))
    result: Array = np.ones((len(n), len(n)))
    result[np.triu_indices(len(n), 1)] = p
    return np.minimum(result, result.T)


@cache
def _t_quantile(df: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(df, 1 - ALPHA / 2))
