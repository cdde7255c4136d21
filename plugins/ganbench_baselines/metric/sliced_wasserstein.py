"""Sliced Wasserstein distance: optimal transport along random lines (Rabin et al. 2011).

    sliced_wasserstein    root of the mean squared Wasserstein-2 distance of features along 500 random directions

On a line, optimal transport matches samples in order, so each distance is exact. It compares the features of the
protocol's extractor, not the patches of a Laplacian pyramid (Karras et al. 2018). Directions are drawn anew for each
evaluation, uniformly from the sphere. For features that differ by a shift s alone, the score is about |s| / √d. For
finite samples it is above 0, even if the distributions are equal; the yardstick "real data" shows how much remains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ganbench import Evaluation, Goal, Metric, hookimpl

DIRECTIONS = 500
AT_ONCE = 20  # directions sorted together, which bounds the memory


class SlicedWasserstein:
    """The sliced Wasserstein-2 distance on the protocol's features."""

    columns: Mapping[str, Goal] = {"sliced_wasserstein": "min"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"sliced_wasserstein": (0, None)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"sliced_wasserstein": distance in the units of the features}, at least 0."""
        first = next(evaluation.blocks("fake"))
        lines = directions(first.shape[1], evaluation.rng)
        real, fake = (projected(blocks, lines) for blocks in (evaluation.blocks("real"), evaluation.blocks("fake")))
        return {"sliced_wasserstein": squares(real, fake).mean().sqrt().item()}


def directions(d: int, rng: torch.Generator) -> Tensor:
    """Random unit vectors in the columns of ``[d, DIRECTIONS]``, uniform on the sphere."""
    drawn = torch.randn(d, DIRECTIONS, generator=rng, dtype=torch.float64)
    return drawn / drawn.norm(dim=0)


def projected(blocks: Iterable[Tensor], lines: Tensor) -> Tensor:
    """The coordinates of ``x[B, d]``, block by block, along ``lines[d, L]``: ``[N, L]``."""
    return torch.cat([block @ lines for block in blocks])


def squares(real: Tensor, fake: Tensor) -> Tensor:
    """The squared Wasserstein-2 distance of ``real[N, L]`` and ``fake[M, L]`` along each line, ``[L]``.

    A sample of N has the mass M, and one of M the mass N. So both sides cut the mass N M at whole numbers, and between
    two cuts one real sample moves to one fake.
    """
    n, m = len(real), len(fake)
    cuts = torch.cat([m * torch.arange(1, n + 1), n * torch.arange(1, m + 1)]).unique()
    mass = cuts.diff(prepend=cuts.new_zeros(1)).double() / (n * m)
    of_real, of_fake = (cuts - 1) // m, (cuts - 1) // n
    pairs = zip(real.split(AT_ONCE, dim=1), fake.split(AT_ONCE, dim=1), strict=True)
    found = [(x.sort(dim=0).values[of_real] - y.sort(dim=0).values[of_fake]).square().T @ mass for x, y in pairs]
    return torch.cat(found)


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return SlicedWasserstein()
