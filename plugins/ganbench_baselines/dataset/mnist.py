"""MNIST (LeCun, Cortes and Burges 1998): 60,000 training and 10,000 test images of digits, 28x28, grayscale."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ganbench import DataError, Dataset, Download, RemoteFile, hookimpl
from ganbench_baselines.dataset.idx import read_idx
from ganbench_baselines.dataset.listing import shown
from ganbench_baselines.dataset.standard import Arrays, Standard, dataset_of

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def arrays(images: Path, labels: Path) -> Arrays:
    """Images ``[N, 28, 28]`` and labels ``[N]`` of a pair of IDX files.

    Raises:
        DataError: a file is damaged, or the two do not belong together.
    """
    x, y = read_idx(images), read_idx(labels)
    if x.ndim != 3 or y.shape != x.shape[:1]:
        raise DataError(
            f"'{shown(images)}' holds an array of shape {x.shape}, but '{shown(labels)}' one of shape {y.shape}",
            "get both files again",
        )
    return x, y


def read(files: Sequence[Path]) -> tuple[Arrays, Arrays]:
    """(training, test) from the four files of MNIST or of a set that imitates it."""
    return arrays(files[0], files[1]), arrays(files[2], files[3])


STANDARD = Standard(
    "mnist",
    ("MNIST/raw", "mnist", "."),
    FILES,
    read,
    tuple("0123456789"),
    "https://yann.lecun.com/exdb/mnist",
)


HOSTS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    "http://yann.lecun.com/exdb/mnist",
)
MD5 = (
    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "d53e105ee54ea40749a09fcbcd1e9432",
    "9fb629c4189551a2d022fa330f9573f3",
    "ec29112dd5afa0611ce80d1b7f02629c",
)


def idx_files(folder: str, hosts: Sequence[str], md5: Sequence[str]) -> tuple[RemoteFile, ...]:
    """The four compressed files of MNIST or of a set that imitates it, with the checksum of each, in this order."""
    return tuple(
        RemoteFile(tuple(f"{host}/{file}.gz" for host in hosts), f"md5:{digits}", f"{folder}/{file}.gz")
        for file, digits in zip(FILES, md5, strict=True)
    )


DOWNLOAD = Download(
    STANDARD.homepage,
    "CC BY-SA 3.0",
    "LeCun, Cortes and Burges (1998), The MNIST database of handwritten digits",
    idx_files(STANDARD.folders[0], HOSTS, MD5),
    11_600_000,
)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """MNIST with its official split, from the files of torchvision or the original ones."""
    return dataset_of(STANDARD, resolution)


@hookimpl
def ganbench_download() -> Download:
    """The four files, from their usual mirrors."""
    return DOWNLOAD
