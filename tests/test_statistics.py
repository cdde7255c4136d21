"""Intervals, tests and ranks against scipy.stats, hand-worked examples and simulation."""

from __future__ import annotations

import csv
import json
import math
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ganbench.leaderboards.differences import Difference, difference, hedges_g, improvement, pairing, seeds_needed
from ganbench.leaderboards.statistics import holm, pooled_sd, rank, smallest_step, summarise, welch

FIVE = [0.71, 0.74, 0.66, 0.69, 0.73]


# -- intervals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_interval_is_the_student_t_interval_of_scipy(n):
    values = FIVE[:n]
    low, high = stats.t.interval(0.95, n - 1, loc=np.mean(values), scale=stats.sem(values))
    summary = summarise(values)
    assert (summary.low, summary.high) == pytest.approx((low, high), rel=1e-9)
    assert summary.sd == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    assert (summary.centre, summary.n, summary.values) == (pytest.approx(np.mean(values)), n, tuple(values))


def test_a_single_seed_has_no_interval_and_no_sd():
    summary = summarise([0.7], 0, 1)
    assert (summary.centre, summary.n, summary.sd, summary.low, summary.high) == (0.7, 1, None, None, None)


def test_no_seed_at_all_is_refused():
    with pytest.raises(ValueError, match="no values"):
        summarise([])


def test_an_interval_never_leaves_the_range_of_its_score():
    open_ended, clipped = summarise([0.9, 0.99, 1.0]), summarise([0.9, 0.99, 1.0], 0, 1)
    assert open_ended.high > 1
    assert clipped.high == 1
    assert clipped.low == open_ended.low
    assert summarise([0.0, 0.1, 0.01], 0, None).low == 0


def test_an_interval_holds_its_mean_even_where_a_metric_states_a_wrong_range():
    summary = summarise([1.1, 1.2, 1.3], 0, 1)
    assert summary.low <= summary.centre <= summary.high


@pytest.mark.parametrize("value", [0.1, 1 / 3, 10.0, 1e-8])
def test_a_constant_has_exactly_no_variance(value):
    summary = summarise([value] * 3)
    assert (summary.centre, summary.sd, summary.low, summary.high) == (value, 0, value, value)


@pytest.mark.parametrize("n", [3, 5])
def test_95_of_100_intervals_hold_the_true_mean(n):
    rng = random.Random(n)
    trials = 4000
    held = 0
    for _ in range(trials):
        summary = summarise([rng.gauss(3, 2) for _ in range(n)])
        held += summary.low <= 3 <= summary.high
    assert 0.94 < held / trials < 0.96


def test_evaluation_noise_is_pooled_within_runs():
    assert pooled_sd([[1.0, 3.0], [10.0, 10.0, 13.0]]) == pytest.approx(math.sqrt((2 + 6) / 3))


def test_evaluations_that_were_not_repeated_have_no_noise():
    assert pooled_sd([[1.0], [2.0], []]) is None


def test_on_the_log_scale_centre_and_interval_are_those_of_the_logarithms():
    summary = summarise(FIVE, 0, None, log=True)
    low, high = stats.t.interval(0.95, 4, loc=np.log(FIVE).mean(), scale=stats.sem(np.log(FIVE)))
    assert (summary.centre, summary.low, summary.high) == pytest.approx(
        (stats.gmean(FIVE), np.exp(low), np.exp(high)), rel=1e-9
    )
    assert summary.sd == pytest.approx(np.std(FIVE, ddof=1))
    assert summary.log
    assert summarise([0.3] * 3, log=True).centre == 0.3


def test_a_score_without_a_logarithm_is_averaged_as_it_is():
    assert summarise([0.0, 0.2, 0.4], log=True) == summarise([0.0, 0.2, 0.4])


# -- Welch ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [[0.6, 0.75], [0.61, 0.7, 0.65], [5.0, 90.0, 2.0, 40.0]])
def test_welch_is_the_welch_test_of_scipy(other):
    expected = stats.ttest_ind(FIVE, other, equal_var=False).pvalue
    assert welch(FIVE, other) == pytest.approx(expected, rel=1e-9)
    assert welch(other, FIVE) == pytest.approx(expected, rel=1e-9)


