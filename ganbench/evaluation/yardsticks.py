"""Yardsticks: samples made without training, scored by the same code, so that every number has a scale beside it.

A protocol names those shown below its table: some of these, or the dataset's own. Fakes made without a label still
carry the reference's: they are what a generator makes that ignores the label it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ganbench.contracts.data import Dataset, Split, quantise, stratified_split, to_signal
from ganbench.errors import ProtocolError, Unsupported

Drawing = tuple[Split, Split]
"""(reals, fakes)"""


def real(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """Real against real: the floor. Other real samples if the reference leaves some, else two random halves of the
    reference, class by class (with half the samples, the score is a little worse). For pairs, real samples that belong
    to other sources."""
    if reference.paired:
        others = _pick(reference, len(reference), seed)
        return reference, replace(others, labels=reference.labels)
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
    return reference, _stored(_normal_like(dataset.train.x, len(reference), _rng(seed)), reference)


def class_gaussians(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """The same, fitted to each class separately: a conditional generator that is right in two moments of each.

    Raises:
        Unsupported: the data have no classes.
    """
    if reference.labels is None or dataset.train.labels is None:
        raise Unsupported("'class gaussians' needs labelled data", "leave it out of the protocol's yardsticks")
    rng = _rng(seed)
    fakes = torch.empty(len(reference), dataset.train.x[0].numel(), dtype=torch.float64)
    for label in reference.labels.unique():
        wanted = reference.labels == label
        fakes[wanted] = _normal_like(dataset.train.x[dataset.train.labels == label], int(wanted.sum()), rng)
    return reference, _stored(fakes, reference)


def training_data(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """Training samples: the score of a generator that has memorised them."""
    n = min(len(reference), len(dataset.train))
    return (reference if n == len(reference) else _pick(reference, n, seed)), _pick(dataset.train, n, seed + 1)


def one_class(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """Real training samples of a single class (or a single sample, where there are no labels): collapse."""
    train = dataset.train
    if train.labels is None:
        chosen = torch.randint(len(train), (1,), generator=_rng(seed))
    else:
        classes = train.labels.unique()
        chosen = (train.labels == classes[seed % len(classes)]).nonzero().flatten()
    index = chosen[torch.randint(len(chosen), (len(reference),), generator=_rng(seed + 1))]
    return reference, Split(train.x[index], reference.labels)


def noise(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """Uniform noise over the range of every coordinate of the training data."""
    x = to_signal(dataset.train.x).flatten(1)
    low, high = x.amin().double(), x.amax().double()
    uniform = torch.rand(len(reference), x.shape[1], generator=_rng(seed), dtype=torch.float64)
    return reference, _stored(low + (high - low) * uniform, reference)


YARDSTICKS: dict[str, Callable[[Dataset, Split, str, int], Drawing]] = {
    "real data": real,
    "training data": training_data,
    "class gaussians": class_gaussians,
    "gaussian fit": gaussian,
    "one class": one_class,
    "noise": noise,
}
Remake = Callable[[Split], Split]


def draw(name: str, dataset: Dataset, reference: Split, part: str, seed: int) -> tuple[Drawing, Remake | None]:
    """A draw of the yardstick ``name`` and, if it works by rule, a function that makes samples for other conditions.

    Raises:
        ProtocolError: neither the core nor the dataset knows it.
    """
    if name in YARDSTICKS:
        return YARDSTICKS[name](dataset, reference, part, seed), None
    if name in dataset.yardsticks:
        remake = partial(_made, dataset.yardsticks[name], seed=seed)
        return (reference, remake(reference)), remake
    known = ", ".join([*YARDSTICKS, *dataset.yardsticks])
    raise ProtocolError(f"there is no yardstick '{name}' for {dataset.name}", f"known: {known}")


def _made(make: Callable[[Split, int], Split], like: Split, seed: int) -> Split:
    made = make(like, seed)
    return Split(made.x, like.labels if made.labels is None else made.labels, made.source, like.paired)


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _pick(split: Split, n: int, seed: int) -> Split:
    return split[torch.randperm(len(split), generator=_rng(seed))[:n]]


def _normal_like(x: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """``[n, F]`` in float64 with the mean and covariance of ``x[N, *shape]``."""
    x = to_signal(x).flatten(1).double()
    mean, spread = x.mean(0), torch.linalg.eigh(torch.cov(x.T).reshape(x.shape[1], x.shape[1]))
    noise = torch.randn(n, x.shape[1], generator=rng, dtype=torch.float64)
    return mean + (noise * spread.eigenvalues.clamp(min=0).sqrt()) @ spread.eigenvectors.T


def _stored(x: Tensor, like: Split) -> Split:
    return Split(quantise(x.reshape(-1, *like.x.shape[1:]), like.x), like.labels)
