"""Grid of 25 Gaussians (settings of PacGAN, Lin et al. 2018), centred on {-4, -2, 0, 2, 4} squared, std 0.05."""

from __future__ import annotations

import torch

from ganbench import Dataset, hookimpl
from ganbench_baselines.dataset.gaussian_mixture import mixture

STD = 0.05


def centres() -> torch.Tensor:
    """The centres of the modes, ``[25, 2]``, row by row."""
    axis = torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0], dtype=torch.float64)
    return torch.cartesian_prod(axis, axis)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """50,000 points to train on, 50,000 held out."""
    return mixture("grid", centres(), STD, resolution)
