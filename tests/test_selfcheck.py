"""Self-checks that run with every evaluation: floor, identical sets, counts, collapse."""

from __future__ import annotations

import math

import pytest
import torch
from msgspec.structs import replace

from ganbench.contracts.data import Split
from ganbench.errors import DataError, PluginError
from ganbench.evaluation.judge import Judge
from ganbench.evaluation.sampling import draw_reference
from ganbench.evaluation.selfcheck import SelfCheck, effective_samples
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import SelfChecks
from ganbench.runs.setup import prepare
from ganbench_baselines.extractor.digits_cnn import DigitsCNN

RULES = load_protocol("smoke-v1")


@pytest.fixture(scope="module")
def bench():
    return prepare(RULES, "cpu")


def test_effective_samples_count_directions_that_are_used_alike() -> None:
    assert effective_samples(torch.eye(7, dtype=torch.float64).repeat(5, 1)) == pytest.approx(7)
    assert effective_samples(torch.ones(9, 4, dtype=torch.float64)) == pytest.approx(1)
    assert effective_samples(torch.zeros(9, 4, dtype=torch.float64)) == pytest.approx(1)
    halves = torch.tensor([[1.0, 0.0]] * 9 + [[0.0, 2.0]], dtype=torch.float64)
    assert effective_samples(halves) == pytest.approx(math.exp(-0.9 * math.log(0.9) - 0.1 * math.log(0.1)))


def test_the_effective_number_is_that_of_the_kernel_of_all_pairs() -> None:
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = x / x.norm(dim=1, keepdim=True)
    eigen = torch.linalg.eigvalsh(unit @ unit.T / 40).clamp(min=1e-300)
    assert effective_samples(x) == pytest.approx(math.exp(-(eigen * eigen.log()).sum().item()))


@pytest.fixture(scope="module")
def checks(bench) -> SelfChecks:
    """Of real digits in the place of fakes."""
    return bench.self_check(bench.judge.reference)


def test_real_digits_pass_every_check(checks) -> None:
    assert checks.failed == ()
    assert (checks.real, checks.fake) == (500, 500)


def test_identical_sets_have_no_distance_and_other_reals_have_one(checks) -> None:
    (name,) = checks.identical
    assert name.startswith("fid@digits-cnn")
    assert abs(checks.identical[name]) < 1e-6 < checks.floor[name]


def test_real_digits_have_the_spread_of_the_reals(checks) -> None:
    assert checks.effective_samples > 5
    assert checks.real_effective == pytest.approx(checks.effective_samples)
    assert (checks.spread, checks.raw_spread) == (pytest.approx(1), pytest.approx(1))


def test_noise_is_alike_to_the_extractor_and_spreads_as_pixels(bench) -> None:
    rng = torch.Generator().manual_seed(0)
    noise = Split(torch.randint(256, bench.judge.reference.x.shape, generator=rng, dtype=torch.uint8))
    checks = bench.self_check(noise)
    assert checks.spread < 0.05
    assert checks.raw_spread > 1


def test_features_of_fakes_are_remembered_as_long_as_the_fakes_exist(bench, monkeypatch) -> None:
    fakes = bench.judge.reference[torch.arange(20)]
    bench.judge.score(fakes, 0)
    kept = len(bench.judge._signals)
    with monkeypatch.context() as patched:
        patched.setattr(DigitsCNN, "forward", lambda *_: pytest.fail("extracted again"))
        assert bench.judge.signal(fakes).shape[0] == 20
    del fakes
    assert len(bench.judge._signals) == kept - 1


def test_one_sample_over_and_over_has_no_spread(bench) -> None:
    same = Split(bench.judge.reference.x[:1].expand(500, -1, -1, -1).contiguous())
    checks = bench.self_check(same)
    assert checks.effective_samples == pytest.approx(1, abs=1e-3)
    assert checks.spread == 0


