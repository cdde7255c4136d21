"""The sliced Wasserstein distance: by POT on the same directions, and closed forms."""

from __future__ import annotations

import math

import ot
import pytest
import torch
from torch import Tensor

from ganbench import DataSpec, Evaluation, Extractor
from ganbench_baselines.metric import sliced_wasserstein

METRIC = sliced_wasserstein.ganbench_metric()


class Same(Extractor):
    """Samples are their own features."""

    name, version = "same", "1"

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x.double(), None


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def judged(real: Tensor, fake: Tensor, seed: int = 0) -> float:
    rng = torch.Generator().manual_seed(seed)
    found = METRIC(Evaluation(real, fake, DataSpec((real.shape[1],)), rng, extractor=Same()))
    assert [*found] == ["sliced_wasserstein"]
    return found["sliced_wasserstein"]


@pytest.mark.parametrize(("n", "m"), [(600, 600), (600, 250), (90, 60), (1, 7)])
def test_the_distance_is_that_of_pot_for_equal_and_unequal_numbers(n, m) -> None:
    real, fake = normal(n, 6, 0), 1.5 * normal(m, 6, 1) + 0.3
    lines = sliced_wasserstein.directions(6, torch.Generator().manual_seed(7)).numpy()
    theirs = ot.sliced_wasserstein_distance(real.numpy(), fake.numpy(), projections=lines, p=2)
    assert judged(real, fake, seed=7) == pytest.approx(theirs, rel=1e-9)


def test_the_distance_of_a_shift_is_its_mean_length_along_the_directions() -> None:
    x, shift = normal(300, 16, 0), torch.linspace(-1, 2, 16).double()
    lines = sliced_wasserstein.directions(16, torch.Generator().manual_seed(0))
    found = judged(x, x.flip(0) + shift)
    assert found == pytest.approx((shift @ lines).square().mean().sqrt().item(), rel=1e-9)
    assert found == pytest.approx(shift.norm().item() / math.sqrt(16), rel=0.1)


def test_the_distance_of_wider_gaussians_is_the_difference_of_their_deviations() -> None:
    assert judged(normal(4000, 3, 0), 3 * normal(4000, 3, 1)) == pytest.approx(2, rel=0.05)


def test_directions_have_length_one_and_cover_the_sphere_evenly() -> None:
    lines = sliced_wasserstein.directions(3, torch.Generator().manual_seed(0))
    torch.testing.assert_close(lines.norm(dim=0), torch.ones(500).double())
    torch.testing.assert_close(lines @ lines.T / 500, torch.eye(3).double() / 3, atol=0.05, rtol=0)


def test_a_permutation_has_no_distance() -> None:
    x = normal(700, 4, 0)
    assert judged(x, x[torch.randperm(700)]) == 0


def test_directions_follow_from_the_evaluations_random_numbers() -> None:
    real, fake = normal(50, 4, 0), normal(50, 4, 1)
    assert judged(real, fake, 1) == judged(real, fake, 1) != judged(real, fake, 2)
