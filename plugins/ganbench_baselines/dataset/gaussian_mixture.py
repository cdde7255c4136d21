"""Equal mixtures of isotropic Gaussians, whose modes and sample quality are known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ganbench import Dataset, DataSpec, Oracle, Split, Unsupported

SAMPLES = 50_000
SEED = 0
RADIUS = 3.0  # in standard deviations; a sample farther from every centre is of low quality
CEILING = 1 - math.exp(-(RADIUS**2) / 2)  # P(|N(0, I_2)| <= 3) = 0.98889, in two dimensions


def sample(centres: Tensor, std: float, n: int, rng: torch.Generator) -> Split:
    """``n`` points and their modes, drawn in float64 and stored in float32."""
    labels = torch.randint(len(centres), (n,), generator=rng)
    noise = torch.randn(n, centres.shape[1], generator=rng, dtype=torch.float64)
    return Split((centres[labels] + std * noise).float(), labels)


def nearest_mode(centres: Tensor, std: float) -> Callable[[Tensor], Tensor]:
    """``x[N, 2] -> mode[N]``: the nearest centre, or -1 if it is more than three standard deviations away."""

    def assign(x: Tensor) -> Tensor:
        # differences in float64, because cdist expands the square and loses the third digit of a std of 0.01
        distance = (x.double().unsqueeze(1) - centres.to(x.device)).norm(dim=2)
        nearest, mode = distance.min(dim=1)
        return torch.where(nearest <= RADIUS * std, mode, -1)  # a NaN has no mode either

    return assign


def mixture(name: str, centres: Tensor, std: float, resolution: int | None) -> Dataset:
    """A dataset of Gaussians around ``centres[K, 2]`` in float64, all equally likely."""
    if resolution is not None:
        raise Unsupported(f"the {name} is made of points and has no resolution", "leave the resolution out")
    rng = torch.Generator().manual_seed(SEED)
    modes = len(centres)
    return Dataset(
        name=name,
        spec=DataSpec((2,), classes=modes, bounded=False),
        train=sample(centres, std, SAMPLES, rng),
        test=sample(centres, std, SAMPLES, rng),
        oracle=Oracle(
            probabilities=torch.full((modes,), 1 / modes, dtype=torch.float64),
            assign=nearest_mode(centres, std),
            ceiling=CEILING,
        ),
    )
