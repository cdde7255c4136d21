"""The metric cmmd against scikit-learn's kernel and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics.pairwise import rbf_kernel
from torch import Tensor
from torch.nn.functional import normalize

from ganbench.contracts.data import DataSpec
from ganbench.contracts.evaluation import Evaluation
from ganbench_baselines.extractor.raw import Raw
from ganbench_baselines.metric import cmmd


class Clip(Raw):
    """The samples themselves, under the name of the extractor that CMMD was made for."""

    name = "clip"


def evaluation(real: Tensor, fake: Tensor, extractor: Raw) -> Evaluation:
    return Evaluation(real, fake, DataSpec((real.shape[1],)), torch.Generator(), extractor=extractor)


def score(real: Tensor, fake: Tensor) -> float:
    return cmmd.ganbench_metric()(evaluation(real, fake, Clip()))["cmmd"]


def normal(n: int, shift: float = 0.0) -> Tensor:
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(n), dtype=torch.float64) + shift


@pytest.mark.parametrize("rows", [512, 7])
def test_cmmd_is_that_of_scikit_learns_kernel_on_unit_features(monkeypatch, rows):
    monkeypatch.setattr(cmmd, "ROWS", rows)
    real, fake = normal(40), normal(25, 0.5)
    x, y = (normalize(part, dim=1).numpy() for part in (real, fake))
    means = [rbf_kernel(a, b, gamma=1 / 200).mean() for a, b in ((x, x), (y, y), (x, y))]
    expected = 1000 * (means[0] + means[1] - 2 * means[2])
    assert score(real, fake) == pytest.approx(expected, rel=1e-8)
    assert expected > 1


def test_cmmd_of_two_points_at_right_angles_is_the_closed_form():
    one, other = torch.eye(3, dtype=torch.float64)[:2].repeat_interleave(5, dim=0).split(5)
    assert score(one, 7 * other) == pytest.approx(2000 * (1 - math.exp(-0.01)), rel=1e-12)


def test_cmmd_does_not_see_lengths_and_is_zero_for_equal_sets():
    real, fake = normal(30), normal(20, 0.5)
    assert score(real, 5 * fake) == pytest.approx(score(real, fake), rel=1e-9)
    assert score(real, real) == 0
    assert 0 <= score(real, real.clone()) < 1e-9


def test_cmmd_doubts_features_of_another_extractor_than_clip():
    for extractor, doubts in ((Clip(), 0), (Raw(), 1)):
        given = evaluation(normal(9), normal(8), extractor)
        cmmd.ganbench_metric()(given)
        assert len(given.doubts) == doubts
    assert "features of raw" in given.doubts[0]
