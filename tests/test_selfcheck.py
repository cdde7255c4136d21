"""Self-checks that run with every evaluation: floor, identical sets, counts, collapse."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch

from ganbench.bench import prepare
from ganbench.data import Split
from ganbench.evaluate import Judge
from ganbench.plan import load_protocol
from ganbench.selfcheck import SelfCheck, effective_samples

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


def test_real_digits_pass_every_check(bench) -> None:
    checks = bench.self_check(bench.judge.reference)
    (name,) = checks.identical
    assert name.startswith("fid@digits-cnn")
    assert abs(checks.identical[name]) < 1e-6 < checks.floor[name]
    assert checks.failed == ()
    assert (checks.real, checks.fake) == (500, 500)
    assert checks.effective_samples > 5
    assert bench.self_check.collapse(checks, {"modes_covered@x": 10.0}) == ""


def test_one_sample_over_and_over_is_a_collapse(bench) -> None:
    same = Split(bench.judge.reference.x[:1].expand(500, -1, -1, -1).contiguous())
    checks = bench.self_check(same)
    assert checks.effective_samples == pytest.approx(1, abs=1e-3)
    assert "effective samples 1.00" in bench.self_check.collapse(checks, {"modes_covered@x": 1.0})


def test_no_mode_covered_is_a_collapse(bench) -> None:
    checks = bench.self_check(bench.judge.reference)
    assert bench.self_check.collapse(checks, {"modes_covered@digits-cnn:1": 0.0}) == "modes_covered is 0"
    assert bench.self_check.collapse(checks, {"modes_covered": 0.0}) == "modes_covered is 0"


def test_another_number_of_fakes_than_reals_is_a_failed_check(bench) -> None:
    few = bench.judge.reference[torch.arange(100)]
    assert bench.self_check(few).failed == ("100 fakes were compared with 500 reals",)


class Perverse:
    """A metric that likes strangers better."""

    columns: ClassVar = {"fid": "min"}
    version = 1

    def __call__(self, evaluation):
        return {"fid": 1.0 if torch.equal(evaluation.real, evaluation.fake) else 0.5}


def test_a_metric_that_prefers_other_reals_to_the_very_same_fails_its_check(bench) -> None:
    judge = Judge(bench.dataset, bench.judge.reference, {"fid": Perverse()}, None, torch.device("cpu"))
    checks = SelfCheck(judge, "all", "fid", 0)(bench.judge.reference)
    assert checks.failed == ("fid finds other reals (0.5) better than the very same (1)",)


def test_data_of_one_dimension_cannot_be_told_to_collapse() -> None:
    bench = prepare(load_protocol("ring-v1"), "cpu")
    assert bench.self_check.real_effective == pytest.approx(2, abs=0.01)
