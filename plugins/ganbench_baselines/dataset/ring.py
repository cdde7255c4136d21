"""Ring of eight Gaussians (Metz et al. 2017; settings of PacGAN, Lin et al. 2018): radius 1, std 0.01."""

from __future__ import annotations

import math

import torch

from ganbench import Dataset, hookimpl
from ganbench_baselines.dataset.gaussian_mixture import mixture

MODES = 8
STD = 0.01


def centres() -> torch.Tensor:
    """``[8, 2]``, in steps of 2 pi / 8, as ``linspace(0, 2 pi, 8)`` ends where it starts and has only seven modes."""
    angle = 2 * math.pi / MODES * torch.arange(MODES, dtype=torch.float64)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """50,000 points to train on, 50,000 held out."""
    return mixture("ring", centres(), STD, resolution)
