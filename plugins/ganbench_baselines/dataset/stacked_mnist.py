"""Three random digits of MNIST as red, green and blue, with 1,000 modes: Stacked MNIST (Metz et al. 2017)."""

from __future__ import annotations

import torch

from ganbench import Dataset, DataSpec, Oracle, hookimpl
from ganbench_baselines.dataset import mnist
from ganbench_baselines.dataset.stacked_digits import SEED, mode_probabilities, stack
from ganbench_baselines.dataset.standard import dataset_of

TRAIN, TEST = 128_000, 26_000
"""As many triples as PacGAN trains on, and as many samples as it counts the modes of (Lin et al. 2018)."""


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """Training triples are made of training digits only, test triples of test digits only.

    The triples are drawn once, with a fixed seed, and take 360 MB of memory at 28x28.
    """
    digits = dataset_of(mnist.STANDARD, resolution)
    assert digits.train.labels is not None
    rng = torch.Generator().manual_seed(SEED)
    _, *sides = digits.spec.shape
    return Dataset(
        name="stacked-mnist",
        spec=DataSpec((3, *sides), classes=digits.spec.classes**3),
        train=stack(digits.train, TRAIN, rng),
        test=stack(digits.test, TEST, rng),
        oracle=Oracle(mode_probabilities(digits.train.labels)),
    )
