"""Street View House Numbers (Netzer et al. 2011): 73,257 training and 26,032 test digits, 32x32, RGB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ganbench import DataError, Dataset, Download, RemoteFile, hookimpl
from ganbench_baselines.dataset.listing import shown
from ganbench_baselines.dataset.standard import Arrays, Standard, dataset_of


def _arrays(path: Path) -> Arrays:
    from scipy.io import loadmat

    try:
        held = loadmat(path, variable_names=("X", "y"))
        x, y = held["X"], held["y"].ravel()
    except Exception as error:  # a damaged file may raise anything
        raise DataError(f"'{shown(path)}' cannot be read: {shown(error)}", "get this file again") from error
    if x.dtype != np.uint8 or x.shape != (32, 32, 3, len(y)):
        raise DataError(f"'{shown(path)}' holds no 32x32 images with their labels", "get this file again")
    return x.transpose(3, 0, 1, 2), y % 10  # the digit 0 has the label 10


def read(files: Sequence[Path]) -> tuple[Arrays, Arrays]:
    """(training, test), without the 531,131 additional images."""
    train, test = map(_arrays, files)
    return train, test


STANDARD = Standard(
    "svhn",
    ("svhn", "SVHN", "."),
    ("train_32x32.mat", "test_32x32.mat"),
    read,
    tuple("0123456789"),
    "http://ufldl.stanford.edu/housenumbers",
)


MD5 = ("e26dedcc434d2e4c54c9b2d4a06d8373", "eb5a983be6a315427106f1b164d9cef3")


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """SVHN with its official split, from the cropped digits in MATLAB's format."""
    return dataset_of(STANDARD, resolution)


@hookimpl
def ganbench_download() -> Download:
    """The two files of cropped digits."""
    files = (
        RemoteFile((f"{STANDARD.homepage}/{file}",), f"md5:{digits}", f"{STANDARD.folders[0]}/{file}")
        for file, digits in zip(STANDARD.files, MD5, strict=True)
    )
    return Download(
        STANDARD.homepage,
        "non-commercial use only",
        "Netzer et al. (2011), Reading digits in natural images with unsupervised feature learning",
        tuple(files),
        246_000_000,
    )
