"""Kuzushiji-MNIST (Clanuwat et al. 2018): 60,000 and 10,000 images of cursive Japanese characters, 28x28, grayscale."""

from __future__ import annotations

from ganbench import Dataset, hookimpl
from ganbench_baselines.dataset.mnist import FILES, read
from ganbench_baselines.dataset.standard import Standard, dataset_of

STANDARD = Standard(
    "kmnist",
    ("KMNIST/raw", "kmnist"),
    FILES,
    read,
    ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    "https://codh.rois.ac.jp/kmnist",
)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """Kuzushiji-MNIST with its official split, from the files of torchvision or the original ones."""
    return dataset_of(STANDARD, resolution)
