"""Yardsticks: samples made without training and scored by the same code, to put the scores of rows in perspective.

A protocol names the ones shown below its table: some of these, or the dataset's own. Fakes made without a label still
carry the labels of the reference, like those of a generator that ignores the requested label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ganbench.contracts.data import Dataset, Split, quantise, stratified_split, to_signal
from ganbench.errors import ProtocolError, Unsupported, meant
from ganbench.records.record import IN_PLACE_OF

Drawing = tuple[Split, Split]
"""(reals, fakes)"""
LARGEST = 3072
"""The largest number of features for which a Gaussian has a full covariance: 32 x 32 pixels in colour."""
RANK, SPARE, ROUNDS, ROWS = 256, 16, 4, 500
"""With more features: the number of principal directions kept, and how they are found (Halko et al. 2011)."""
AT_ONCE = 1 << 26
"""Numbers. Data with more are read a few hundred rows at a time, because they may be larger than memory."""
FITTED = 20_000
"""Samples. With more, a Gaussian is fitted to a random choice of so many, which takes minutes instead of hours."""


def real(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """Real against real: the floor, on as many samples as for rows if there are enough data.

    Compares the reference with the other part if that has as many samples, and otherwise two random halves of the part,
    split class by class; if these are smaller, the score is slightly worse. For pairs, uses real samples that belong to
    other sources.
    """
    if reference.paired:
        others = _pick(reference, len(reference), seed)
        return reference, replace(others, labels=reference.labels)
    whole, others = dataset.part(part), dataset.part({"train": "test", "test": "train"}.get(part, part))
    halves = min(len(whole) // 2, len(reference))
    if part != "all" and len(others) >= min(len(reference), halves + 1):
        n = min(len(reference), len(others))
        return (reference if n == len(reference) else _pick(reference, n, seed)), _pick(others, n, seed + 1)
    labels = whole.labels if whole.labels is not None else torch.zeros(len(whole), dtype=torch.int64)
    one, other = stratified_split(labels, 0.5, seed)
    n = min(len(one), len(other), len(reference))
    return whole[one[:n]], whole[other[:n]]


def gaussian(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """A full-covariance Gaussian fitted to the raw training data, which matches only the first two moments.

    It is fitted to at most 20,000 samples, as are the other Gaussians, each class's to as many.
    """
    return reference, _gaussian(_Rows(dataset.train.x), reference, _rng(seed))


def low_rank_gaussian(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """A Gaussian with the training data's means and variances, whose covariance has rank 256 besides its diagonal.

    Its memory is linear in the number of features, while that of a full covariance is quadratic.
    """
    return reference, _low_rank(_Rows(dataset.train.x), reference, _rng(seed))


def class_gaussians(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """``gaussian``, fitted to each class separately: a conditional generator that matches two moments of each class.

    Raises:
        Unsupported: the data have no classes.
    """
    return reference, _by_class(dataset, reference, _gaussian, seed)


def low_rank_class_gaussians(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """``low_rank_gaussian``, fitted to each class separately.

    Raises:
        Unsupported: the data have no classes.
    """
    return reference, _by_class(dataset, reference, _low_rank, seed)


def _by_class(
    dataset: Dataset, reference: Split, fit: Callable[[_Rows, Split, torch.Generator], Split], seed: int
) -> Split:
    if reference.labels is None or dataset.train.labels is None:
        raise Unsupported("'class gaussians' needs labelled data", "leave it out of the protocol's yardsticks")
    rng, x = _rng(seed), torch.empty_like(reference.x)
    for label in reference.labels.unique():
        wanted = reference.labels == label
        members = _Rows(dataset.train.x, (dataset.train.labels == label).nonzero().flatten())
        x[wanted] = fit(members, reference[wanted.nonzero().flatten()], rng).x
    return Split(x, reference.labels)


def training_data(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """Training samples, which give the score of a generator that has memorised them."""
    n = min(len(reference), len(dataset.train))
    return (reference if n == len(reference) else _pick(reference, n, seed)), _pick(dataset.train, n, seed + 1)


def one_class(dataset: Dataset, reference: Split, part: str, seed: int) -> Drawing:
    """Mode collapse: real training samples of a single class, or one repeated sample if there are no labels."""
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
    x = dataset.train.x
    low, high = to_signal(x.amin()).double(), to_signal(x.amax()).double()
    uniform = torch.rand(len(reference), x[0].numel(), generator=_rng(seed), dtype=torch.float64)
    return reference, _stored(low + (high - low) * uniform, reference)


YARDSTICKS: dict[str, Callable[[Dataset, Split, str, int], Drawing]] = {
    "real data": real,
    "training data": training_data,
    "class gaussians": class_gaussians,
    "gaussian fit": gaussian,
    "one class": one_class,
    "noise": noise,
    "low-rank gaussian fit": low_rank_gaussian,
    "low-rank class gaussians": low_rank_class_gaussians,
}
Remake = Callable[[Split], Split]


class Drawn(NamedTuple):
    """The samples of a yardstick.

    Attributes:
        name: name of the yardstick.
        real: real samples.
        fake: the fakes to score against them.
        remake: makes samples for other conditions, if the yardstick works by a rule.
    """

    name: str
    real: Split
    fake: Split
    remake: Remake | None = None


def draw(name: str, dataset: Dataset, reference: Split, part: str, seed: int) -> Drawn:
    """Draw the yardstick ``name``.

    Raises:
        ProtocolError: neither the core nor the dataset knows it.
    """
    if reference.x[0].numel() > LARGEST:
        name = IN_PLACE_OF.get(name, name)
    if name in YARDSTICKS:
        return Drawn(name, *YARDSTICKS[name](dataset, reference, part, seed))
    if name in dataset.yardsticks:
        remake = partial(_made, dataset.yardsticks[name], seed=seed)
        return Drawn(name, reference, remake(reference), remake)
    raise _unknown(name, dataset)


def refuse_unknown(names: Sequence[str], dataset: Dataset) -> None:
    """Raise ProtocolError if neither the core nor the dataset knows one of the yardsticks."""
    for name in names:
        if name not in YARDSTICKS and name not in dataset.yardsticks:
            raise _unknown(name, dataset)


def _unknown(name: str, dataset: Dataset) -> ProtocolError:
    known = [*YARDSTICKS, *dataset.yardsticks]
    return ProtocolError(
        f"there is no yardstick '{name}' for {dataset.name}{meant(name, known)}", f"known: {', '.join(known)}"
    )


def _made(make: Callable[[Split, int], Split], like: Split, seed: int) -> Split:
    made = make(like, seed)
    return Split(made.x, like.labels if made.labels is None else made.labels, made.source, like.paired)


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _pick(split: Split, n: int, seed: int) -> Split:
    return split[torch.randperm(len(split), generator=_rng(seed))[:n]]


class _Rows:
    """Samples of ``x[N, *shape]``, all or those at ``index``, a few hundred rows at a time: ``[B, F]`` in float64."""

    def __init__(self, x: Tensor, index: Tensor | None = None) -> None:
        if len(x if index is None else index) > FITTED:
            index = torch.arange(len(x)) if index is None else index
            index = index[torch.randperm(len(index), generator=_rng(0))[:FITTED].sort().values]
        self.x, self.index = x, index

    def __len__(self) -> int:
        return len(self.x if self.index is None else self.index)

    def __iter__(self) -> Iterator[Tensor]:
        parts = self.x.split(ROWS) if self.index is None else (self.x[part] for part in self.index.split(ROWS))
        return (to_signal(part).flatten(1).double() for part in parts)

    def whole(self) -> Tensor | None:
        """All rows in one array; None if they are too many."""
        if len(self) * self.x[0].numel() > AT_ONCE:
            return None
        return to_signal(self.x if self.index is None else self.x[self.index]).flatten(1).double()


def _gaussian(rows: _Rows, like: Split, rng: torch.Generator) -> Split:
    """As many samples as ``like`` has from a Gaussian with the mean and covariance of the rows."""
    mean, covariance = _mean_and_covariance(rows)
    values, vectors = _eigen(covariance)
    noise = torch.randn(len(like), len(mean), generator=rng, dtype=torch.float64)
    return _stored(mean + (noise * values.clamp(min=0).sqrt()) @ vectors.T, like)


def _mean_and_covariance(rows: _Rows) -> tuple[Tensor, Tensor]:
    """``[F]`` and ``[F, F]``."""
    whole = rows.whole()
    if whole is not None:
        return whole.mean(0), torch.cov(whole.T).reshape(whole.shape[1], whole.shape[1])
    mean, _ = _moments(rows)
    products = sum((part - mean).T @ (part - mean) for part in rows)
    return mean, torch.as_tensor(products) / max(1, len(rows) - 1)


def _low_rank(rows: _Rows, like: Split, rng: torch.Generator) -> Split:
    """As many samples as ``like`` has from N(mean, L Lᵀ + ψ), fitted to the rows.

    L holds the leading principal directions, and ψ the remaining variance of each feature.
    """
    mean, variance = _moments(rows)
    loadings = _principal(rows, mean, rng)
    rest = (variance - loadings.square().sum(1)).clamp(min=0).sqrt()
    parts = []
    for part in like.x.split(ROWS):
        z = torch.randn(len(part), loadings.shape[1], generator=rng, dtype=torch.float64)
        noise = torch.randn(len(part), len(mean), generator=rng, dtype=torch.float64)
        made = (mean + z @ loadings.T + noise * rest).reshape(part.shape)
        parts.append(quantise(made, like.x))
    return Split(torch.cat(parts), like.labels)


def _moments(rows: _Rows) -> tuple[Tensor, Tensor]:
    """Mean and variance of every feature, ``[F]`` each."""
    mean = sum(part.sum(0) for part in rows) / len(rows)
    squares = sum((part - mean).square().sum(0) for part in rows)
    return torch.as_tensor(mean), torch.as_tensor(squares) / max(1, len(rows) - 1)


def _principal(rows: _Rows, mean: Tensor, rng: torch.Generator) -> Tensor:
    """``L[F, k]``: the leading k eigenvectors of the covariance times the roots of their eigenvalues.

    They come from subspace iteration, without the covariance.
    """

    def covariance_times(directions: Tensor) -> Tensor:
        parts = ((part - mean).T @ ((part - mean) @ directions) for part in rows)
        return torch.as_tensor(sum(parts)) / max(1, len(rows) - 1)

    rank = min(RANK, len(rows) - 1, len(mean))
    basis = torch.randn(len(mean), min(rank + SPARE, len(mean)), generator=rng, dtype=torch.float64)
    for _ in range(ROUNDS):
        basis = torch.linalg.qr(covariance_times(basis)).Q
    values, vectors = _eigen(basis.T @ covariance_times(basis))
    return (basis @ vectors * values.clamp(min=0).sqrt())[:, -rank:]


def _eigen(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues ``[n]``, ascending, and eigenvectors ``[n, n]``, in columns, of a symmetric matrix ``[n, n]``."""
    values, vectors = torch.linalg.eigh(symmetric)
    return values, vectors


def _stored(x: Tensor, like: Split) -> Split:
    return Split(quantise(x.reshape(-1, *like.x.shape[1:]), like.x), like.labels)
