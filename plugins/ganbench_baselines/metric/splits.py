"""Parts shared by metrics that look at the splits of the dataset themselves, besides the protocol's real samples."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ganbench import Dataset, Evaluation, Unsupported, extract

MOST = 50_000
"""Samples of a split that a metric uses; with more, a fixed random choice of so many."""
ROWS = 500  # of a block; as many as the core extracts at a time, because the last bits depend on it


def dataset_of(evaluation: Evaluation) -> Dataset:
    """The dataset with its splits.

    Raises:
        Unsupported: the samples do not come from a dataset, or the protocol names no extractor.
    """
    if evaluation.extractor is None:
        raise Unsupported("needs a feature extractor, but the protocol names none")
    if evaluation.dataset is None:
        raise Unsupported("needs the dataset's training and held-out splits")
    return evaluation.dataset


def chosen(x: Tensor, n: int) -> Tensor:
    """The indices of ``n`` samples of ``x``, ascending and always the same ones; of all if there are no more."""
    if len(x) <= n:
        return torch.arange(len(x))
    return torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:n].sort().values


def features_at(evaluation: Evaluation, x: Tensor, index: Tensor) -> Iterator[Tensor]:
    """Features of the samples ``x[index]`` from the protocol's extractor, in blocks of ``[B, d]``.

    The split may be larger than memory, so only a block is read at a time.
    """
    assert evaluation.extractor is not None
    for part in index.split(ROWS):
        yield extract(evaluation.extractor, x[part], evaluation.device)[0]
