"""Three random digits as red, green and blue, with 1,000 modes: a small Stacked MNIST (Metz et al. 2017)."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from ganbench import Dataset, DataSpec, Oracle, Split, hookimpl
from ganbench_baselines.dataset import digits

TRAIN, TEST = 50_000, 26_000
SEED = 0  # the triples are part of the dataset, like the split of the digits in them


def stack(split: Split, n: int, rng: torch.Generator) -> Split:
    """``n`` random triples of one split's digits: ``x[n, 3, R, R]``, label 100 r + 10 g + b."""
    assert split.labels is not None
    index = torch.randint(len(split), (n, 3), generator=rng)
    labels = split.labels[index] @ torch.tensor([100, 10, 1])
    return Split(split.x[index].squeeze(2), labels)


def mode_probabilities(labels: Tensor) -> Tensor:
    """``[1000]``: channels are independent, so a triple's probability is a product of frequencies."""
    return reduce(torch.kron, [digits.class_frequencies(labels)] * 3)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """Training triples are made of training digits only, test triples of held-out digits only."""
    resolution = 16 if resolution is None else resolution
    train, test = digits.load(resolution)
    assert train.labels is not None
    rng = torch.Generator().manual_seed(SEED)
    return Dataset(
        name="stacked-digits",
        spec=DataSpec((3, resolution, resolution), classes=digits.CLASSES**3),
        train=stack(train, TRAIN, rng),
        test=stack(test, TEST, rng),
        oracle=Oracle(mode_probabilities(train.labels)),
    )
