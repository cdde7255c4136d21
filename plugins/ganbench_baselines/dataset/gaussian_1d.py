"""One-dimensional Gaussian, N(4, 1.25): the data of the tutorial "GANs in 50 lines" (Nag 2017)."""

from __future__ import annotations

import torch

from ganbench import Dataset, DataSpec, Split, Unsupported, hookimpl

MEAN, STD = 4.0, 1.25  # the tutorial's values; there is only one mode, so no oracle is needed
SAMPLES = 50_000
SEED = 0


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """50,000 numbers to train on, 50,000 held out: ``x[N, 1]``."""
    if resolution is not None:
        raise Unsupported("gaussian-1d is made of points and has no resolution", "leave the resolution out")
    rng = torch.Generator().manual_seed(SEED)
    train, test = (MEAN + STD * torch.randn(SAMPLES, 1, generator=rng) for _ in range(2))
    return Dataset(
        name="gaussian-1d",
        spec=DataSpec((1,), bounded=False),
        train=Split(train),
        test=Split(test),
    )
