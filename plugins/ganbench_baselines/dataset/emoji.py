"""Noto Emoji (Google, Apache License 2.0): 1,474 pictures at 32x32 on white, in Unicode's eight groups.

Skin tones, variants by gender, and flags are left out; ``make_emoji.py`` says how. ``emoji.png`` holds the pictures in
rows of 40, and ``emoji.json`` their names in the same order. ``emoji-LICENSE.txt`` lies beside them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ganbench import DataError, Dataset, DataSpec, Oracle, Origin, Split, hookimpl, stratified_split
from ganbench_baselines.dataset.standard import resized

PICTURES = Path(__file__).with_name("emoji.png")
CLASS_NAMES = (
    "smileys & emotion",
    "people & body",
    "animals & nature",
    "food & drink",
    "travel & places",
    "activities",
    "objects",
    "symbols",
)
NATIVE, COLUMNS = 32, 40
HOW = "drawn at 256 px on white by resvg, means of 8x8 pixels; Lanczos filter unless at 32 px"
TEST_SHARE = 0.2
SPLIT_SEED = 0  # the split is part of the dataset: it is the same for all protocols and runs


def names(file: Path = PICTURES) -> list[list[str]]:
    """Unicode's names of the pictures, class by class.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        return list(json.loads(file.with_suffix(".json").read_text()).values())
    except (OSError, ValueError) as error:
        raise _damaged(file.with_suffix(".json"), error) from error


def load(resolution: int | None = None, file: Path = PICTURES) -> Split:
    """All pictures, ``x[1474, 3, R, R]`` as uint8, and ``labels[1474]``, sorted by class.

    ``resolution`` is 32 by default; other sizes are made with Pillow's Lanczos filter.

    Raises:
        DataError: the files are missing or damaged.
    """
    sizes = [len(group) for group in names(file)]
    try:
        with Image.open(file) as image:
            sheet = np.asarray(image.convert("RGB"))
    except (OSError, ValueError) as error:
        raise _damaged(file, error) from error
    cells = sheet.reshape(-1, NATIVE, COLUMNS, NATIVE, 3).swapaxes(1, 2).reshape(-1, NATIVE, NATIVE, 3)[: sum(sizes)]
    if resolution is not None and resolution != NATIVE:
        cells = resized(cells, resolution)
    x = torch.from_numpy(cells.transpose(0, 3, 1, 2).copy())
    return Split(x, torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)))


def _damaged(file: Path, error: Exception) -> DataError:
    return DataError(f"the emoji in '{file}' cannot be read ({type(error).__name__})", "install ganbench again")


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """1,180 pictures to train on and 294 held out, the same share of each class."""
    whole = load(resolution)
    assert whole.labels is not None
    train, test = (whole[index] for index in stratified_split(whole.labels, TEST_SHARE, SPLIT_SEED))
    classes = len(CLASS_NAMES)
    return Dataset(
        name="emoji",
        spec=DataSpec(tuple(whole.x.shape[1:]), classes=classes),
        train=train,
        test=test,
        oracle=Oracle(torch.bincount(whole.labels, minlength=classes).double() / len(whole)),
        class_names=CLASS_NAMES,
        origin=Origin("Google, Noto Emoji", "Apache 2.0", "https://github.com/googlefonts/noto-emoji", HOW),
    )
