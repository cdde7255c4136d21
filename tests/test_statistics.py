"""Intervals, tests and ranks against scipy.stats, hand-worked examples and simulation."""

from __future__ import annotations

import math
import random
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from ganbench.statistics import holm, pooled_sd, ranks, summarise, welch

FIVE = [0.71, 0.74, 0.66, 0.69, 0.73]


# -- intervals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_interval_is_the_student_t_interval_of_scipy(n):
    values = FIVE[:n]
    low, high = stats.t.interval(0.95, n - 1, loc=np.mean(values), scale=stats.sem(values))
    summary = summarise(values)
    assert (summary.low, summary.high) == pytest.approx((low, high), rel=1e-9)
    assert summary.sd == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    assert (summary.mean, summary.n, summary.values) == (pytest.approx(np.mean(values)), n, tuple(values))


def test_a_single_seed_has_no_interval_and_no_sd():
    summary = summarise([0.7], 0, 1)
    assert (summary.mean, summary.n, summary.sd, summary.low, summary.high) == (0.7, 1, None, None, None)


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
    assert summary.low <= summary.mean <= summary.high


@pytest.mark.parametrize("value", [0.1, 1 / 3, 10.0, 1e-8])
def test_a_constant_has_exactly_no_variance(value):
    summary = summarise([value] * 3)
    assert (summary.mean, summary.sd, summary.low, summary.high) == (value, 0, value, value)


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


def test_the_better_entry_ranks_first_whichever_way_is_better():
    groups = [around(0.5), around(0.9), around(0.7)]
    assert ranks(groups, "max") == [3, 1, 2]
    assert ranks(groups, "min") == [1, 3, 2]


def test_entries_that_cannot_be_told_apart_share_a_rank():
    groups = [around(0.9), around(0.901), around(0.5), around(0.501), around(0.1)]
    assert ranks(groups, "max") == [1, 1, 3, 3, 5]


def test_an_entry_of_one_seed_has_no_rank_and_takes_none_away():
    assert ranks([around(0.5), [0.99], around(0.9)], "max") == [2, None, 1]


def test_a_score_without_direction_gives_no_ranks():
    assert ranks([around(0.5), around(0.9)], "info") == [None, None]


def test_no_entries_and_a_lonely_one_are_fine():
    assert ranks([], "max") == []
    assert ranks([around(0.5)], "max") == [1]


def test_ranks_are_given_on_the_log_scale_where_asked():
    groups = [[1.0, 1.1, 0.9, 1.05, 0.95], [2.0, 20.0, 5.0, 60.0, 9.0]]
    assert ranks(groups, "min", log=False) == [1, 1]
    assert ranks(groups, "min", log=True) == [1, 2]


def test_ranks_follow_their_definition_pair_by_pair():
    rng = random.Random(7)
    groups = [[rng.gauss(i / 4, 0.2) for _ in range(rng.randint(2, 6))] for i in range(12)]
    expected = []
    for i, mine in enumerate(groups):
        others = [group for j, group in enumerate(groups) if j != i]
        p = [stats.ttest_ind(mine, other, equal_var=False).pvalue for other in others]
        order = sorted(range(len(p)), key=p.__getitem__)
        significant: set[int] = set()
        for step, k in enumerate(order):
            if p[k] > 0.05 / (len(p) - step):
                break
            significant.add(k)
        expected.append(1 + sum(np.mean(others[k]) < np.mean(mine) for k in significant))
    assert len(set(expected)) > 4
    assert ranks(groups, "min") == expected


@pytest.fixture(scope="module")
def tables_of_equals() -> list[list[int | None]]:
    """Ranks of ten identical methods, five seeds each, many times over."""
    rng = random.Random(2024)
    draw = range(5)
    return [ranks([[rng.gauss(0, 1) for _ in draw] for _ in range(10)], "max") for _ in range(1000)]


def test_among_ten_equals_a_single_winner_is_hardly_ever_named(tables_of_equals):
    single = sum(table.count(1) == 1 for table in tables_of_equals)
    assert single <= 0.05 * len(tables_of_equals)


def test_an_entry_is_wrongly_ranked_down_in_at_most_5_of_100_tables(tables_of_equals):
    demoted = sum(rank != 1 for table in tables_of_equals for rank in table)
    share = demoted / sum(map(len, tables_of_equals))
    assert 0.002 < share < 0.05


# -- speed ---------------------------------------------------------------------------------------------------


def test_a_leaderboard_comes_up_without_torch_pandas_or_scipy():
    code = "import sys, ganbench.leaderboard; print({'torch', 'pandas', 'scipy', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
