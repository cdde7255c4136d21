"""Kuzushiji-MNIST (Clanuwat et al. 2018): 60,000 and 10,000 images of cursive Japanese characters, 28x28, grayscale."""

from __future__ import annotations

from ganbench import Dataset, Download, hookimpl
from ganbench_baselines.dataset.mnist import FILES, idx_files, read
from ganbench_baselines.dataset.standard import Standard, dataset_of

STANDARD = Standard(
    "kmnist",
    ("KMNIST/raw", "kmnist"),
    FILES,
    read,
    ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    "https://codh.rois.ac.jp/kmnist",
)


HOSTS = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist",)
MD5 = (
    "bdb82020997e1d708af4cf47b453dcf7",
    "e144d726b3acfaa3e44228e80efcd344",
    "5c965bf0a639b31b8f53240b1b52f4d7",
    "7320c461ea6c1c855c0b718fb2a4b134",
)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """Kuzushiji-MNIST with its official split, from the files of torchvision or the original ones."""
    return dataset_of(STANDARD, resolution)


@hookimpl
def ganbench_download() -> Download:
    """The four files, from the makers of the set."""
    return Download(
        STANDARD.homepage,
        "CC BY-SA 4.0",
        "Clanuwat et al. (2018), Deep learning for classical Japanese literature",
        idx_files(STANDARD.folders[0], HOSTS, MD5),
        21_200_000,
    )
