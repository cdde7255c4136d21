"""Statistics of a few seeds: Student-t intervals, Welch's test, Holm's correction, and ranges of ranks.

To compare two methods, also their difference, how often either is better, and the seeds that would tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from statistics import correlation, fmean, median
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from ganbench.contracts.metric import Goal

ALPHA = 0.05
LOW_N = 5
"""Fewer seeds than this are flagged: intervals are wide, and hardly any difference is significant."""

MIN_PAIRS, MIN_CORRELATION = 5, 0.3
"""The fewest common seeds, and the lowest correlation, for which two methods are compared in pairs."""
MOST_SEEDS = 1000
"""Methods that need more seeds than this to be told apart count as alike."""
NOTHING = 1e-12
"""Anything smaller is rounding error, such as the distance of a set from itself."""
_Z = 1.959963984540054

Array = NDArray[np.float64]


class Summary(Struct, frozen=True):
    """A score over seeds. ``centre`` is the mean, on the log scale the geometric one; ``low`` and ``high`` bound its
    95 % interval, which one value does not have. ``sd``, with n - 1 in its denominator, is that of the plain values."""

    centre: float
    sd: float | None
    n: int
    low: float | None
    high: float | None
    values: tuple[float, ...]
    log: bool = False

    @property
    def median(self) -> float:
        return median(self.values)


def summarise(
    values: Sequence[float], low: float | None = None, high: float | None = None, log: bool = False
) -> Summary:
    """Mean, sd and Student-t 95 % interval, clipped to the range ``low`` .. ``high`` that the score can take.

    With ``log``, and values that are all positive, mean and interval are those of the logarithms, taken back. A
    percentile bootstrap, the usual alternative, covers 75 % instead of 95 % at n = 3.
    """
    log = on_log_scale([values], log)
    sd = math.sqrt(_moments(values)[1])
    mean, variance = _moments([math.log(v) for v in values] if log else values)
    back = math.exp if log else float
    centre = float(values[0]) if min(values) == max(values) else back(mean)  # a constant is not to be rounded
    if len(values) < 2:
        return Summary(centre, None, len(values), None, None, tuple(values), log)
    half = _t_quantile(len(values) - 1) * math.sqrt(variance / len(values))
    ends = (centre, centre) if not half else (back(mean - half), back(mean + half))
    lowest = ends[0] if low is None else min(centre, max(ends[0], low))
    highest = ends[1] if high is None else max(centre, min(ends[1], high))
    return Summary(centre, sd, len(values), lowest, highest, tuple(values), log)


def pooled_sd(groups: Iterable[Sequence[float]]) -> float | None:
    """Standard deviation within groups (repeated evaluations of one run); None where nothing was repeated."""
    squares, freedom = 0.0, 0
    for group in groups:
        if len(group) > 1:
            squares += _moments(group)[1] * (len(group) - 1)
            freedom += len(group) - 1
    return math.sqrt(squares / freedom) if freedom else None


def smallest_step(
    values: Sequence[float], *, low: float | None, counted: bool, draws: int, samples: int, log: bool
) -> float:
    """The smallest change that a mean over draws can show: noise is not smaller, even if all seeds agree.

    A count (whole numbers in every draw, such as ``modes_hit``) changes by 1 in one draw. Any other score of N samples
    changes by the weight of one sample in one draw, 1 / (N * draws): of the unit for a score that begins at 0 (a share,
    a density), relative to the score for any other, and on the log scale.

    Args:
        values: the scores compared.
        low: the score's lowest possible value; None for open.
        counted: whether the score may be a count: its values are in 0 .. infinity.
        draws, samples: evaluations of a run, and samples in each.
        log: whether the step is that of the logarithm.
    """
    if counted and _whole(values, draws):
        return math.log1p(1 / draws / min(values)) if log else 1 / draws
    one = 1 / (draws * samples)
    if log:
        return math.log1p(one)
    return one if low == 0 else one * max(map(abs, values))


def _whole(values: Iterable[float], draws: int) -> bool:
    """Whether all values are counts, or means of as many counts as there are draws."""
    return all(math.isclose(value * draws, round(value * draws), rel_tol=0, abs_tol=1e-6) for value in values)


def welch(a: Sequence[float], b: Sequence[float], log: bool = False, least: tuple[float, float] = (0.0, 0.0)) -> float:
    """Two-sided p of Welch's t-test (Welch 1947): equal means, whatever the variances.

    On the log scale where ``log`` is set and every value is positive. ``least`` are the smallest standard deviations
    that the groups are credited with, on that scale. Without any variance the p-value is 1 for equal values and 0 for
    different ones.

    Raises:
        ValueError: a group has fewer than two values.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError("Welch's test needs two values in each group")
    return float(_p_values(*_all_moments([a, b], on_log_scale([a, b], log), least))[0, 1])


