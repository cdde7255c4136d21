"""LSUN (Yu et al. 2015): photographs of one kind of place, `lsun:bedroom`, at least 256 pixels a side, RGB; no classes.

Its databases ``bedroom_train_lmdb`` and ``bedroom_val_lmdb`` are read with the package lmdb; the second, of 300 images,
is the test split. A folder of images, ``lsun/bedroom/``, has a seeded 80/20 split. Each image is cropped to its largest
central square.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ganbench import DataError, Dataset, Download, Unsupported, data_folder, hookimpl, stratified_split
from ganbench_baselines.dataset.archives import stamps
from ganbench_baselines.dataset.image_files import readable
from ganbench_baselines.dataset.image_pixels import ImageSet, dataset_of, read_images
from ganbench_baselines.dataset.listing import SPLIT_SEED, TEST_SHARE, shown
from ganbench_baselines.dataset.members import files_below
from ganbench_baselines.dataset.standard import missing

FOLDERS = ("lsun", "LSUN", ".")
DOWNLOAD = Download(
    "https://www.yf.io/p/lsun",
    "none stated; the photographs belong to others",
    "Yu et al. (2015), LSUN: construction of a large-scale image dataset using deep learning with humans in the loop",
    by_hand="get CLASS_train_lmdb.zip and CLASS_val_lmdb.zip with the script from https://github.com/fyu/lsun, and "
    "unpack both into lsun/ in the data folder",
)


@dataclass(frozen=True, slots=True)
class Value:
    """An image in a database."""

    database: Any  # lmdb.Environment
    key: bytes

    def read_bytes(self) -> bytes:
        """The image file."""
        with self.database.begin() as turn:
            return bytes(turn.get(self.key) or b"")

    def __str__(self) -> str:
        return self.key.decode(errors="backslashreplace")


def _opened(folder: Path, stack: ExitStack) -> list[Value]:
    """All images of a database, by key, until the end of the stack: a process may open it once at a time.

    Raises:
        DataError: the package lmdb is not installed, or the database is damaged.
    """
    try:
        import lmdb
    except ImportError as error:
        raise DataError("reading LSUN's databases needs the package lmdb", "pip install 'ganbench[lsun]'") from error
    try:
        database = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, create=False)
        stack.callback(database.close)
        with database.begin() as turn:
            return [Value(database, bytes(key)) for key in turn.cursor().iternext(keys=True, values=False)]
    except lmdb.Error as error:
        raise DataError(f"'{shown(folder)}' cannot be read: {shown(error)}", "get this database again") from error


class Found(NamedTuple):
    """The images of a class: where they are, their split, and the files that change when they do."""

    place: Path
    files: Sequence[Value | Path]
    parts: Sequence[Sequence[int]]
    changing: Sequence[Path]


def _found(name: str, above: Path, stack: ExitStack) -> Found | None:
    """The images of a class in a folder that holds them."""
    train, test, plain = above / f"{name}_train_lmdb", above / f"{name}_val_lmdb", above / name
    if train.is_dir():
        if not test.is_dir():
            raise missing(f"lsun:{name}", DOWNLOAD, f"{train.name}, but no {test.name}")
        one, other = _opened(train, stack), _opened(test, stack)
        split = [range(len(one)), range(len(one), len(one) + len(other))]
        return Found(above, one + other, split, [train / "data.mdb", test / "data.mdb"])
    if plain.is_dir():
        files = [file for file in files_below(plain) if isinstance(file, Path) and file.suffix.lower() in readable()]
        parts = stratified_split(torch.zeros(len(files), dtype=torch.int64), TEST_SHARE, SPLIT_SEED)
        return Found(plain, files, [part.tolist() for part in parts], files)
    return None


@hookimpl
def ganbench_dataset(argument: str, resolution: int | None) -> Dataset:
    """The images of one class, ``lsun:CLASS``."""
    name = Path(argument).name
    if not name:
        raise DataError("the dataset 'lsun' needs the name of a class", "write lsun:bedroom, for example")
    if resolution is None:
        raise Unsupported("images of 'lsun' differ in size: name the resolution to resize them to")
    with ExitStack() as stack:
        places = (data_folder() / folder for folder in FOLDERS)
        found = next((one for above in places if (one := _found(name, above, stack))), None)
        if found is None:
            raise missing(
                f"lsun:{shown(name)}", DOWNLOAD, f"no lsun/{shown(name)}_train_lmdb and no lsun/{shown(name)}"
            )
        return _dataset(f"lsun:{shown(name)}", found, resolution)


def _dataset(name: str, found: Found, resolution: int) -> Dataset:
    if not all(found.parts):
        raise DataError(f"'{shown(found.place)}' holds too few images of {name}", DOWNLOAD.by_hand)
    images = ImageSet(
        name,
        name,
        str(found.place),
        found.files,
        found.parts,
        stamps=partial(stamps, found.changing),
        usual=frozenset({"oblong"}),
        always_colour=True,
    )
    return dataset_of(images, read_images(images, resolution))


@hookimpl
def ganbench_download() -> Download:
    """What to fetch by hand: the files are large, and a script of the authors fetches them."""
    return DOWNLOAD
