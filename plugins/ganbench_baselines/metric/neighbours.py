"""What the metrics of nearest neighbours share: distances that can be trusted, a tile of their matrix at a time.

|a - b|² = |a|² + |b|² - 2 a·b in float64, around the mean of the reals: the expansion would lose the digits of an
offset that all features share. A tile of 16 MB stays near the processor, so that looking through it costs little beside
the product, and is all that is ever held of the matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ganbench import Evaluation, Unsupported

ROWS, COLUMNS = 512, 4096  # of a tile
ROUNDING = 1e-13  # of |a|² + |b|²: ten times what products of a thousand terms are seen to be off by
NEAREST = (3, 5)  # the neighbours that precision and recall, and density and coverage, go by


class Samples(NamedTuple):
    """Features ``x[N, d]`` in float64, to be seen from ``centre[d]``, and their squared distances from it, ``[N]``."""

    x: Tensor
    centre: Tensor
    square: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def part(self, place: slice) -> Tensor:
        return self.x[place] - self.centre

    def rounding(self, radius: Tensor) -> Tensor:
        """How much nearer or farther than its squared radius ``[N]`` a sample may seem that lies exactly at it, as
        copies of the neighbour do that the radius was measured to."""
        return ROUNDING * (self.square + radius)


class Tile(NamedTuple):
    """Squared distances ``[rows, columns]`` and where they belong."""

    rows: slice
    columns: slice
    d2: Tensor


def seen_from_centre(evaluation: Evaluation, neighbours: int) -> tuple[Samples, Samples]:
    """Reals and fakes in the protocol's features, around the mean of the reals.

    Raises:
        Unsupported: there are no more samples of a kind than neighbours are asked for.
        ValueError: a feature is not finite; distances to NaN would score a silent 0.
    """
    real, fake = evaluation.features()[:2]
    n = min(len(real), len(fake))
    if n <= neighbours:
        raise Unsupported(f"{neighbours} neighbours need {neighbours + 1} samples of each kind, not {n}")
    centre = real.double().mean(dim=0)
    samples = _samples(real.double(), centre), _samples(fake.double(), centre)
    if not all(one.square.isfinite().all() for one in samples):  # looking at the features takes as much memory again
        raise ValueError("features are not finite")
    return samples


def _samples(x: Tensor, centre: Tensor) -> Samples:
    return Samples(x, centre, torch.cat([(part - centre).square().sum(dim=1) for part in x.split(COLUMNS)]))


def tiles(a: Samples, b: Samples) -> Iterator[Tile]:
    """Every tile of the matrix of squared distances, row by row of tiles. What a tile holds is overwritten by the next;
    rounding may leave a distance of 0 a little below it."""
    space = a.x.new_empty(ROWS * COLUMNS)
    for top in range(0, len(a), ROWS):
        rows = slice(top, min(top + ROWS, len(a)))
        left, square = a.part(rows), a.square[rows, None]
        for start in range(0, len(b), COLUMNS):
            columns = slice(start, min(start + COLUMNS, len(b)))
            shape = rows.stop - top, columns.stop - start
            d2 = space[: shape[0] * shape[1]].view(shape)
            torch.addmm(b.square[columns], left, b.part(columns).T, alpha=-2, out=d2)
            yield Tile(rows, columns, d2.add_(square))


def radii(x: Samples, neighbours: Sequence[int] = NEAREST) -> Tensor:
    """Squared distance of each sample to its k-th nearest other, ``[N, len(neighbours)]``; inf where there is none."""
    most = max(neighbours) + 1  # one more, for the nearest of all is the sample itself
    nearest = x.x.new_full((len(x), most), torch.inf)
    for rows, _, d2 in tiles(x, x):
        few = d2.topk(min(most, d2.shape[1]), dim=1, largest=False).values
        nearest[rows] = torch.cat([nearest[rows], few], dim=1).topk(most, dim=1, largest=False).values
    return nearest.clamp(min=0)[:, list(neighbours)]


def radii_of_reals(evaluation: Evaluation, real: Samples) -> Tensor:
    """``radii``, computed once for all metrics and evaluations that have these reals."""
    return evaluation.of_reals(f"squared distance to neighbours {NEAREST}", lambda: {"radii": radii(real)})["radii"]
