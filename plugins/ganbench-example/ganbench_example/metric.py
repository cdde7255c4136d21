"""Sliced Wasserstein distance between reals and fakes, along random directions (Rabin et al. 2012)."""

from collections.abc import Mapping

import torch
from ganbench import Evaluation, Goal, hookimpl
from torch import Tensor

DIRECTIONS = 256


class SlicedWasserstein:
    """Sliced Wasserstein distance in the feature space of the protocol's extractor."""

    columns: Mapping[str, Goal] = {"sliced_wasserstein": "min"}
    version = 1  # raise it when a change gives the same samples a different score
    ranges: Mapping[str, tuple[float | None, float | None]] = {"sliced_wasserstein": (0, None)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """Return the root mean square, over directions, of the Wasserstein-2 distance of the projections."""
        real, fake, *_ = evaluation.features()
        directions = torch.randn(real.shape[1], DIRECTIONS, generator=evaluation.rng, dtype=torch.float64)
        directions /= directions.norm(dim=0)
        n = min(len(real), len(fake))
        gaps = quantiles(real @ directions, n) - quantiles(fake @ directions, n)
        return {"sliced_wasserstein": gaps.square().mean().sqrt().item()}


def quantiles(x: Tensor, n: int) -> Tensor:
    """``x[N, K] -> [n, K]``, n evenly spaced quantiles of each column."""
    chosen = (torch.arange(n) + 0.5) * len(x) / n
    return x.sort(dim=0).values[chosen.long()]


@hookimpl
def ganbench_metric() -> SlicedWasserstein:
    """Build the metric."""
    return SlicedWasserstein()
