"""Checks before training whether there are enough data."""

from __future__ import annotations

import torch

from ganbench.contracts.data import Dataset, Split
from ganbench.errors import listed

SHOWN = 5
"""The largest number of classes that a sentence names."""


def shortages(dataset: Dataset, batch: int) -> list[str]:
    """Sentences on shortages of data, each with the next step.

    There may be too few training samples to fill a batch, or for a class to be learnt or evaluated.
    """
    return _short_of_a_batch(dataset, batch) + _small_classes(dataset)


def _short_of_a_batch(dataset: Dataset, batch: int) -> list[str]:
    train = dataset.train
    kinds = {"samples": train.x} | ({} if train.source is None else {"inputs": train.source})
    return [
        f"{dataset.name} has {len(x)} training {what}, fewer than a batch of {batch}, so every batch repeats some: "
        "lower `batch`, or add data"
        for what, x in kinds.items()
        if len(x) < batch
    ]


def _small_classes(dataset: Dataset) -> list[str]:
    if dataset.train.labels is None or dataset.test.labels is None:
        return []
    train, test = (_counts(split, dataset.spec.classes) for split in (dataset.train, dataset.test))
    small = [
        f"{dataset.class_title(label)} ({trained} to train on and {held_out} held out)"
        for label, (trained, held_out) in enumerate(zip(train, test, strict=True))
        if trained < 2 or held_out < 1
    ]
    if not small:
        return []
    some = listed(small) if len(small) <= SHOWN else f"{', '.join(small[:SHOWN])} and {len(small) - SHOWN} more"
    verb, them = ("has", "it") if len(small) == 1 else ("have", "them")
    return [f"in {dataset.name}, {some} {verb} too few samples to learn or evaluate: add some, or leave {them} out"]


def _counts(split: Split, classes: int) -> list[int]:
    assert split.labels is not None
    counts: list[int] = torch.bincount(split.labels, minlength=classes).tolist()
    return counts
