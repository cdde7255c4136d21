"""Judging against torch-fidelity on the same features, round by round in turn, and the memory that it takes.

``tox -e bench`` prints the ratios. That both find the same is checked first.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from random_inception import random_inception_weights
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch_fidelity import metric_fid, metric_kid, metric_prc
from versus import versus

from ganbench.contracts.data import DataSpec
from ganbench.contracts.evaluation import Evaluation
from ganbench_baselines.extractor.inception import MINI_BATCH, Inception
from ganbench_baselines.extractor.raw import Raw
from ganbench_baselines.metric import frechet

D = 2048  # of Inception's features


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield


def features(n: int, d: int, seed: int) -> Tensor:
    """Rectified mixtures, as the last layer of a classifier gives them: ``x[n, d]`` in float64."""
    rng = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=rng).double() / d**0.5
    x = torch.randn(n, d, generator=rng).double() * torch.logspace(0, -2, d) @ mixing
    return x.relu() + 0.02 * torch.randn(n, d, generator=rng)


def theirs(statistics: list[dict[str, np.ndarray]]) -> float:
    return metric_fid.fid_statistics_to_metric(*statistics, verbose=False)[metric_fid.KEY_METRIC_FID]


@pytest.mark.parametrize("rank", ["full", "deficient", "n < d"])
def test_frechet_distance_at_2048_features(benchmark, rank) -> None:
    real, fake = (features(1000 if rank == "n < d" else 4096, D, seed) for seed in (0, 1))
    if rank == "deficient":
        for x in (real, fake):
            x[:, :32] = 0
    ours = [frechet.moments(x.split(500)) for x in (real, fake)]
    statistics = [metric_fid.fid_features_to_statistics(x) for x in (real, fake)]
    found = frechet.distance(*ours)
    assert found == pytest.approx(theirs(statistics), rel=1e-6)
    itself = frechet.distance(ours[0], ours[0])
    benchmark.extra_info |= {"of itself": itself, "theirs of itself": theirs(statistics[:1] * 2), "distance": found}
    print(f"\nof itself: ours {itself:.1e}, torch-fidelity's {benchmark.extra_info['theirs of itself']:.1e}")
    versus(
        benchmark,
        lambda: frechet.distance(*ours),
        lambda: theirs(statistics),
        f"Frechet distance, d = {D}, {rank}",
        rounds=5,
    )


def neighbours_of_torch_fidelity(real: Tensor, fake: Tensor) -> dict[str, float]:
    centre = real.mean(dim=0)
    return metric_prc.prc_features_to_metric(
        fake - centre, real - centre, prc_neighborhood=3, prc_batch_size=1000, save_cpu_ram=True, verbose=False
    )


def neighbours_of_prdc(real: Tensor, fake: Tensor) -> dict[str, float]:
    from prdc import compute_prdc

    return compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)


def kernel_of_torch_fidelity(real: Tensor, fake: Tensor) -> dict[str, float]:
    n = len(real)
    found = metric_kid.kid_features_to_metric(fake, real, kid_subsets=1, kid_subset_size=n, verbose=False)
    return {"kid": found[metric_kid.KEY_METRIC_KID_MEAN]}


JUDGES: dict[str, tuple[Callable[[Tensor, Tensor], dict[str, float]], tuple[str, ...]]] = {
    "precision_recall": (neighbours_of_torch_fidelity, ("precision", "recall")),
    "density_coverage": (neighbours_of_prdc, ("density", "coverage")),
    "kid": (kernel_of_torch_fidelity, ("kid",)),
}


@pytest.mark.parametrize("name", JUDGES)
def test_a_metric_of_5000_samples_in_64_features(benchmark, name) -> None:
    judge, columns = JUDGES[name]
    real, fake = features(5000, 64, 0), 0.97 * features(5000, 64, 1) + 0.02
    metric = importlib.import_module(f"ganbench_baselines.metric.{name}").ganbench_metric()

    def ours() -> dict[str, float]:
        return dict(metric(Evaluation(real, fake, DataSpec((64,)), torch.Generator(), extractor=Raw())))

    found, expected = ours(), judge(real, fake)
    assert [found[column] for column in columns] == pytest.approx([expected[column] for column in columns], rel=1e-6)
    with contextlib.redirect_stdout(None):  # prdc tells what it was given, every time
        versus(benchmark, ours, lambda: judge(real, fake), name, rounds=5)
    print("\n{}: {theirs_ms} ms against our {ours_ms} ms, ratio {ratio}".format(name, **benchmark.extra_info))


CHILD = r"""
import importlib, json, re, sys, time
from pathlib import Path
import torch
from ganbench.data import DataSpec
from ganbench.evaluation import Evaluation
from ganbench_baselines.extractor.raw import Raw

def megabytes(of):
    return int(re.search(of + r":\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

name, n, d = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
rng = torch.Generator().manual_seed(0)
real, fake = torch.randn(n, d, generator=rng), 0.97 * torch.randn(n, d, generator=rng) + 0.02
given = Evaluation(real, fake, DataSpec((d,)), rng, extractor=Raw())
given.features()
metric = importlib.import_module(f"ganbench_baselines.metric.{name}").ganbench_metric()
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
before = megabytes("VmRSS")
began = time.perf_counter()
metric(given)
seconds = time.perf_counter() - began
print(json.dumps([seconds, megabytes("VmHWM") - before, before]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")
@pytest.mark.parametrize("name", ["fid", *JUDGES])
def test_memory_of_a_metric_of_50000_samples(benchmark, name) -> None:
    def run() -> list[float]:
        command = [sys.executable, "-c", CHILD, name, "50000", "64"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    seconds, more, before = benchmark.pedantic(run, rounds=1)
    benchmark.extra_info |= {"seconds": seconds, "MB more than the features": more, "MB with the features": before}
    print(f"\n{name}, n = 50000, d = 64: {seconds:.1f} s, {more:.0f} MB beside the {before:.0f} of all that was loaded")
    assert more < 500


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return random_inception_weights()


def test_inception_in_channels_last(benchmark, weights) -> None:
    ours, contiguous = Inception(weights), Inception(weights)
    contiguous.network.to(memory_format=torch.contiguous_format)
    rng = torch.Generator().manual_seed(5)
    x = torch.randint(256, (MINI_BATCH, 3, 32, 32), generator=rng, dtype=torch.uint8)
    with torch.inference_mode():
        found, expected = ours(x)[0], contiguous(x)[0]
        assert expected.std(dim=0).mean() > 1e-3 * expected.abs().mean()
        apart = ((found - expected).abs().max() / expected.abs().max()).item()
        assert apart < 1e-5
        benchmark.extra_info["largest difference"] = apart
        print(f"\nfeatures differ by {apart:.1e} of the largest")
        versus(benchmark, lambda: ours(x), lambda: contiguous(x), f"Inception, {MINI_BATCH} images", rounds=3)
    benchmark.extra_info["images_per_second"] = round(1000 * MINI_BATCH / benchmark.extra_info["ours_ms"], 2)
