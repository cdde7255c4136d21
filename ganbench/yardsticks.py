"""Yardsticks: samples that nobody trained for, scored by the same code, so that every number has a scale beside it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ganbench.data import Dataset, Split, quantise, stratified_split, to_signal

Drawing = tuple[Split, Split]
"""(reals, fakes)"""


def real(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """Real against real: the floor. Other real samples where the reference leaves some, else two random halves of the
    reference, class by class (half the samples: the score is a little worse for it)."""
    if part != "all":
        others = dataset.part("test" if part == "train" else "train")
        n = min(len(reference), len(others))
        return (reference if n == len(reference) else _pick(reference, n, seed)), _pick(others, n, seed + 1)
    labels = reference.labels if reference.labels is not None else torch.zeros(len(reference), dtype=torch.int64)
    one, other = stratified_split(labels, 0.5, seed)
    n = min(len(one), len(other))
    return reference[one[:n]], reference[other[:n]]


def gaussian(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """A full-covariance Gaussian fitted to the raw training data: right in two moments and nothing else."""
    x = to_signal(dataset.train.x).flatten(1).double()
    mean, spread = x.mean(0), torch.linalg.eigh(torch.cov(x.T).reshape(x.shape[1], x.shape[1]))
    noise = torch.randn(len(reference), x.shape[1], generator=_rng(seed), dtype=torch.float64)
    fakes = mean + (noise * spread.eigenvalues.clamp(min=0).sqrt()) @ spread.eigenvectors.T
    return reference, _stored(fakes, reference)


def one_class(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """Real training samples of a single class (or a single sample, where there are no labels): collapse."""
    train = dataset.train
    if train.labels is None:
        chosen = torch.randint(len(train), (1,), generator=_rng(seed))
    else:
        classes = train.labels.unique()
        chosen = (train.labels == classes[seed % len(classes)]).nonzero().flatten()
    index = chosen[torch.randint(len(chosen), (len(reference),), generator=_rng(seed + 1))]
    return reference, Split(train.x[index])


def noise(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """Uniform noise over the range of every coordinate of the training data."""
    x = to_signal(dataset.train.x).flatten(1)
    low, high = x.amin().double(), x.amax().double()
    uniform = torch.rand(len(reference), x.shape[1], generator=_rng(seed), dtype=torch.float64)
    return reference, _stored(low + (high - low) * uniform, reference)


YARDSTICKS: dict[str, Callable[[Dataset, Split, str, int], Drawing]] = {
    "real data": real,
    "gaussian fit": gaussian,
    "one class": one_class,
    "noise": noise,
}


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _pick(split: Split, n: int, seed: int) -> Split:
    return split[torch.randperm(len(split), generator=_rng(seed))[:n]]


def _stored(x: Tensor, like: Split) -> Split:
    return Split(quantise(x.reshape(-1, *like.x.shape[1:]), like.x))
