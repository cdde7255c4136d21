"""Well-known sets of images, found where torchvision or a browser left them; shared by `mnist`, `cifar10` and others.

Nothing is downloaded here; ``ganbench download`` does that. A set is looked for in the folder that the environment
variable GANBENCH_DATA names, or else in the user's data folder (``~/.local/share/ganbench`` on Linux). Its official
split is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image

from ganbench import DataError, Dataset, DataSpec, Download, Oracle, Origin, Split, data_folder
from ganbench_baselines.dataset.archives import open_archive
from ganbench_baselines.dataset.listing import shown
from ganbench_baselines.dataset.members import Member

VARIABLE = "GANBENCH_DATA"
Arrays = tuple[np.ndarray, np.ndarray]
"""Images ``[N, H, W]`` or ``[N, H, W, 3]`` as uint8, and labels ``[N]``, ignored where there are no classes."""


@dataclass(frozen=True)
class Standard:
    """A set of images that everyone uses under the same name.

    Args:
        name: the dataset's name.
        folders: where its files may be, below the data folder, in the order of the search.
        files: what has to be there; a file may also be compressed, with ``.gz`` behind its name.
        read: files in this order -> (training images and labels, test images and labels).
        class_names: in the order of the labels.
        homepage: where the files and their terms are to be found.
    """

    name: str
    folders: tuple[str, ...]
    files: tuple[str, ...]
    read: Callable[[Sequence[Path]], tuple[Arrays, Arrays]]
    class_names: tuple[str, ...]
    homepage: str


def found(standard: Standard) -> list[Path]:
    """The files of a set.

    Raises:
        DataError: some are missing; the message says which, and where they were looked for.
    """
    root = data_folder()
    missing = list(standard.files)
    for folder in standard.folders:
        paths = [_present(root / folder / file) for file in standard.files]
        if all(paths):
            return [path for path in paths if path]
        absent = [file for file, path in zip(standard.files, paths, strict=True) if not path]
        missing = min(missing, absent, key=len)
    places = " or ".join(f"'{shown(root / folder)}'" for folder in standard.folders)
    raise DataError(
        f"'{standard.name}' is not on this machine: there is no {missing[0]} in {places}",
        f"`ganbench download {standard.name}` fetches it; or get {', '.join(standard.files)} from "
        f"{standard.homepage}, put them into {shown(root / standard.folders[0])}, or set {VARIABLE} to the folder that "
        "holds them",
    )


def place_of(name: str, download: Download, candidates: Sequence[str]) -> Path | Member:
    """The first folder, or archive, that exists below the data folder.

    Raises:
        DataError: none does, or an archive cannot be read.
    """
    root = data_folder()
    for path in (root / candidate for candidate in candidates):
        if path.is_dir():
            return path
        if path.is_file():
            return open_archive(path)
    raise missing(name, download, f"no {' or '.join(candidates)}")


def missing(name: str, download: Download, what: str) -> DataError:
    """The error for a set that has to be fetched by hand, where there is ``what`` in the data folder."""
    return DataError(
        f"'{name}' is not on this machine: there is {what} in '{shown(data_folder())}'",
        f"{download.by_hand}; or set {VARIABLE} to another data folder",
    )


def _present(path: Path) -> Path | None:
    compressed = path.with_name(f"{path.name}.gz")
    return next((candidate for candidate in (path, compressed) if candidate.is_file()), None)


def dataset_of(standard: Standard, resolution: int | None) -> Dataset:
    """The set with its official split, resized to ``resolution`` with Pillow's Lanczos filter unless it has that size.

    Raises:
        DataError: its files are missing or damaged.
    """
    classes = len(standard.class_names)
    how = "as stored" if resolution is None else f"Lanczos filter (Pillow {PIL.__version__}) unless of that size"
    train, test = (_split(arrays, classes, resolution) for arrays in standard.read(found(standard)))
    return Dataset(
        name=standard.name,
        spec=DataSpec(tuple(train.x.shape[1:]), classes=classes),
        train=train,
        test=test,
        oracle=_oracle(train, classes),
        class_names=standard.class_names,
        origin=Origin(conversion=how),
    )


def _split(arrays: Arrays, classes: int, resolution: int | None) -> Split:
    images, labels = arrays
    if resolution is not None and resolution != images.shape[1]:
        images = resized(images, resolution)
    x = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return Split(torch.from_numpy(x.copy()), torch.from_numpy(labels.astype(np.int64)) if classes else None)


def _oracle(train: Split, classes: int) -> Oracle | None:
    """The shares of the classes, which an extractor that recognises them assigns to samples."""
    if train.labels is None:
        return None
    return Oracle(torch.bincount(train.labels, minlength=classes).double() / len(train))


def resized(images: np.ndarray, side: int) -> np.ndarray:
    """``images[N, H, W]`` or ``[N, H, W, 3]`` as uint8, resized to ``side`` with Pillow's Lanczos filter."""

    def one(image: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS))

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow releases the GIL
        return np.stack(list(pool.map(one, images)))
