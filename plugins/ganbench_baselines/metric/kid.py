"""Kernel distance: unbiased MMD² of the features under k(x, y) = (x·y/d + 1)³ (Bińkowski et al. 2018).

Computed over the full sample in float64, instead of as a mean over random subsets, which estimates the same value with
less noise and no seed. The estimate is unbiased, so for equal distributions it is close to zero and may be negative.

    kid       squared kernel distance between real and fake features
    kid_se    standard error of kid, from ten disjoint blocks

Because blocks are smaller than the sample, the standard error is too large near zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum
from statistics import stdev

import torch
from torch import Tensor

from ganbench import Evaluation, Goal, Metric, Unsupported, hookimpl

ROWS = 512  # and columns of the kernel matrix at a time; its 2 MB stay in the cache for any number of samples
BLOCKS = 10


class KID:
    """KID on the protocol's features."""

    columns: Mapping[str, Goal] = {"kid": "min", "kid_se": "info"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"kid": (None, None), "kid_se": (0, None)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"kid": MMD², "kid_se": its standard error}."""
        features = evaluation.features()
        real, fake = features.real.double(), features.fake.double()
        n = min(len(real), len(fake))
        if n < 4:
            raise Unsupported(f"two blocks of two need 4 samples of each kind, not {n}")
        kept = evaluation.of_reals("kernel sum", lambda: {"sum": torch.tensor(distinct_sum(real), dtype=torch.float64)})
        return {
            "kid": mmd2(real, fake, kept["sum"].item()),
            "kid_se": standard_error(real, fake, min(BLOCKS, n // 2), evaluation.rng),
        }


def mmd2(x: Tensor, y: Tensor, within_x: float | None = None) -> float:
    """``x[M, d], y[N, d]`` -> mean of k over distinct pairs within x, plus within y, minus twice across.

    ``within_x`` is ``distinct_sum(x)``, if already known.
    """
    m, n = len(x), len(y)
    sum_x = distinct_sum(x) if within_x is None else within_x
    return sum_x / (m * (m - 1)) + distinct_sum(y) / (n * (n - 1)) - 2 * kernel_sum(x, y) / (m * n)


def kernel_sum(x: Tensor, y: Tensor) -> float:
    """Sum of k over all pairs."""
    return fsum(_sum(a, b) for a in x.split(ROWS) for b in y.split(ROWS))


def distinct_sum(x: Tensor) -> float:
    """Sum of k over all pairs of different samples; k is symmetric, so only half of the blocks are computed."""
    parts = x.split(ROWS)
    alone = (x.square().sum(dim=1) / x.shape[1] + 1).pow(3).sum().item()
    across = fsum(2 * _sum(a, b) for i, a in enumerate(parts) for b in parts[i + 1 :])
    return across + fsum(_sum(a, a) for a in parts) - alone


def _sum(a: Tensor, b: Tensor) -> float:
    """Sum of k over all pairs of two small parts, as a number.

    A tensor that is kept, however small, may occupy the gap that k leaves in memory, where the next k then does not fit
    (18 GB at 50,000 samples, with larger parts).
    """
    k = torch.addmm(a.new_ones(()), a, b.T, alpha=1 / a.shape[1]).flatten()
    return k.square().dot(k).item()


def standard_error(real: Tensor, fake: Tensor, blocks: int, rng: torch.Generator) -> float:
    """Standard error of the mean over disjoint blocks, drawn at random because samples may be sorted by class."""
    x, y = (part[torch.randperm(len(part), generator=rng)].tensor_split(blocks) for part in (real, fake))
    return stdev(mmd2(a, b) for a, b in zip(x, y, strict=True)) / blocks**0.5


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return KID()
