"""Parts shared by nearest-neighbour metrics: accurate distances, one tile of their matrix at a time.

|a - b|² = |a|² + |b|² - 2 a·b in float64, around the mean of the real samples. Otherwise, an offset shared by all
features would cost the expansion its precision. Only one tile of 16 MB is held at a time; it stays in the cache, so
searching it costs little compared with the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ganbench import Evaluation, Unsupported

ROWS, COLUMNS = 512, 4096  # of a tile
ROUNDING = 1e-13  # relative to |a|² + |b|²: ten times the error observed for products of a thousand terms
NEAREST = (3, 5)  # the neighbours used by precision and recall, and by density and coverage


class Samples(NamedTuple):
    """Features ``x[N, d]`` in float64, their reference ``centre[d]``, and their squared distances to it, ``[N]``."""

    x: Tensor
    centre: Tensor
    square: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def part(self, place: slice) -> Tensor:
        """Some of the samples, relative to the centre: ``[B, d]``."""
        return self.x[place] - self.centre

    def rounding(self, radius: Tensor) -> Tensor:
        """How much rounding may change a squared distance that equals the squared radius ``[N]``.

        This happens for copies of the neighbour that defines the radius.
        """
        return ROUNDING * (self.square + radius)


class Tile(NamedTuple):
    """Squared distances ``[rows, columns]`` and their place in the matrix."""

    rows: slice
    columns: slice
    d2: Tensor


def seen_from_centre(evaluation: Evaluation, neighbours: int) -> tuple[Samples, Samples]:
    """Real and fake samples in the protocol's features, relative to the mean of the real ones.

    Raises:
        Unsupported: there are too few real or fake samples for that many neighbours.
        ValueError: a feature is not finite; distances to NaN would silently score 0.
    """
    real, fake = evaluation.features()[:2]
    n = min(len(real), len(fake))
    if n <= neighbours:
        raise Unsupported(f"{neighbours} neighbours need {neighbours + 1} samples of each kind, not {n}")
    centre = real.double().mean(dim=0)
    samples = _samples(real.double(), centre), _samples(fake.double(), centre)
    if not all(one.square.isfinite().all() for one in samples):  # checking the features would double the memory
        raise ValueError("features are not finite")
    return samples


def _samples(x: Tensor, centre: Tensor) -> Samples:
    return Samples(x, centre, torch.cat([(part - centre).square().sum(dim=1) for part in x.split(COLUMNS)]))


def tiles(a: Samples, b: Samples) -> Iterator[Tile]:
    """Every tile of the matrix of squared distances, row by row.

    Each tile overwrites the previous one. Rounding may make a distance of 0 slightly negative.
    """
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
    most = max(neighbours) + 1  # one more, because the nearest sample is the sample itself
    nearest = x.x.new_full((len(x), most), torch.inf)
    for rows, _, d2 in tiles(x, x):
        few = d2.topk(min(most, d2.shape[1]), dim=1, largest=False).values
        nearest[rows] = torch.cat([nearest[rows], few], dim=1).topk(most, dim=1, largest=False).values
    return nearest.clamp(min=0)[:, list(neighbours)]


def radii_of_reals(evaluation: Evaluation, real: Samples) -> Tensor:
    """``radii``, computed once for all metrics and evaluations with these real samples."""
    return evaluation.of_reals(f"squared distance to neighbours {NEAREST}", lambda: {"radii": radii(real)})["radii"]