def test_welch_on_the_log_scale_compares_logarithms():
    a, b = [0.1, 0.2, 0.15], [0.3, 0.9, 0.4]
    expected = stats.ttest_ind(np.log(a), np.log(b), equal_var=False).pvalue
    assert welch(a, b, log=True) == pytest.approx(expected, rel=1e-9)
    assert welch(a, b, log=True) != pytest.approx(welch(a, b), rel=1e-3)


def test_welch_stays_on_the_plain_scale_where_a_value_has_no_logarithm():
    a, b = [0.0, 0.2, 0.15], [0.3, 0.9, 0.4]
    assert welch(a, b, log=True) == welch(a, b)


def test_one_constant_is_tested_against_the_spread_of_the_other():
    expected = stats.ttest_ind_from_stats(np.mean(FIVE), np.std(FIVE, ddof=1), 5, 0.75, 0, 3, equal_var=False)
    assert welch(FIVE, [0.75] * 3) == pytest.approx(expected.pvalue, rel=1e-9)


def test_constants_differ_or_they_do_not():
    assert welch([0.1] * 3, [0.1] * 5) == 1
    assert welch([0.1] * 3, [0.2] * 5) == 0


def test_equal_means_have_a_p_value_of_one():
    assert welch([1.0, 2.0, 3.0], [0.0, 2.0, 4.0]) == 1


def test_welch_needs_two_values_in_each_group():
    with pytest.raises(ValueError, match="two values"):
        welch([1.0], [1.0, 2.0])


# -- Holm ----------------------------------------------------------------------------------------------------


def test_holm_agrees_with_an_example_worked_by_hand():
    # sorted .005 .01 .03 .04 -> times 4 3 2 1 -> .02 .03 .06 .04 -> never falling: .02 .03 .06 .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_never_exceeds_one():
    assert holm([0.6, 0.9]).tolist() == [1, 1]


def test_holm_treats_every_row_as_a_family_of_its_own():
    rows = [[0.01, 0.04, 0.03], [0.5, 0.001, 0.02]]
    assert holm(rows) == pytest.approx(np.array([holm(row) for row in rows]))


# -- ranks ---------------------------------------------------------------------------------------------------


def around(mean: float, n: int = 5) -> list[float]:
    return [mean + step for step in (0.0, 0.01, -0.01, 0.02, -0.02)[:n]]


def ranges(groups: list[list[float]], goal: str, log: bool = False) -> list[str]:
    return [str(given) for given in rank(groups, goal, log).ranges]


def test_the_better_entry_ranks_first_whichever_way_is_better():
    groups = [around(0.5), around(0.9), around(0.7)]
    assert ranges(groups, "max") == ["3", "1", "2"]
    assert ranges(groups, "min") == ["1", "3", "2"]


def test_entries_that_cannot_be_told_apart_share_a_range():
    groups = [around(0.9), around(0.901), around(0.5), around(0.501), around(0.1)]
    assert ranges(groups, "max") == ["1-2", "1-2", "3-4", "3-4", "5"]


def test_an_unstable_entry_may_have_any_rank():
    assert ranges([around(0.9), around(0.5), around(0.1), [0.0, 1.5, 0.2, 1.1, 0.3]], "max") == [
        "1-2",
        "2-3",
        "3-4",
        "1-4",
    ]


def test_ranks_need_a_direction_and_two_seeds_of_every_entry():
    for groups, goal in (([around(0.5), around(0.9)], "info"), ([around(0.5), [0.99]], "max")):
        with pytest.raises(ValueError, match="a direction, and two values"):
            rank(groups, goal)


def test_no_entries_and_a_lonely_one_are_fine():
    assert rank([], "max").ranges == ()
    assert ranges([around(0.5)], "max") == ["1"]


def test_ranks_are_given_on_the_log_scale_where_asked():
    groups = [[1.0, 1.1, 0.9, 1.05, 0.95], [2.0, 20.0, 5.0, 60.0, 9.0]]
    assert ranges(groups, "min", log=False) == ["1-2", "1-2"]
    assert ranges(groups, "min", log=True) == ["1", "2"]
    assert rank(groups, "min", log=True).log
    assert not rank([*groups, [0.0, 1.0]], "min", log=True).log