def holm(p: ArrayLike) -> Array:
    """Adjusted p-values, which control the chance of any false finding (Holm 1979); ``p[..., m]``."""
    p = np.asarray(p, np.float64)
    order = p.argsort(-1)
    steps = np.arange(p.shape[-1], 0, -1)
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, -1) * steps, -1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, stepped.clip(max=1), -1)
    return adjusted


class RankRange(NamedTuple):
    """The ranks that an entry may have: a wide range is the honest answer for scores that spread."""

    best: int
    worst: int

    def __str__(self) -> str:
        return str(self.best) if self.best == self.worst else f"{self.best}-{self.worst}"


class Ranking(NamedTuple):
    """``ranges`` of all entries, and ``adjusted[E, E]``, the p-values of their differences, corrected for all pairs (1
    on the diagonal). ``log`` says whether logarithms were compared."""

    ranges: tuple[RankRange, ...]
    adjusted: Array
    log: bool


def rank(
    groups: Sequence[Sequence[float]], goal: Goal, log: bool = False, least: Sequence[float] = (), alpha: float = ALPHA
) -> Ranking:
    """Ranges of ranks, ``1 + #significantly better .. E - #significantly worse``.

    Welch's test with Holm's correction over all pairs: the chance of any false claim in the whole table is at most
    ``alpha``, so with that confidence every range holds the true rank of its entry. Ranges are not made to follow the
    order of the means: where spreads differ, that would cost their confidence. ``least`` are the smallest standard
    deviations that the entries are credited with, on the scale of the test: seeds that happen to agree on a count of
    modes are no proof that all would.

    Raises:
        ValueError: an entry has fewer than two values, or the score has no direction (``goal`` is "info").
    """
    if goal == "info" or any(len(group) < 2 for group in groups):
        raise ValueError("ranks need a direction, and two values of every entry")
    log = on_log_scale(groups, log)
    if not groups:
        return Ranking((), np.ones((0, 0)), log)
    n, mean, variance = _all_moments(groups, log, least)
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


class Difference(Struct, frozen=True):
    """How far two means are apart, A's from B's: ``estimate`` is A - B, or A / B on the log scale (of geometric means),
    with its 95 % interval and the two-sided ``p`` of no difference.

    ``shift`` is the distance in standard errors at one seed per method, ``freedom`` the degrees of freedom per seed
    beyond the first; ``seeds_needed`` takes both. ``effect`` is Hedges' g, None without any spread.
    """

    estimate: float
    low: float
    high: float
    p: float
    paired: bool
    log: bool
    effect: float | None
    shift: float
    freedom: float


