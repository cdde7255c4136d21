"""Distances of numbers, against closed forms and scipy; and the protocol of the classic tutorial."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from ganbench.contracts.data import DataSpec
from ganbench.contracts.evaluation import Evaluation
from ganbench.errors import Unsupported
from ganbench.testing import check_metric, check_protocol
from ganbench_baselines.metric import distance_1d

N = 4000


def score(real: Tensor, fake: Tensor) -> dict[str, float]:
    spec, rng = DataSpec(tuple(real.shape[1:]), bounded=False), torch.Generator().manual_seed(0)
    metric = distance_1d.ganbench_metric()
    return dict(metric(Evaluation(real=real.float(), fake=fake.float(), spec=spec, rng=rng)))


def normal(mean: float = 0.0, std: float = 1.0, n: int = N) -> Tensor:
    """The middles of n equal shares of a normal distribution, in a random order: a sample without chance."""
    x = mean + std * torch.from_numpy(norm.ppf((np.arange(n) + 0.5) / n))
    return x[torch.randperm(n)][:, None]


def test_equal_samples_are_at_no_distance():
    x = normal()
    assert score(x, x.flip(0)) == {"w1": 0, "ks": 0, "mean": pytest.approx(0, abs=1e-6), "std": pytest.approx(1, 1e-2)}


@pytest.mark.parametrize("shift", [-3.0, 0.25, 40.0])
def test_w1_of_a_shift_is_the_shift(shift):
    x = normal(4, 1.25)
    assert score(x, x.flip(0) + shift)["w1"] == pytest.approx(abs(shift), rel=1e-5)


@pytest.mark.parametrize("std", [0.5, 1.25, 3.0])
def test_w1_of_two_spreads_is_their_difference_times_the_mean_size_of_a_normal(std):
    assert score(normal(), normal(std=std))["w1"] == pytest.approx(abs(std - 1) * math.sqrt(2 / math.pi), rel=1e-3)


@pytest.mark.parametrize("shift", [0.1, 1.0, 3.0])
def test_ks_of_two_normals_is_what_the_middle_between_them_tells_apart(shift):
    assert score(normal(), normal(shift))["ks"] == pytest.approx(2 * norm.cdf(shift / 2) - 1, abs=1 / N)


def test_a_point_is_as_far_as_its_mean_distance_and_half_the_share_beside_it():
    scores = score(normal(), torch.zeros(N, 1))
    assert scores["w1"] == pytest.approx(math.sqrt(2 / math.pi), rel=1e-3)
    assert scores["ks"] == pytest.approx(0.5)
    assert (scores["mean"], scores["std"]) == (0, 0)


def test_samples_of_unequal_size_are_compared_by_their_distribution_functions():
    real, fake = torch.randn(300, 1), 1.3 * torch.randn(170, 1) + 0.2
    places = torch.cat([real, fake]).flatten().sort().values
    shares = [torch.searchsorted(x.flatten().sort().values, places, right=True) / len(x) for x in (real, fake)]
    gap = (shares[0] - shares[1]).abs()
    scores = score(real, fake)
    assert scores["w1"] == pytest.approx((gap[:-1] * places.diff()).sum().item(), rel=1e-4)
    assert scores["ks"] == pytest.approx(gap.max().item(), rel=1e-5)


def test_mean_and_spread_are_those_of_the_fakes():
    fake = torch.tensor([[1.0], [2.0], [6.0]])
    scores = score(torch.zeros(3, 1), fake)
    assert (scores["mean"], scores["std"]) == (3, pytest.approx(math.sqrt(14 / 3)))


@pytest.mark.parametrize("shape", [(2,), (1, 1), (1, 8, 8)])
def test_samples_of_more_than_one_number_are_declined(shape):
    with pytest.raises(Unsupported, match="one number each"):
        score(torch.zeros(5, *shape), torch.zeros(5, *shape))


def test_the_metric_keeps_the_contract():
    check_metric("distance-1d")


def test_the_protocol_keeps_the_contract():
    check_protocol("gaussian-1d-v1")
