"""Grid of 25 Gaussians, scaled to unit standard deviation (a toy problem of Gulrajani et al. 2017)."""

from __future__ import annotations

import math

from ganbench import Dataset, hookimpl
from ganbench_baselines.dataset import grid
from ganbench_baselines.dataset.gaussian_mixture import mixture

SPREAD = 2 * math.sqrt(2)
"""Standard deviation of {-4, -2, 0, 2, 4}."""


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """50,000 points to train on, 50,000 held out; both coordinates have a standard deviation of 1."""
    return mixture("unit-grid", grid.centres() / SPREAD, grid.STD / SPREAD, resolution)
