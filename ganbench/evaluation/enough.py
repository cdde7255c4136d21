"""Whether there are enough data: said before anything is trained."""

from __future__ import annotations

import torch

from ganbench.contracts.data import Dataset, Split
from ganbench.errors import listed

SHOWN = 5
"""The most classes that a sentence names."""


def shortages(dataset: Dataset, batch: int) -> list[str]:
    """Sentences on what the training data are too few for, each with the next step.

    They may not fill a batch of that size, or have classes that cannot be learnt or judged.
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
    return [f"in {dataset.name}, {some} {verb} too few samples to be learnt or judged: add some, or leave {them} out"]


def _counts(split: Split, classes: int) -> list[int]:
    assert split.labels is not None
    counts: list[int] = torch.bincount(split.labels, minlength=classes).tolist()
    return counts
