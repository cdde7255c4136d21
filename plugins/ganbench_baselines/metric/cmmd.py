"""CMMD: squared MMD of unit features under a Gaussian kernel, times 1000 (Jayasumana et al. 2024).

The kernel is k(x, y) = exp(-|x - y|² / (2 · 10²)), and each mean over pairs within a set includes the pairs of a sample
with itself, as in the authors' code. So the estimate is biased, at least 0, and 0 for equal sets. Unlike a Fréchet
distance, it does not assume Gaussian features.

    cmmd    squared kernel distance between real and fake features of length one, times 1000

Computed over the full sample in float64, one tile of the kernel matrix at a time. Published values are for the
extractor `clip`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ganbench import Evaluation, Goal, Metric, hookimpl

SIGMA, SCALE = 10.0, 1000.0
ROWS = 512  # and columns of the kernel matrix at a time; its 2 MB stay in the cache for any number of samples
PUBLISHED_FOR = "clip"


class CMMD:
    """CMMD on the protocol's features."""

    columns: Mapping[str, Goal] = {"cmmd": "min"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"cmmd": (0, None)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"cmmd": 1000 MMD²}, at least 0."""
        features = evaluation.features()
        if evaluation.extractor is not None and evaluation.extractor.name != PUBLISHED_FOR:
            evaluation.doubts.append(
                f"cmmd is on features of {evaluation.extractor.name}; published values are on those of {PUBLISHED_FOR}"
            )
        real, fake = (normalize(x.double(), dim=1) for x in (features.real, features.fake))
        if evaluation.fake is evaluation.real:
            return {"cmmd": 0.0}
        kept = evaluation.of_reals("gaussian kernel", lambda: {"mean": torch.tensor(within(real), dtype=torch.float64)})
        mmd2 = kept["mean"].item() + within(fake) - 2 * across(real, fake)
        return {"cmmd": max(SCALE * mmd2, 0.0)}  # rounding may give less than 0; this order keeps a NaN


def within(x: Tensor) -> float:
    """Mean of k - 1 over all pairs within ``x[N, d]``; k is symmetric, so only half of the tiles are computed.

    Subtracting 1, which cancels between the three means, leaves more digits to their differences.
    """
    parts = x.split(ROWS)
    doubled = fsum(2 * _sum(a, b) for i, a in enumerate(parts) for b in parts[i + 1 :])
    return (doubled + fsum(_sum(a, a) for a in parts)) / len(x) ** 2


def across(x: Tensor, y: Tensor) -> float:
    """Mean of k - 1 over all pairs of a row of ``x[M, d]`` and one of ``y[N, d]``."""
    return fsum(_sum(a, b) for a in x.split(ROWS) for b in y.split(ROWS)) / (len(x) * len(y))


def _sum(a: Tensor, b: Tensor) -> float:
    """Sum of k - 1 over all pairs of two small parts."""
    squares = a.square().sum(dim=1)[:, None] + b.square().sum(dim=1)
    return torch.addmm(squares, a, b.T, alpha=-2).mul_(-0.5 / SIGMA**2).expm1_().sum().item()


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return CMMD()