def difference(
    a: Sequence[float],
    b: Sequence[float],
    log: bool = False,
    paired: bool = False,
    least: tuple[float, float] = (0.0, 0.0),
) -> Difference:
    """Compare two means by Welch's t-test (Welch 1947), or by Student's paired one, where ``a[i]`` belongs to ``b[i]``.

    On the log scale where ``log`` is set and every value is positive. ``least`` as in ``welch``; pairs do without.

    Raises:
        ValueError: a group has fewer than two values, or pairs are not complete.
    """
    if min(len(a), len(b)) < 2 or (paired and len(a) != len(b)):
        raise ValueError("a comparison needs two values in each group, and pairs need to be complete")
    log = on_log_scale([a, b], log)
    if log:
        a, b = [math.log(v) for v in a], [math.log(v) for v in b]
    _, means, variances = _all_moments([a, b], False, () if paired else least)
    (mean_a, mean_b), (var_a, var_b) = means.tolist(), variances.tolist()
    if paired:
        apart, variance = _moments([x - y for x, y in zip(a, b, strict=True)])
        error, df, freedom = math.sqrt(variance / len(a)), len(a) - 1.0, 1.0
    else:
        apart, variance = mean_a - mean_b, var_a + var_b
        one, other = var_a / len(a), var_b / len(b)
        error = math.sqrt(one + other)
        df = error**4 / (one**2 / (len(a) - 1) + other**2 / (len(b) - 1)) if error else 1.0
        freedom = variance**2 / (var_a**2 + var_b**2) if error else 2.0
    half = _t_quantile(df) * error
    ends = (apart, apart - half, apart + half)
    estimate, low, high = map(math.exp, ends) if log else ends
    shift = abs(apart) / math.sqrt(variance) if variance else math.inf if apart else 0.0
    p = _one_sample(apart, error, df) if paired else welch(a, b, least=least)
    return Difference(estimate, low, high, p, paired, log, hedges_g(a, b), shift, freedom)


def _one_sample(mean: float, error: float, df: float) -> float:
    from scipy.special import stdtr

    if not mean or not error:
        return 0.0 if mean else 1.0
    return float(2 * stdtr(df, -abs(mean) / error))


