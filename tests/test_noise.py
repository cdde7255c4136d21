"""A repetition compared by seed noise: the test's p-values, its error rate, its power, and its floors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean

import numpy as np
import pytest
import toy
from scipy import stats

from ganbench.records.record import Column, Record
from ganbench.runs.noise import Judged, judge_scores

SHARE, COUNT, POSITIVE, OPEN = Column("max", 0, 1), Column("max", 0, None), Column("min", 0, None), Column("min")
INFO = Column("info", 0, None)
SAMPLES = 1000  # what toy's records were scored on


def scored(column: Column, *draws: float) -> Record:
    """A record with one score, of one value per draw."""
    return scored_in({"score": column}, *({"score": value} for value in draws))


def scored_in(columns: dict[str, Column], *draws: dict[str, float]) -> Record:
    scores = {name: fmean(draw[name] for draw in draws) for name in draws[0]}
    return toy.make(scores=scores, draws=list(draws), columns={name: columns[name] for name in scores})


def judged(column: Column, then: float, now: float, others: Iterable[float]) -> Judged:
    """The only score, of one draw each."""
    (found,) = judge_scores(scored(column, then), scored(column, now), [scored(column, value) for value in others])
    return found


def test_p_is_that_of_a_difference_of_two_draws_by_students_t() -> None:
    others = [0.31, 0.25, 0.4, 0.36]
    found = judged(OPEN, 0.3, 0.5, others)
    assert found.p == pytest.approx(2 * stats.t.sf(0.2 / (math.sqrt(2) * np.std(others, ddof=1)), 3))
    assert (found.then, found.now, found.seeds, found.adjusted) == (0.3, 0.5, 4, found.p)


def test_positive_scores_are_compared_on_the_log_scale() -> None:
    others = [20.0, 25.0, 40.0]
    t = math.log(90 / 30) / (math.sqrt(2) * np.std(np.log(others), ddof=1))
    assert judged(POSITIVE, 30, 90, others).p == pytest.approx(2 * stats.t.sf(t, 2))
    others = [0.0, 25.5, 40.0]
    t = 60 / (math.sqrt(2) * np.std(others, ddof=1))
    assert judged(POSITIVE, 30, 90, others).p == pytest.approx(2 * stats.t.sf(t, 2)), "zero has no logarithm"


def test_p_is_corrected_for_the_number_of_scores() -> None:
    columns = dict.fromkeys("abcdef", OPEN)

    def record(value: float) -> Record:
        return scored_in(columns, {name: value if name == "a" else 0.3 for name in columns})

    found = judge_scores(record(0.3), record(0.5), [record(value) for value in (0.31, 0.25, 0.4, 0.36)])
    assert found[0].column == "a", "the least likely difference comes first"
    assert found[0].adjusted == pytest.approx(6 * found[0].p)
    assert {one.adjusted for one in found[1:]} == {1.0}


def simulated(shift: float, correlation: float, times: int = 600) -> float:
    """How often five other seeds and six scores call a repetition different that is ``shift`` sd away."""
    rng = np.random.default_rng(0)
    columns = dict.fromkeys("abcdef", OPEN)
    called = 0
    for _ in range(times):
        common, own = rng.standard_normal((7, 1)), rng.standard_normal((7, 6))
        values = math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own
        values[1] += shift
        then, now, *others = (scored_in(columns, dict(zip(columns, row, strict=True))) for row in values.tolist())
        called += any(one.beyond_noise for one in judge_scores(then, now, others))
    return called / times


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_noise_alone_is_called_different_at_most_once_in_twenty(correlation) -> None:
    assert simulated(0, correlation) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 600)


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_a_shift_of_eight_standard_deviations_is_called_different(correlation) -> None:
    assert simulated(8, correlation, times=100) >= (0.95 if not correlation else 0.7)


def test_a_record_that_is_itself_far_off_is_found() -> None:
    assert judged(OPEN, 9.0, 0.3, [0.31, 0.25, 0.4, 0.36]).beyond_noise


def test_a_count_that_all_seeds_agree_on_has_the_noise_of_one_count() -> None:
    then, others = scored(COUNT, 10, 10), [scored(COUNT, 10, 10)] * 4
    (one_less,) = judge_scores(then, scored(COUNT, 10, 9), others)
    assert one_less.p == pytest.approx(2 * stats.t.sf(math.log(10 / 9.5) / math.sqrt(2) / math.log1p(0.5 / 9.5), 3))
    assert not one_less.beyond_noise
    (none,) = judge_scores(then, scored(COUNT, 0, 0), others)
    assert none.p == pytest.approx(2 * stats.t.sf(10 / math.sqrt(2) / 0.5, 3))
    assert none.beyond_noise


@pytest.mark.parametrize(("column", "level"), [(SHARE, 1.0), (SHARE, 0.0), (COUNT, 0.0), (Column("max", 1, None), 2.5)])
def test_a_score_that_all_seeds_agree_on_has_the_noise_of_one_sample(column, level) -> None:
    one = (1 / SAMPLES) * (level if column.low else 1) * (-1 if level == 1 else 1)
    assert judged(column, level, level + one, [level] * 4).p == pytest.approx(
        2 * stats.t.sf(1 / math.sqrt(2), 3), rel=0.01
    )
    assert judged(column, level, level + 100 * one, [level] * 4).beyond_noise


def test_seeds_that_agree_by_chance_have_at_least_the_noise_of_evaluation() -> None:
    others = [scored(OPEN, 1.0, 1.2), scored(OPEN, 1.2, 1.0), scored(OPEN, 0.9, 1.3)]
    (found,) = judge_scores(scored(OPEN, 1.1, 1.1), scored(OPEN, 1.2, 1.4), others)
    within = math.sqrt((0.02 + 0.02 + 0.08) / 3)
    assert found.p == pytest.approx(2 * stats.t.sf(0.2 / math.sqrt(2) / (within / math.sqrt(2)), 2))


def test_scores_that_are_equal_are_no_difference_even_if_nothing_varies() -> None:
    assert judged(OPEN, 0.0, 0.0, [0.0, 0.0]).p == 1


def test_scores_without_a_direction_take_no_part() -> None:
    assert judge_scores(scored(INFO, 1), scored(INFO, 9), [scored(INFO, 1)] * 4) == []


def test_a_score_needs_two_other_seeds_and_both_runs() -> None:
    columns = {"old": OPEN, "rare": OPEN, "both": OPEN}
    then = scored_in(columns, {"old": 1.0, "rare": 1.0, "both": 1.0})
    now = scored_in(columns, {"rare": 2.0, "both": 2.0})
    others = [scored_in(columns, {"both": 1.0, "rare": 1.0}), scored_in(columns, {"both": 1.1})]
    assert [(one.column, one.seeds) for one in judge_scores(then, now, others)] == [("both", 2)]
    assert judge_scores(then, now, others[:1]) == []
