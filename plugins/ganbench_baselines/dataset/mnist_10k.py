"""The 10,000 test images of MNIST alone, in a seeded split: small enough for tables that a CPU makes in minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ganbench import Dataset, Download, hookimpl, stratified_split
from ganbench_baselines.dataset import mnist
from ganbench_baselines.dataset.standard import Arrays, dataset_of

TEST_SHARE = 0.2
SPLIT_SEED = 0  # the split is part of the dataset


def read(files: Sequence[Path]) -> tuple[Arrays, Arrays]:
    """(training, test): 8,000 and 2,000 of the test images, with the same share of every digit."""
    x, y = mnist.arrays(files[0], files[1])
    train, test = (
        part.numpy() for part in stratified_split(torch.from_numpy(y.astype("int64")), TEST_SHARE, SPLIT_SEED)
    )
    return (x[train], y[train]), (x[test], y[test])


STANDARD = replace(
    mnist.STANDARD,
    name="mnist-10k",
    folders=(*mnist.STANDARD.folders, "mnist-t10k"),
    files=mnist.FILES[2:],
    read=read,
)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """MNIST's test images, 8,000 to train on and 2,000 held out."""
    return dataset_of(STANDARD, resolution)


@hookimpl
def ganbench_download() -> Download:
    """The two files of MNIST's test images."""
    return replace(mnist.DOWNLOAD, files=mnist.DOWNLOAD.files[2:], size=1_650_000)
