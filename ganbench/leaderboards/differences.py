"""Compare two methods over a few seeds: their difference, how often each is better, and the seeds needed to decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import correlation, fmean

from msgspec import Struct

from ganbench.contracts.metric import Goal
from ganbench.leaderboards.statistics import ALPHA, moments, moments_of_all, on_log_scale, t_quantile, welch

MIN_PAIRS, MIN_CORRELATION = 5, 0.3
"""The fewest common seeds, and the lowest correlation, for a paired test."""
MOST_SEEDS = 1000
"""Two methods are called a tie if detecting their difference would take more seeds than this."""
_Z = 1.959963984540054


class Difference(Struct, frozen=True):
    """The difference between two means, A's and B's.

    ``estimate`` is A - B, or A / B on the log scale (of geometric means), with its 95 % interval and the two-sided
    ``p`` of no difference.

    ``shift`` is the distance in standard errors at one seed per method, ``freedom`` the degrees of freedom per seed
    beyond the first; ``seeds_needed`` takes both. ``effect`` is Hedges' g, None if there is no spread.
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
    """Compare two means by Welch's t-test (Welch 1947), or by Student's paired t-test of ``a[i]`` with ``b[i]``.

    The test is on the log scale if ``log`` is set and every value is positive. ``least`` is as in ``welch``; a paired
    test ignores it.

    Raises:
        ValueError: a group has fewer than two values, or pairs are not complete.
    """
    if min(len(a), len(b)) < 2 or (paired and len(a) != len(b)):
        raise ValueError("a comparison needs two values in each group, and complete pairs if it is paired")
    log = on_log_scale([a, b], log)
    if log:
        a, b = [math.log(v) for v in a], [math.log(v) for v in b]
    _, means, variances = moments_of_all([a, b], False, () if paired else least)
    (mean_a, mean_b), (var_a, var_b) = means.tolist(), variances.tolist()
    if paired:
        apart, variance = moments([x - y for x, y in zip(a, b, strict=True)])
        error, df, freedom = math.sqrt(variance / len(a)), len(a) - 1.0, 1.0
    else:
        apart, variance = mean_a - mean_b, var_a + var_b
        one, other = var_a / len(a), var_b / len(b)
        error = math.sqrt(one + other)
        df = error**4 / (one**2 / (len(a) - 1) + other**2 / (len(b) - 1)) if error else 1.0
        freedom = variance**2 / (var_a**2 + var_b**2) if error else 2.0
    half = t_quantile(df) * error
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
    """Difference of means in pooled standard deviations, corrected for bias at small n (Hedges 1981).

    None if there is no spread.
    """
    df = len(a) + len(b) - 2
    (mean_a, var_a), (mean_b, var_b) = moments(a), moments(b)
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

    Pairing is worth it if at least 5 common seeds have a correlation above .3 that is significant (one-sided 5 %).
    Without the significance test, a third of all comparisons of 5 independent seeds would be paired by chance, and the
    rate of false positives at 5 % would be 6.7 %.
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
    """Probability that a run of A is better than one of B: the share of pairs in which it is, ties counting half.

    This is the Mann-Whitney U divided by nm, with the interval of Newcombe (2006, part 2, method 5).

    A bootstrap, the usual alternative, gives 1 +- 0 whenever every seed of A is better than every seed of B.
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
    """Seeds per method for a two-sided t-test at the level ``alpha`` to detect a difference with probability ``power``.

    ``shift`` and ``freedom`` are as in ``Difference``. For two methods with the same standard deviation whose means are
    d standard deviations apart, they are d / sqrt(2) and 2; d = 1 at 5 % takes 17 seeds each. None if more than
    ``MOST_SEEDS`` are needed.
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
    quantile = t_quantile(df, alpha)
    if distance > 2 * quantile + 6:
        return 1.0  # nearly certain, and scipy's function is undefined this far out
    wrong_side = nctdtr(df, distance, -quantile) if distance < 4 else 0.0
    return float(1 - nctdtr(df, distance, quantile) + wrong_side)
