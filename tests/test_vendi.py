"""The Vendi score: by its authors' package, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import eigvalsh
from torch import Tensor
from vendi_score import vendi as authors

from ganbench import DataSpec, Evaluation, Extractor, Unsupported
from ganbench_baselines.metric import vendi


class Same(Extractor):
    """Samples are their own features."""

    name, version = "same", "1"

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x.double(), None


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def judged(fake: Tensor, real: Tensor | None = None) -> dict[str, float]:
    real = fake if real is None else real
    return dict(vendi.ganbench_metric()(Evaluation(real, fake, DataSpec((1,)), torch.Generator(), extractor=Same())))


@pytest.mark.filterwarnings("ignore:Please import .csr_matrix.:DeprecationWarning")
@pytest.mark.parametrize(("n", "d"), [(1300, 7), (40, 60), (50, 50), (51, 50), (700, 600)])
def test_the_score_is_that_of_the_authors_for_few_and_for_many_samples(n, d) -> None:
    fake = normal(n, d, 0) * torch.linspace(0.1, 3, d) + 1
    kernel = (fake / fake.norm(dim=1, keepdim=True)).numpy()
    assert judged(fake)["vendi"] == pytest.approx(authors.score_K(kernel @ kernel.T), rel=1e-8)


def test_the_score_is_exp_of_the_entropy_of_the_kernels_spectrum_by_scipy() -> None:
    fake = normal(200, 12, 1) + 0.5
    unit = (fake / fake.norm(dim=1, keepdim=True)).numpy()
    share = np.clip(eigvalsh(unit @ unit.T / 200), 1e-300, None)
    assert judged(fake)["vendi"] == pytest.approx(math.exp(-(share * np.log(share)).sum()), rel=1e-8)


def test_orthogonal_samples_count_one_each_and_equal_ones_one_together() -> None:
    assert judged(torch.eye(9).double())["vendi"] == pytest.approx(9)
    assert judged(3 * torch.eye(9).double()[:4].repeat(30, 1))["vendi"] == pytest.approx(4)
    assert judged(normal(1, 9, 0).expand(20, -1))["vendi"] == pytest.approx(1)


def test_unequal_shares_of_two_kinds_are_the_closed_form() -> None:
    fake = torch.eye(2).double()[[0] * 90 + [1] * 10]
    assert judged(fake)["vendi"] == pytest.approx(math.exp(-0.9 * math.log(0.9) - 0.1 * math.log(0.1)))


def test_the_length_of_features_does_not_count() -> None:
    fake = normal(50, 5, 2)
    assert judged(fake * normal(50, 1, 3).abs())["vendi"] == pytest.approx(judged(fake)["vendi"], rel=1e-9)


def test_samples_without_features_leave_the_others_their_score() -> None:
    fake = torch.cat([torch.eye(4).double(), torch.zeros(4, 4).double()])
    assert judged(fake)["vendi"] == pytest.approx(4)
    assert judged(torch.zeros(5, 4))["vendi"] == 1


def test_reals_have_a_score_of_their_own() -> None:
    fake, real = normal(60, 5, 4) + 3, normal(80, 5, 5)
    found = judged(fake, real)
    assert found == {"vendi": judged(fake)["vendi"], "vendi_real": judged(real)["vendi"]}
    assert found["vendi_real"] > found["vendi"] + 1


def test_a_single_sample_is_declined() -> None:
    with pytest.raises(Unsupported, match="two samples"):
        judged(normal(1, 3, 0))
