"""A dataset of images from Hugging Face, `hf:user/name`: a copy on this disk, read with the package datasets.

It is looked for in ``hf/user/name/`` and ``user/name/`` below the data folder, as ``save_to_disk`` writes it, and then
in Hugging Face's own cache. Nothing is downloaded, unless HF_HUB_OFFLINE is set to 0. The image and the label are the
columns of these types. A split ``test`` or ``validation`` is held out, or else a seeded, stratified 20 % of the images.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ganbench import DataError, Dataset, Download, data_folder, hookimpl, stratified_split
from ganbench_baselines.dataset.archives import stamps
from ganbench_baselines.dataset.image_pixels import ImageSet, dataset_of, read_images
from ganbench_baselines.dataset.listing import SPLIT_SEED, TEST_SHARE, first, path_of, shown

OFFLINE = "HF_HUB_OFFLINE"
HELD_OUT = ("test", "validation", "valid", "val")
MARKS = ("dataset_dict.json", "state.json")
"""What ``save_to_disk`` writes into a folder."""
DOWNLOAD = Download(
    "https://huggingface.co/datasets",
    "each dataset has its own",
    "the authors of each dataset",
    by_hand="where there is a network, run `python -c \"import datasets; datasets.load_dataset('user/name')"
    ".save_to_disk('name')\"` and put the folder into hf/user/ in the data folder",
)


@dataclass(frozen=True, slots=True)
class Cell:
    """An image in a table: the column ``image`` of row ``row`` of a split."""

    table: Any  # datasets.Dataset, with images that are not decoded
    column: str
    split: str
    row: int

    def read_bytes(self) -> bytes:
        """The image file."""
        held = self.table[self.row][self.column]
        return bytes(held["bytes"]) if held["bytes"] is not None else Path(held["path"]).read_bytes()

    def __str__(self) -> str:
        return f"row {self.row} of {self.split}"


def _library() -> ModuleType:
    """The package datasets, which then stays offline.

    Raises:
        DataError: it is not installed.
    """
    os.environ.setdefault(OFFLINE, "1")  # read when the package is imported
    try:
        import datasets
    except ImportError as error:
        said = "datasets from Hugging Face need the package datasets"
        raise DataError(said, "pip install 'ganbench[hf]'") from error
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()  # it reports where it finds its copies
    return datasets


def _tables(name: str) -> Mapping[str, Any]:
    """Split -> table, with one split ``train`` if there are no splits.

    Raises:
        DataError: there is no copy on this machine, or it cannot be read.
    """
    library = _library()
    saved = (path_of(name), data_folder() / "hf" / name, data_folder() / name)
    folder = next((path for path in saved if any((path / mark).is_file() for mark in MARKS)), None)
    try:
        found = library.load_from_disk(str(folder)) if folder else library.load_dataset(name)
    except Exception as error:  # the library raises errors of many kinds
        why = shown(str(error).strip().partition("\n")[0])
        if folder:
            raise DataError(f"'{shown(folder)}' cannot be read: {why}", "save this dataset again") from error
        raise DataError(
            f"'hf:{shown(name)}' is not on this machine, neither below '{shown(data_folder())}' nor in the cache of "
            f"Hugging Face ({why})",
            DOWNLOAD.by_hand.replace("user/name", shown(name)),
        ) from error
    return found if isinstance(found, Mapping) else {"train": found}


def _column(table: Any, name: str, feature: str, *usual: str) -> str | None:
    """The column of this type, None if there is none; of several, the one that is called as usual.

    Raises:
        DataError: there are several, and none is called so.
    """
    named = [column for column, one in table.features.items() if type(one).__name__ == feature]
    if len(named) > 1 and not {*named} & {*usual}:
        raise DataError(
            f"'hf:{shown(name)}' has {len(named)} columns of type {feature}: {first(named)}",
            f"rename one to '{usual[0]}', remove the others, and save it with save_to_disk",
        )
    return next((column for column in usual if column in named), named[0] if named else None)


def _held_out(tables: Mapping[str, Any], label: str | None) -> str | None:
    """The split to hold out: the first that there is, and whose labels, if there are any, are known."""
    for split in HELD_OUT:
        if split in tables and len(tables[split]) and (label is None or min(_labels(tables[split], label)) >= 0):
            return split
    return None


def _labels(table: Any, column: str) -> np.ndarray:
    return np.asarray(table.with_format("numpy")[column][:], dtype=np.int64)


@hookimpl
def ganbench_dataset(argument: str, resolution: int | None) -> Dataset:
    """The images of ``hf:user/name``, or of a folder that ``save_to_disk`` wrote."""
    if not argument:
        raise DataError("the dataset 'hf' needs a name", "write hf:user/name")
    tables = _tables(argument)
    if "train" not in tables:
        raise DataError(
            f"'hf:{shown(argument)}' has no split 'train', only {first(list(tables))}", "rename one with save_to_disk"
        )
    train = tables["train"]
    image = _column(train, argument, "Image", "image", "img")
    if image is None:
        raise DataError(
            f"'hf:{shown(argument)}' has no column of images, only {first(list(train.features))}",
            "GANBench reads columns of the type datasets.Image",
        )
    label = _column(train, argument, "ClassLabel", "label", "labels", "fine_label")
    held_out = _held_out(tables, label)
    splits = ["train", *([held_out] if held_out else [])]
    files = [cell for split in splits for cell in _cells(tables[split], image, split)]
    names = tuple(train.features[label].names) if label else ()
    labels = torch.from_numpy(np.concatenate([_labels(tables[split], label) for split in splits])) if label else None
    name = shown(Path(argument).name if path_of(argument).is_dir() else argument)
    images = ImageSet(
        f"hf:{name}",
        f"hf:{name}",
        f"hf:{argument}",
        files,
        _parts(len(train), len(files), labels),
        stamps=lambda: _stamps([tables[split] for split in splits], image),
    )
    return dataset_of(images, read_images(images, resolution), labels, names)


def _cells(table: Any, column: str, split: str) -> list[Cell]:
    stored = table.cast_column(column, type(table.features[column])(decode=False))
    return [Cell(stored, column, split, row) for row in range(len(stored))]


def _parts(train: int, all_of_them: int, labels: torch.Tensor | None) -> Sequence[Sequence[int]]:
    """The rows of the training and the test split; drawn, if there is only one."""
    if train < all_of_them:
        return [range(train), range(train, all_of_them)]
    classes = torch.zeros(train, dtype=torch.int64) if labels is None else labels
    parts = [part.tolist() for part in stratified_split(classes, TEST_SHARE, SPLIT_SEED)]
    if not all(parts):
        raise DataError(f"{train} images are too few to hold any out", "choose a larger dataset")
    return parts


def _stamps(tables: Sequence[Any], column: str) -> Iterator[str]:
    for table in tables:
        yield f"{column} {len(table)}"
        yield from stamps(Path(file["filename"]) for file in table.cache_files)


@hookimpl
def ganbench_download() -> Download:
    """How to fetch any of them."""
    return DOWNLOAD
