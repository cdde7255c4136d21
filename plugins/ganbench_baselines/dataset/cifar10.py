"""CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test photographs in ten classes, 32x32, RGB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ganbench import Dataset, hookimpl
from ganbench_baselines.dataset.python_batches import images_and_labels
from ganbench_baselines.dataset.standard import Arrays, Standard, dataset_of


def read(files: Sequence[Path]) -> tuple[Arrays, Arrays]:
    """(training, test) from the five training batches and the test batch."""
    return images_and_labels(list(files[:-1]), b"labels"), images_and_labels([files[-1]], b"labels")


STANDARD = Standard(
    "cifar10",
    ("cifar-10-batches-py", "cifar10"),
    (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"),
    read,
    ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "https://www.cs.toronto.edu/~kriz/cifar.html",
)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """CIFAR-10 with its official split, from the Python batches."""
    return dataset_of(STANDARD, resolution)
