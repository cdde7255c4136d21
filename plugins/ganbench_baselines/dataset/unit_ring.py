"""Ring of eight Gaussians, scaled to unit standard deviation (a toy problem of Gulrajani et al. 2017)."""

from __future__ import annotations

import math

from ganbench import Dataset, hookimpl
from ganbench_baselines.dataset import ring
from ganbench_baselines.dataset.gaussian_mixture import mixture

SPREAD = math.sqrt(0.5)
"""Standard deviation of the cosine of eight equally spaced angles."""


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """50,000 points to train on, 50,000 held out; both coordinates have a standard deviation of 1."""
    return mixture("unit-ring", ring.centres() / SPREAD, ring.STD / SPREAD, resolution)