def test_ranks_follow_their_definition_pair_by_pair():
    rng = random.Random(7)
    groups = [[rng.gauss(i / 2, 0.2) for _ in range(rng.randint(3, 6))] for i in range(12)]
    pairs = [(i, j) for i in range(12) for j in range(i)]
    p = [stats.ttest_ind(groups[i], groups[j], equal_var=False).pvalue for i, j in pairs]
    order, adjusted, floor = sorted(range(len(p)), key=p.__getitem__), {}, 0.0
    for step, k in enumerate(order):
        floor = min(1.0, max(floor, p[k] * (len(p) - step)))
        adjusted[pairs[k]] = floor
    found = rank(groups, "min")
    for (i, j), value in adjusted.items():
        assert found.adjusted[i, j] == found.adjusted[j, i] == pytest.approx(value, rel=1e-9)
    apart = [pair for pair, value in adjusted.items() if value <= 0.05]
    assert len(apart) > 20
    for i, given in enumerate(found.ranges):
        others = [pair[1 - pair.index(i)] for pair in apart if i in pair]
        better = sum(np.mean(groups[other]) < np.mean(groups[i]) for other in others)
        assert given == (1 + better, 12 - (len(others) - better))


def test_seeds_that_agree_on_a_count_are_not_credited_with_certainty():
    """Without a least deviation, three seeds with 8 modes and three with 7 would differ for sure."""
    groups = [[8.0, 8.0, 8.0], [7.0, 7.0, 7.0], [1.0, 1.0, 1.0]]
    assert [str(r) for r in rank(groups, "max").ranges] == ["1", "2", "3"]
    found = rank(groups, "max", least=[1.0, 1.0, 1.0])
    assert [str(r) for r in found.ranges] == ["1-2", "1-2", "3"]
    p = stats.ttest_ind_from_stats(8, 1, 3, 7, 1, 3, equal_var=False).pvalue
    assert found.adjusted[0, 1] == pytest.approx(p)
    assert welch(groups[0], groups[1], least=(1.0, 1.0)) == pytest.approx(p)
    assert difference(groups[0], groups[1], least=(1.0, 1.0)).p == pytest.approx(p)


def test_one_step_of_a_score_is_a_count_in_one_draw_or_one_sample_of_all():
    facts = {"draws": 3, "samples": 1000}
    assert smallest_step([8.0, 7 + 1 / 3], low=0, counted=True, log=False, **facts) == pytest.approx(1 / 3)
    assert smallest_step([8.0, 7 + 1 / 3], low=0, counted=True, log=True, **facts) == pytest.approx(
        math.log((7 + 2 / 3) / (7 + 1 / 3))
    )
    assert smallest_step([0.4, 0.7], low=0, counted=False, log=False, **facts) == pytest.approx(1 / 3000)
    assert smallest_step([2.4, 5.7], low=1, counted=False, log=False, **facts) == pytest.approx(5.7 / 3000)


SPREADS = [
    0.026, 0.027, 0.029, 0.039, 0.042, 0.051, 0.053, 0.057, 0.058, 0.066, 0.077, 0.083, 0.084, 0.087, 0.095, 0.097,
    0.103, 0.106, 0.107, 0.112, 0.117, 0.117, 0.12, 0.135, 0.186, 0.19, 0.195, 0.203, 0.222, 0.222, 0.229, 0.576, 1.116,
]  # fmt: skip
"""Standard deviations of log fid between five seeds, of the 33 rows of digits-16-v1."""
PLANTED = {
    "equal spreads": [0.1] * 33,
    "the spreads of a published table": SPREADS,
    "every fourth row at .6": [0.6 if i % 4 == 0 else 0.1 for i in range(33)],
    "three rows at .8": [0.8 if i < 3 else 0.1 for i in range(33)],
}
TABLES = 400


@pytest.mark.parametrize("spreads", PLANTED.values(), ids=PLANTED)
def test_among_33_equals_any_false_claim_is_made_in_at_most_5_of_100_tables(spreads):
    rng = np.random.default_rng(2024)
    noise = np.exp(rng.normal(size=(TABLES, 33, 5)) * np.array(spreads)[:, None])
    false = sum(any(given != (1, 33) for given in rank(table, "min", log=True).ranges) for table in noise.tolist())
    assert false <= 0.05 * TABLES


