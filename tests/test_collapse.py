"""Collapse: derived from a record's scores and from what its columns declare."""

from __future__ import annotations

import pytest
import torch
from msgspec.structs import replace
from toy import make

from ganbench import Split
from ganbench.contracts.evaluation import Evaluation
from ganbench.errors import PluginError
from ganbench.evaluation.judge import Judge
from ganbench.plugins.protocols import load_protocol
from ganbench.records.collapse import ALIKE, Collapse, collapses_of
from ganbench.records.record import Column, SelfChecks
from ganbench.runs.setup import prepare
from ganbench_baselines.metric.modes import Modes


def checked(spread: float) -> SelfChecks:
    return SelfChecks(100, 100, {}, {}, 5.0, spread)


@pytest.mark.parametrize(("spread", "fallen"), [(0.0, True), (ALIKE, True), (0.021, False), (1.0, False)])
def test_samples_that_are_all_alike_are_a_collapse(spread, fallen) -> None:
    found = collapses_of(make("a+x", 0, 0.5, self_checks=checked(spread)))
    assert found == ((Collapse("spread", spread, ALIKE),) if fallen else ())


@pytest.mark.parametrize(("raw", "fallen"), [(0.01, True), (0.9, False), (None, True)])
def test_noise_that_looks_alike_to_the_extractor_is_no_collapse(raw, fallen) -> None:
    """The features of a digit classifier hardly vary over noise; the samples do."""
    found = collapses_of(make("a+x", 0, 0.5, self_checks=SelfChecks(100, 100, {}, {}, 1.1, 0.013, raw_spread=raw)))
    assert bool(found) is fallen


def test_a_spread_that_is_not_known_is_no_collapse() -> None:
    assert collapses_of(make("a+x", 0, 0.5, self_checks=SelfChecks(100, 100, {}, {}, 1.1))) == ()


@pytest.mark.parametrize(
    ("effective", "real", "spread", "fallen"),
    [
        (1.19, 10.8, 0.15, True),
        (1.21, 10.8, 0.15, False),
        (1.0, 10.8, 1.0, False),  # two opposite clusters
        (1.0, 1.0, 0.15, False),  # on a line
        (1.0, 0.0, 0.15, False),  # an older record
    ],
)
def test_samples_that_all_point_one_way_are_a_collapse(effective, real, spread, fallen) -> None:
    checks = SelfChecks(100, 100, {}, {}, effective, spread, real_effective=real)
    found = collapses_of(make("a+x", 0, 0.5, self_checks=checks))
    assert [way.column for way in found] == (["effective samples"] if fallen else [])


@pytest.mark.parametrize(
    ("goal", "score", "limit", "fallen"),
    [
        ("max", 1.0, 1.0, True),
        ("max", 1.3, 1.0, False),
        ("min", 9.0, 9.0, True),
        ("min", 8.9, 9.0, False),
        ("info", 0.0, 0.1, True),
        ("max", 0.0, None, False),
    ],
)
def test_a_score_no_better_than_its_columns_limit_is_a_collapse(goal, score, limit, fallen) -> None:
    record = make("a+x", 0, 0.5)
    record = replace(record, scores={"m@x": score}, columns={"m@x": Column(goal, collapsed_at=limit)})
    assert collapses_of(record) == ((Collapse("m@x", score, limit, goal),) if fallen else ())


def test_yardsticks_and_failed_runs_have_not_collapsed() -> None:
    assert collapses_of(make("a+x", 0, 0.5, status="error", self_checks=checked(0.0))) == ()
    assert collapses_of(replace(make("a+x", 0, 0.5, self_checks=checked(0.0)), yardstick="one class")) == ()


def test_a_collapse_is_told_with_the_score_and_the_limit() -> None:
    alike, few, far = (
        Collapse("spread", 0.00754, ALIKE),
        Collapse("modes_hit@x:1", 19.0, 20.0),
        Collapse("w1", 9, 8, "min"),
    )
    assert alike.told == "spread 0.00754 (collapsed: at most 0.02)"
    assert alike.way == "samples all alike (spread at most 0.02 of the reals')"
    assert (few.told, few.way) == ("modes_hit 19 (collapsed: at most 20)", "modes_hit at most 20")
    assert (far.told, far.way) == ("w1 9 (collapsed: at least 8)", "w1 at least 8")


@pytest.mark.parametrize(("protocol", "limit"), [("ring-v1", 1), ("grid-v1", 1), ("stacked-digits-v1", 20)])
def test_a_generator_of_hardly_any_mode_has_collapsed(protocol, limit) -> None:
    bench = prepare(load_protocol(protocol), "cpu")
    reals, oracle = bench.judge.reference, bench.dataset.oracle
    evaluation = Evaluation(reals.x, reals.x, bench.dataset.spec, torch.Generator(), oracle=oracle)
    assert Modes().collapsed_at(evaluation) == {"modes_hit": limit}


def test_the_limit_of_collapse_travels_with_the_verdicts_columns() -> None:
    bench = prepare(load_protocol("ring-v1"), "cpu")
    one = Split(bench.judge.reference.x[:1].repeat(2500, 1))
    verdict = bench.judge.score(one, 0)
    assert verdict.columns["modes_hit"] == Column("max", 0, None, 1.0, "modes")
    assert verdict.columns["hq_fraction"] == Column("max", 0, 1, None, "modes")


@pytest.mark.parametrize("limits", [{"other": 1.0}, {"score": float("nan")}])
def test_a_limit_for_no_column_or_no_number_is_a_broken_metric(limits) -> None:
    class Wrong:
        columns, version = {"score": "max"}, 1

        def __call__(self, evaluation):
            return {"score": 1.0}

        def collapsed_at(self, evaluation):
            return limits

    bench = prepare(load_protocol("ring-v1"), "cpu")
    judge = Judge(bench.dataset, bench.judge.reference, {"wrong": Wrong()}, None, torch.device("cpu"))
    with pytest.raises(PluginError, match="the metric 'wrong' states collapsed_at"):
        judge.score(bench.judge.reference, 0)