def hedges_g(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Difference of means in pooled standard deviations, corrected for bias at small n (Hedges 1981); None without
    any spread."""
    df = len(a) + len(b) - 2
    (mean_a, var_a), (mean_b, var_b) = _moments(a), _moments(b)
    pooled = math.sqrt(((len(a) - 1) * var_a + (len(b) - 1) * var_b) / df)
    if not pooled:
        return None
    unbiased = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
    return unbiased * (mean_a - mean_b) / pooled


class Pairing(Struct, frozen=True):
    """How two methods correlate over their common seeds; ``worth`` says whether to test them in pairs."""

    n: int
    correlation: float | None
    worth: bool


def pairing(a: Mapping[int, float], b: Mapping[int, float], log: bool = False) -> Pairing:
    """Whether to compare two methods' ``seed -> score`` seed by seed.

    Worth it if at least 5 common seeds have a correlation above .3 that is significant (one-sided 5 %). Without the
    second condition, a third of all comparisons of 5 independent seeds would be paired by chance, and the rate of false
    positives at 5 % would be 6.7 %.
    """
    from scipy.special import stdtr

    seeds = sorted(a.keys() & b.keys())
    ours, theirs = [a[seed] for seed in seeds], [b[seed] for seed in seeds]
    if on_log_scale([ours, theirs], log):
        ours, theirs = [math.log(v) for v in ours], [math.log(v) for v in theirs]
    if len(seeds) < 3 or min(ours) == max(ours) or min(theirs) == max(theirs):
        return Pairing(len(seeds), None, False)
    r = correlation(ours, theirs)
    df = len(seeds) - 2
    by_chance = float(stdtr(df, -r * math.sqrt(df / (1 - r * r)))) if abs(r) < 1 else 0.0
    return Pairing(len(seeds), r, len(seeds) >= MIN_PAIRS and r > MIN_CORRELATION and by_chance < ALPHA)


class Chance(Struct, frozen=True):
    """A probability with its 95 % interval."""

    estimate: float
    low: float
    high: float


def improvement(a: Sequence[float], b: Sequence[float], goal: Goal) -> Chance:
    """Probability that a run of A is better than one of B: the share of pairs in which it is, ties by half (the
    Mann-Whitney U over nm), with the interval of Newcombe (2006, part 2, method 5).

    A bootstrap, the usual alternative, says 1 +- 0 whenever all of a few seeds of A are better.
    """
    sign = -1 if goal == "min" else 1
    wins = [0.5 * (1 + (sign * x > sign * y) - (sign * x < sign * y)) for x in a for y in b]
    share, pairs, more = fmean(wins), len(wins), (len(a) + len(b)) / 2 - 1

    def outside(p: float) -> bool:
        variance = p * (1 - p) * (1 + more * ((1 - p) / (2 - p) + p / (1 + p))) / pairs
        return (p - share) ** 2 > _Z**2 * variance

    def end(inner: float, outer: float) -> float:
        for _ in range(50):
            middle = (inner + outer) / 2
            inner, outer = (inner, middle) if outside(middle) else (middle, outer)
        return outer

    return Chance(share, end(share, 0.0), end(share, 1.0))


def seeds_needed(shift: float, freedom: float = 2.0, power: float = 0.8, alpha: float = ALPHA) -> int | None:
    """Seeds per method for a two-sided t-test at the level ``alpha`` to find a difference with probability ``power``.

    ``shift`` and ``freedom`` as in ``Difference``: for two methods of one standard deviation that lie d of them apart,
    d / sqrt(2) and 2 (at 5 % and d = 1: 17 seeds each). None: more than ``MOST_SEEDS``.
    """
    few, enough = 1, 2
    while _power(enough, shift, freedom, alpha) < power:
        few, enough = enough, 2 * enough
        if few > MOST_SEEDS:
            return None
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if _power(middle, shift, freedom, alpha) >= power else (middle, enough)
    return enough if enough <= MOST_SEEDS else None


def _power(n: int, shift: float, freedom: float, alpha: float) -> float:
    """The power of a two-sided t-test, from the noncentral t distribution."""
    from scipy.special import nctdtr

    df, distance = freedom * (n - 1), shift * math.sqrt(n)
    quantile = _t_quantile(df, alpha)
    if distance > 2 * quantile + 6:
        return 1.0  # beyond doubt, and scipy's function has no value out there
    wrong_side = nctdtr(df, distance, -quantile) if distance < 4 else 0.0
    return float(1 - nctdtr(df, distance, quantile) + wrong_side)


def on_log_scale(groups: Iterable[Sequence[float]], log: bool) -> bool:
    """Whether to compare logarithms: the column asks for it, and every value has one that is no rounding error's."""
    return log and all(value > NOTHING for group in groups for value in group)


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and variance (n - 1); exactly (v, 0) for constants, where rounding would leave 1e-34."""
    if not values:
        raise ValueError("no values")
    if min(values) == max(values):
        return float(values[0]), 0.0
    mean = math.fsum(values) / len(values)
    return mean, math.fsum([(value - mean) ** 2 for value in values]) / (len(values) - 1)


def _all_moments(
    groups: Sequence[Sequence[float]], log: bool, least: Sequence[float] = ()
) -> tuple[Array, Array, Array]:
    """n, mean and variance of every group, the variance not below the square of ``least``."""
    moments = [_moments([math.log(v) for v in group] if log else group) for group in groups]
    n = np.array([len(group) for group in groups], np.float64)
    mean, variance = np.array([m for m, _ in moments]), np.array([v for _, v in moments])
    return n, mean, np.maximum(variance, np.square(least)) if len(least) else variance


def _p_values(n: Array, mean: Array, variance: Array) -> Array:
    """Two-sided p of Welch's test for every pair, ``[E, E]``; df by Welch and Satterthwaite.

    Row by row: with thousands of entries, intermediate results for all pairs at once would fill the memory.
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
def _t_quantile(df: float, alpha: float = ALPHA) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(df, 1 - alpha / 2))
