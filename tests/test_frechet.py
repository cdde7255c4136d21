"""The Fréchet distance: torch-fidelity as the judge, and exact values where rounding leaves the judge no digits."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits
from torch import Tensor
from torch_fidelity import metric_fid as judge

from ganbench.errors import Unsupported
from ganbench_baselines.metric import frechet
from ganbench_baselines.metric.frechet import distance, moments


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def ours(real: Tensor, fake: Tensor) -> float:
    return distance(*(moments(x.split(100)) for x in (real, fake)))


def theirs(real: Tensor, fake: Tensor) -> float:
    statistics = [judge.fid_features_to_statistics(x) for x in (real, fake)]
    for one in statistics:
        one["sigma"] = np.atleast_2d(one["sigma"])
    return judge.fid_statistics_to_metric(*statistics, verbose=False)[judge.KEY_METRIC_FID]


def truth(real: Tensor, fake: Tensor) -> float:
    """From roots of covariances that were never squared: QR of the centred samples, then singular values."""
    a, b = ((x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (real, fake))
    coupled = torch.linalg.svdvals(torch.linalg.qr(a).R @ torch.linalg.qr(b).R.T).sum()
    apart = (real.mean(0) - fake.mean(0)).square().sum() + a.square().sum() + b.square().sum()
    return float(apart - 2 * coupled)


def turned(n: int, spread: Tensor, seed: int) -> Tensor:
    """``n`` samples of these standard deviations, in directions of their own."""
    d = len(spread)
    return normal(n, d, seed=seed) * spread @ torch.linalg.qr(normal(d, d, seed=seed + 1)).Q


@pytest.mark.parametrize(("n", "d"), [(50, 1), (300, 2), (1797, 32), (500, 64), (65, 64), (700, 96), (64, 64)])
def test_the_distance_is_torch_fidelitys(n, d) -> None:
    real, fake = normal(n, d), 1.2 * normal(n, d, seed=1) + 0.1
    digits = 1e-9 if n > d else 1e-8  # the judge's root of a singular matrix loses some, in scipy 1.18 more than before
    assert ours(real, fake) == pytest.approx(theirs(real, fake), rel=digits)


def test_the_distance_of_unequal_numbers_is_torch_fidelitys() -> None:
    real, fake = normal(400, 16) + 1e3, normal(90, 16, seed=1) + 1e3
    assert ours(real, fake) == pytest.approx(theirs(real, fake), rel=1e-9)


def test_features_whose_spread_falls_steeply_are_torch_fidelitys() -> None:
    spread = torch.logspace(0, -3, 64, dtype=torch.float64)
    real, fake = turned(2000, spread, 1), turned(2000, spread, 5) + 0.05
    assert ours(real, fake) == pytest.approx(theirs(real, fake), rel=1e-9)
    assert ours(real, fake) == pytest.approx(truth(real, fake), rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (40, 40), (63, 64), (40, 500), (500, 2)])
def test_fewer_samples_than_features_have_their_exact_distance(n, m) -> None:
    real, fake = normal(n, 64), 1.2 * normal(m, 64, seed=1) + 0.1
    assert ours(real, fake) == pytest.approx(truth(real, fake), rel=1e-12)
    assert ours(real, fake) == pytest.approx(theirs(real, fake), rel=1e-6)


def dead(x: Tensor) -> Tensor:
    return torch.cat([x[:, :3], torch.zeros(len(x), 2, dtype=x.dtype), x[:, 3:]], dim=1)


def doubled(x: Tensor) -> Tensor:
    return torch.cat([x, x[:, :4] + x[:, 4:8]], dim=1)


def flat(x: Tensor) -> Tensor:
    return x[:, :3] @ normal(3, 40, seed=9)


def steep(x: Tensor) -> Tensor:
    return x * torch.logspace(0, -7, x.shape[1], dtype=x.dtype)


@pytest.mark.parametrize("defect", [dead, doubled, flat, steep])
def test_features_without_full_rank_have_their_exact_distance(defect) -> None:
    real, fake = defect(normal(600, 32)), defect(1.2 * normal(600, 32, seed=1) + 0.1)
    assert ours(real, fake) == pytest.approx(truth(real, fake), rel=1e-10)


def test_a_feature_that_is_dead_in_one_set_only_costs_its_whole_variance() -> None:
    real, fake = normal(600, 8), normal(600, 8)
    fake[:, 2] = 0
    expected = real[:, 2].mean().square() + real[:, 2].var()  # the rest is the same in both but for what goes with it
    assert ours(real, fake) == pytest.approx(truth(real, fake), rel=1e-12)
    assert ours(real, fake) == pytest.approx(expected.item(), rel=0.01)


@pytest.mark.parametrize("defect", [lambda x: x, dead, doubled, flat, steep])
@pytest.mark.parametrize("n", [2, 20, 31, 600])
def test_equal_sets_are_at_distance_zero_to_rounding(n, defect) -> None:
    x = defect(normal(n, 32))
    assert abs(ours(x, x.clone())) < 1e-12 * x.var(dim=0).sum().item()


def test_sets_of_one_sample_repeated_are_as_far_apart_as_the_samples() -> None:
    real, fake = (normal(1, 5, seed=seed).expand(30, -1) for seed in (1, 2))
    assert ours(real, fake) == pytest.approx((real[0] - fake[0]).square().sum().item(), rel=1e-12)


def test_the_slower_form_is_taken_only_where_rounding_would_show(monkeypatch) -> None:
    taken = []
    slow = frechet.by_singular_values
    monkeypatch.setattr(frechet, "by_singular_values", lambda *roots: taken.append(1) or slow(*roots))
    ours(normal(600, 32), normal(600, 32, seed=1))
    assert not taken
    ours(dead(normal(600, 32)), dead(normal(600, 32, seed=1)))
    assert taken


def test_the_doubt_is_no_smaller_than_what_rounding_does() -> None:
    for decay in range(1, 7):
        spread = torch.logspace(0, -decay / 2, 64, dtype=torch.float64)
        real, fake = normal(900, 64) * spread, normal(900, 64, seed=1) * spread
        pair = [moments([x])["covariance"].numpy() for x in (real, fake)]
        value, doubt = frechet.by_eigenvalues(*pair)
        exact = frechet.by_singular_values(*(np.linalg.cholesky(one).T for one in pair))
        assert abs(value - exact) <= doubt + 1e-14 * exact


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_moments_do_not_depend_on_blocks_or_on_an_offset(size) -> None:
    x = normal(333, 6) + 1e6
    found = moments(x.split(size))
    assert found["n"] == 333
    assert torch.allclose(found["mean"], x.mean(dim=0), rtol=1e-14, atol=0)
    assert torch.allclose(found["covariance"], (x - x.mean(dim=0)).T.cov(), rtol=1e-8, atol=1e-9)


def test_moments_of_float32_features_are_summed_in_float64() -> None:
    x = normal(2000, 3).float() + 100
    assert torch.allclose(moments([x])["covariance"], x.double().T.cov(), rtol=1e-10, atol=1e-12)


def test_a_single_sample_has_no_covariance() -> None:
    for blocks in ([normal(1, 3)], []):
        with pytest.raises(Unsupported, match="needs 2 samples"):
            moments(blocks)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("n", [3, 50])
def test_features_that_are_not_finite_are_an_error_and_no_distance(n, value) -> None:
    broken = normal(n, 4)
    broken[1, 2] = value
    with pytest.raises(ValueError, match="not finite"), np.errstate(invalid="ignore"):
        ours(normal(n, 4), broken)


MEMORY = """
import torch
from pathlib import Path
from ganbench_baselines.metric.frechet import moments
rng = torch.Generator().manual_seed(0)
moments(torch.randn(500, 64, generator=rng) for _ in range(2))
before, = (int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line)
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
moments(torch.randn(500, 64, generator=rng) for _ in range(400))  # 200,000 samples: 102 MB in float64
peak, = (int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print((peak - before) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")
def test_moments_take_the_same_memory_however_many_samples_there_are() -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 20


def test_scipy_takes_as_many_threads_as_torch_and_gives_them_back(monkeypatch) -> None:
    seen = list[set[int]]()

    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if "scipy" in pool["filepath"]}

    monkeypatch.setattr(frechet, "by_eigenvalues", lambda *_: seen.append(threads()) or (0.0, 0.0))
    with threadpool_limits(2):
        for n in (1, 2):
            torch.set_num_threads(n)
            ours(normal(50, 3), normal(50, 3))
        assert threads() == {2}
    assert seen == [{1}, {2}]