@pytest.mark.parametrize("spreads", PLANTED.values(), ids=PLANTED)
def test_all_ranges_of_a_table_hold_the_true_ranks_in_at_least_95_of_100_tables(spreads):
    rng = np.random.default_rng(7)
    means = np.linspace(np.log(0.4), np.log(27), 33)
    scores = np.exp(means[:, None] + rng.normal(size=(TABLES, 33, 5)) * np.array(spreads)[:, None])
    held, told = 0, 0
    for table in scores.tolist():
        found = rank(table, "min", log=True).ranges
        held += all(given.best <= true <= given.worst for true, given in enumerate(found, 1))
        told += sum(given != (1, 33) for given in found)
    assert held >= 0.95 * TABLES
    assert told > 20 * TABLES  # ranges of everybody would hold every rank, and say nothing


# -- the difference of two methods ----------------------------------------------------------------------------

OTHER = [0.61, 0.70, 0.65]


def test_a_difference_has_the_welch_interval_of_scipy():
    found = difference(FIVE, OTHER)
    expected = stats.ttest_ind(FIVE, OTHER, equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((low, high, expected.pvalue), rel=1e-9)
    assert found.estimate == pytest.approx(np.mean(FIVE) - np.mean(OTHER))
    assert not found.paired


def test_on_the_log_scale_a_difference_is_a_ratio_of_geometric_means():
    found = difference(FIVE, OTHER, log=True)
    expected = stats.ttest_ind(np.log(FIVE), np.log(OTHER), equal_var=False)
    ends = np.exp(expected.confidence_interval(0.95))
    assert (found.low, found.high, found.p) == pytest.approx((*ends, expected.pvalue), rel=1e-9)
    assert found.estimate == pytest.approx(stats.gmean(FIVE) / stats.gmean(OTHER))
    assert found.log
    assert not difference([0.0, 1.0], [1.0, 2.0], log=True).log


def test_a_paired_difference_has_the_paired_interval_of_scipy():
    other = [0.70, 0.75, 0.60, 0.66, 0.74]
    found, expected = difference(FIVE, other, paired=True), stats.ttest_rel(FIVE, other)
    ends = expected.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((*ends, expected.pvalue), rel=1e-9)
    assert found.paired


def test_constants_have_a_difference_without_doubt():
    found = difference([0.1] * 3, [0.2] * 3)
    assert (found.estimate, found.low, found.high, found.p) == pytest.approx((-0.1, -0.1, -0.1, 0))
    assert found.shift == math.inf
    same = difference([0.1] * 3, [0.1] * 3)
    assert (same.estimate, same.p, same.effect, same.shift) == (0, 1, None, 0)
    assert difference([1.0, 2.0], [0.0, 1.0], paired=True).p == 0


def test_a_difference_needs_two_values_and_whole_pairs():
    with pytest.raises(ValueError, match="two values"):
        difference([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="pairs"):
        difference([1.0, 2.0, 3.0], [1.0, 2.0], paired=True)


def test_the_size_of_a_difference_is_cohens_d_freed_from_its_bias():
    pooled = math.sqrt((4 * np.var(FIVE, ddof=1) + 2 * np.var(OTHER, ddof=1)) / 6)
    d = (np.mean(FIVE) - np.mean(OTHER)) / pooled
    assert hedges_g(FIVE, OTHER) == pytest.approx(d * (1 - 3 / (4 * 6 - 1)), rel=2e-3)  # the usual approximation
    rng = np.random.default_rng(1)
    sizes = [hedges_g(rng.normal(1, 1, 4).tolist(), rng.normal(0, 1, 4).tolist()) for _ in range(4000)]
    assert np.mean(sizes) == pytest.approx(1, abs=0.05)  # Cohen's d would be 1.15 on average


# -- pairs ---------------------------------------------------------------------------------------------------


def by_seed(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


def test_seeds_that_go_together_are_compared_in_pairs():
    a = by_seed([1.0, 2.0, 3.0, 4.0, 5.0])
    found = pairing(a, by_seed([1.1, 2.0, 3.2, 3.9, 5.3]))
    assert (found.n, found.worth) == (5, True)
    assert found.correlation == pytest.approx(np.corrcoef([1, 2, 3, 4, 5], [1.1, 2.0, 3.2, 3.9, 5.3])[0, 1])


@pytest.mark.parametrize(
    "other",
    [
        [1.1, 2.0, 3.2, 3.9],  # four common seeds
        [5.0, 4.0, 3.0, 2.0, 1.0],  # correlated the other way
        [3.0, 1.0, 2.0, 5.0, 3.0],  # r = .53, but p = .18
        [2.0, 2.0, 2.0, 2.0, 2.0],
    ],
)
def test_few_or_hardly_correlated_seeds_are_not_paired(other):
    assert not pairing(by_seed([1.0, 2.0, 3.0, 4.0, 5.0]), by_seed(other)).worth


def test_a_surely_positive_but_weak_correlation_is_not_worth_pairing():
    rng = np.random.default_rng(3)
    a = rng.normal(size=400)
    found = pairing(by_seed(a.tolist()), by_seed((0.2 * a + rng.normal(size=400)).tolist()))
    assert 0.1 < found.correlation < 0.3
    assert not found.worth


def test_only_common_seeds_are_correlated_and_logarithms_where_asked():
    a, b = {0: 1.0, 1: 10.0, 2: 100.0, 9: 7.0}, {0: 2.0, 1: 20.0, 2: 200.0, 8: 1.0}
    assert pairing(a, b, log=True).correlation == pytest.approx(1)
    assert pairing(a, b).n == 3


def compared(a: np.ndarray, b: np.ndarray) -> Difference:
    return difference(a.tolist(), b.tolist(), paired=pairing(by_seed(a.tolist()), by_seed(b.tolist())).worth)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
def test_choosing_the_test_by_the_correlation_keeps_the_promise_of_5_percent(rho):
    rng = np.random.default_rng(8)
    trials = 3000
    a = rng.normal(size=(trials, 5))
    b = rho * a + math.sqrt(1 - rho**2) * rng.normal(size=(trials, 5))
    found = [compared(x, y) for x, y in zip(a, b, strict=True)]
    wrong = sum(one.p <= 0.05 for one in found)
    missed = sum(not one.low <= 0 <= one.high for one in found)
    assert 0.03 < wrong / trials < 0.065
    assert missed == wrong


def test_pairing_finds_small_differences_of_methods_that_share_their_luck():
    rng = np.random.default_rng(9)
    luck = rng.normal(size=(200, 5))
    found = [compared(x + 0.2 + rng.normal(0, 0.05, 5), x) for x in luck]
    assert np.mean([one.p <= 0.05 for one in found]) > 0.8


# -- who is better how often ---------------------------------------------------------------------------------


def test_the_probability_of_improvement_is_the_mann_whitney_u_over_all_pairs():
    a, b = [1.0, 2.0, 2.0, 5.0], [2.0, 3.0, 1.0]
    expected = stats.mannwhitneyu(a, b).statistic / 12
    assert improvement(a, b, "max").estimate == pytest.approx(expected)
    assert improvement(a, b, "min").estimate == pytest.approx(1 - expected)


def test_its_interval_solves_the_equation_of_newcombe():
    found = improvement([3.0, 4.0, 6.0, 7.0, 8.0], [1.0, 2.0, 3.5, 5.0, 5.5], "max")
    theta, z, more = found.estimate, stats.norm.ppf(0.975), 4
    for p in (found.low, found.high):
        variance = p * (1 - p) * (1 + more * (1 - p) / (2 - p) + more * p / (1 + p)) / 25
        assert abs(p - theta) == pytest.approx(z * math.sqrt(variance), rel=1e-6)
    assert found.low < theta < found.high


def test_five_wins_out_of_five_are_no_certainty():
    found = improvement([1.0] * 5, [2.0] * 5, "min")
    assert (found.estimate, found.high) == (1, pytest.approx(1))
    assert 0.6 < found.low < 0.7
    other = improvement([1.0] * 5, [2.0] * 5, "max")
    assert (other.low, other.high) == pytest.approx((0, 1 - found.low), abs=1e-9)
    even = improvement([1.0] * 5, [1.0] * 5, "min")
    assert (even.estimate, even.low + even.high) == (0.5, pytest.approx(1))


@pytest.mark.parametrize(("n", "apart"), [(5, 0.0), (5, 1.0), (5, 2.0), (10, 1.0)])
def test_95_of_100_such_intervals_hold_the_true_probability(n, apart):
    rng = np.random.default_rng(n)
    truth = stats.norm.cdf(apart / math.sqrt(2))
    trials = 1000
    found = [improvement(rng.normal(apart, 1, n).tolist(), rng.normal(0, 1, n).tolist(), "max") for _ in range(trials)]
    assert 0.925 < sum(one.low <= truth <= one.high for one in found) / trials < 0.985


# -- seeds needed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "n"), [(2.0, 6), (1.0, 17), (0.8, 26), (0.5, 64), (0.2, 394)])
def test_seeds_needed_agree_with_the_tables_of_cohen(d, n):
    assert seeds_needed(d / math.sqrt(2)) == n


@pytest.mark.parametrize(("shift", "freedom"), [(0.7, 2.0), (0.4, 1.3), (1.5, 1.0), (2.5, 1.0)])
def test_the_number_is_the_least_whose_power_is_80_percent(shift, freedom):
    def power(n: int) -> float:
        df, distance = freedom * (n - 1), shift * math.sqrt(n)
        quantile = stats.t.ppf(0.975, df)
        return stats.nct.sf(quantile, df, distance) + stats.nct.cdf(-quantile, df, distance)

    n = seeds_needed(shift, freedom)
    assert power(n) >= 0.8
    assert n == 2 or power(n - 1) < 0.8


def test_that_many_seeds_do_find_the_difference_in_four_of_five_cases():
    rng = np.random.default_rng(4)
    found = [welch(rng.normal(1, 1, 17).tolist(), rng.normal(0, 1, 17).tolist()) <= 0.05 for _ in range(2000)]
    assert 0.775 < np.mean(found) < 0.835


def test_methods_that_hardly_differ_would_need_too_many_seeds():
    assert seeds_needed(0.05) is None
    assert seeds_needed(0.0) is None


@pytest.mark.parametrize("shift", [3.0, 10.0, 100.0, 1e6, math.inf])
def test_huge_differences_need_two_seeds_or_few_more(shift):
    assert 2 <= seeds_needed(shift) <= 3


# -- committed tables ----------------------------------------------------------------------------------------

PUBLISHED = sorted(Path(__file__).parents[1].glob("leaderboards/*/table.csv"))


def _records_of(line: dict[str, str], records: list[dict]) -> list[dict]:
    """The finished records of a line of the table, in the order of their seeds."""
    mine = []
    for record in records:
        parts = [(record.get(kind) or {}).get("name", "") for kind in ("arch", "loss")]
        changes = " ".join(f"{name}={value}" for name, value in sorted(record.get("changes", {}).items()))
        tricks = " ".join(trick["name"] for trick in record.get("tricks", []))
        told = (*parts, tricks, record.get("yardstick", ""), changes)
        if told == (line["arch"], line["loss"], line["tricks"], line["yardstick"], line["changes"]):
            mine.append(record)
    return sorted(mine, key=lambda record: record["seed"])


def _check_summary(
    line: dict[str, str],
    label: str,
    values: list[float],
    low: float | None,
    high: float | None,
    *,
    log: bool,
    untested: bool,
) -> None:
    parts = ["sd", "median", "min", "max"] if untested else ["centre", "sd", "low", "high", "median", "min", "max"]
    assert not untested or {line[f"{label} {part}"] for part in ("centre", "low", "high")} == {""}
    given = {part: float(line[f"{label} {part}"]) for part in parts}
    on_scale, back = (np.log(values), np.exp) if log else (np.array(values), np.array)
    mean, error = on_scale.mean(), stats.sem(on_scale)
    ends = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=error) if error > 1e-12 else (mean, mean)
    centre, ends = float(back(mean)), [float(back(end)) for end in ends]
    clipped = np.clip(ends, -np.inf if low is None else min(low, centre), np.inf if high is None else max(high, centre))
    expected = {"centre": centre, "sd": np.std(values, ddof=1), "low": clipped[0], "high": clipped[1]}
    expected |= {"median": np.median(values), "min": min(values), "max": max(values)}
    expected = {part: expected[part] for part in parts}
    assert given == pytest.approx(expected, rel=2e-5, abs=1e-9), (label, line["arch"], line["loss"])


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.parent.name)
def test_every_number_of_a_committed_table_follows_from_its_records_by_scipy_alone(path):
    records = [json.loads(file.read_bytes()) for file in sorted(path.parent.glob("records/*.json"))]
    lines = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    columns = {name: column for record in records for name, column in record["columns"].items()}
    goal_of = {name: column["goal"] for name, column in columns.items()}
    headline = next(name for name in columns if records[0]["headline"] in (name, name.partition("@")[0]))
    rows = [_records_of(line, records) for line in lines]
    assert sum(map(len, rows)) == len(records)
    rivals = [i for i, mine in enumerate(rows) if _is_ranked(lines[i], mine)]
    assert [i for i, line in enumerate(lines) if line["rank"]] == (rivals if goal_of[headline] != "info" else [])
    logs = {
        name
        for name, column in columns.items()
        if column.get("low") == 0 and column.get("high") is None
        and all(value > 0 for i in rivals for value in _scores_of(rows[i], name))
    }  # fmt: skip
    for line, mine in zip(lines, rows, strict=True):
        assert (int(line["ok"]), int(line["seeds"])) == (len(mine), len(mine) + int(line["missing"]))  # none failed
        for name, column in columns.items():
            values = _scores_of(mine, name)
            assert int(line[f"{name.partition('@')[0]} n"]) == len(values)
            if len(values) > 1:
                limits, log = (column.get("low"), column.get("high")), name in logs and min(values) > 1e-12
                untested = line["kind"] != "yardstick" and any(map(_collapsed, mine))
                _check_summary(line, name.partition("@")[0], values, *limits, log=log, untested=untested)
    groups = [np.array(_scores_of(rows[i], headline)) for i in rivals]
    groups = [np.log(group) if headline in logs else group for group in groups]
    found = [(int(lines[i]["rank"]), int(lines[i]["rank worst"])) for i in rivals]
    assert found == _ranges(groups, goal_of[headline])
    merit = [(-1 if goal_of[headline] == "min" else 1) * group.mean() for group in groups]
    assert merit == sorted(merit, reverse=True)  # rows stand in the order of the mean that is tested


def _scores_of(records: list[dict], name: str) -> list[float]:
    return [record["scores"][name] for record in records if name in record["scores"]]


def _is_ranked(line: dict[str, str], records: list[dict]) -> bool:
    return line["kind"] == "entry" and line["missing"] == "0" and not any(map(_collapsed, records))


def _collapsed(record: dict) -> bool:
    limits = {name: column["collapsed_at"] for name, column in record["columns"].items() if column.get("collapsed_at")}
    return record["self_checks"]["spread"] <= 0.02 or any(record["scores"][name] <= at for name, at in limits.items())


def _ranges(groups: list[np.ndarray], goal: str) -> list[tuple[int, int]]:
    """1 + the groups significantly better, to all less those significantly worse: Welch, Holm over all pairs."""
    pairs = [(i, j) for i in range(len(groups)) for j in range(i)]
    p = [_welch_p(groups[i], groups[j]) for i, j in pairs]
    better, worse = [0] * len(groups), [0] * len(groups)
    for step, k in enumerate(np.argsort(p, kind="stable")):
        if p[k] > 0.05 / (len(p) - step):
            break
        i, j = pairs[k]
        if (groups[i].mean() > groups[j].mean()) != (goal == "max"):
            i, j = j, i
        worse[i] += 1
        better[j] += 1
    return [(1 + b, len(groups) - w) for b, w in zip(better, worse, strict=True)]


def _welch_p(a: np.ndarray, b: np.ndarray) -> float:
    if np.ptp(a) == 0 and np.ptp(b) == 0:  # scipy has no value for two constants
        return float(a[0] == b[0])
    return stats.ttest_ind(a, b, equal_var=False).pvalue


# -- speed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["leaderboards.table", "leaderboards.comparison"])
def test_a_leaderboard_comes_up_without_torch_pandas_or_scipy(module):
    code = f"import sys, ganbench.{module}; print({{'torch', 'pandas', 'scipy', 'rich'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