def test_another_number_of_fakes_than_reals_is_a_failed_check(bench) -> None:
    few = bench.judge.reference[torch.arange(100)]
    assert bench.self_check(few).failed == ("100 fakes were compared with 500 real samples",)


class Fixed:
    """A metric that gives one score to the very same sample and another one to all others."""

    version = 1

    def __init__(self, goal: str, same: float, others: float) -> None:
        self.columns, self.same, self.others = {"score": goal}, same, others

    def __call__(self, evaluation):
        return {"score": self.same if torch.equal(evaluation.real, evaluation.fake) else self.others}


@pytest.mark.parametrize(
    ("goal", "same", "others", "fails"),
    [
        ("min", 1.0, 0.5, True),
        ("min", 0.5, 1.0, False),
        ("max", 0.5, 1.0, True),
        ("max", 1.0, 0.5, False),
        ("max", 0.85, 1.0, False),
        ("max", 0.75, 1.0, True),
        ("info", 0.0, 9.0, False),
    ],
)
def test_a_metric_that_prefers_other_reals_to_the_very_same_fails_its_check(goal, same, others, fails, bench) -> None:
    judge = Judge(bench.dataset, bench.judge.reference, {"m": Fixed(goal, same, others)}, None, torch.device("cpu"))
    failed = SelfCheck(judge, "all", "m", 0)(bench.judge.reference).failed
    assert failed == (
        (f"score rates other real samples ({others:g}) better than identical ones ({same:g})",) if fails else ()
    )


def test_density_that_chance_raised_above_1_fails_no_check() -> None:
    rules = load_protocol("grid-v2")
    check = prepare(rules, "cpu").self_check
    (density,) = (score for name, score in check.floor.items() if name.startswith("density@"))
    assert density > 1.02, "the case that is meant"
    assert check(prepare(rules, "cpu").judge.reference).failed == ()


def test_an_extractor_that_fails_on_the_data_is_told_before_anything_is_trained(monkeypatch) -> None:
    def fail(self, x):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(DigitsCNN, "forward", fail)
    rules = load_protocol("smoke-v1")
    with pytest.raises(PluginError, match=r"'digits-cnn' fails on two samples of digits: RuntimeError: shapes do not"):
        prepare(replace(rules, name="fails-v1"), "cpu")


@pytest.mark.parametrize(("part", "where"), [("train", "1438 in its train part"), ("all", "1797")])
def test_too_few_samples_are_told_with_a_step_that_helps(part, where, bench) -> None:
    with pytest.raises(DataError) as caught:
        draw_reference(bench.dataset, part, 9999, 0)
    assert caught.value.message == f"the protocol evaluates 9999 samples, but 'digits' has {where}"
    assert ('reference = "all"' in caught.value.hint) is (part == "train")


def test_opposite_clusters_have_spread_and_one_point_has_none() -> None:
    """A sample and its opposite have similar cosines, so effective samples do not tell two modes from one."""
    bench = prepare(load_protocol("grid-v1"), "cpu")
    two = torch.tensor([[-4.0, -4.0], [4.0, 4.0]]).repeat(1250, 1)
    checks = bench.self_check(Split(two))
    assert checks.effective_samples < 1.1
    assert checks.spread > 1
    assert bench.self_check(Split(two[:1].repeat(2500, 1))).spread == 0


def test_the_spread_is_the_share_of_the_reals_variance() -> None:
    rules = load_protocol("ring-v1")
    line = replace(
        rules, dataset="gaussian-1d", evaluation=replace(rules.evaluation, metrics=("density-coverage",), samples=500)
    )
    bench = prepare(line, "cpu")
    for scale in (0.0, 0.2, 1.0):
        fakes = Split(4 + scale * (bench.judge.reference.x - 4))
        checks = bench.self_check(fakes)
        assert (checks.spread, checks.raw_spread) == pytest.approx((scale**2, scale**2), abs=1e-5)
