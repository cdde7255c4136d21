"""Handwritten digits (Alpaydin and Kaynak 1998): the 1,797 8x8 images in scikit-learn, ten classes."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

from ganbench import DataError, Dataset, DataSpec, Oracle, Split, Unsupported, hookimpl, stratified_split

CLASSES = 10
CLASS_NAMES = tuple("0123456789")
NATIVE = 8
TEST_SHARE = 0.2
SPLIT_SEED = 0  # the split is part of the dataset: it is the same for all protocols and runs


def load(resolution: int = 16) -> tuple[Split, Split]:
    """(train, test): ``x[N, 1, R, R]`` as uint8 and ``labels[N]``, 1,438 and 359 images.

    Raises:
        Unsupported: the resolution is below that of the data, 8.
    """
    if resolution < NATIVE:
        raise Unsupported(
            f"the digits are {NATIVE}x{NATIVE} images and cannot be shown at resolution {resolution}",
            f"choose a resolution of {NATIVE} or more",
        )
    raw = torch.from_numpy(np.loadtxt(_file(), delimiter=","))
    x = raw[:, :-1].float().view(-1, 1, NATIVE, NATIVE) * (255 / 16)  # ink is stored as 0..16
    if resolution != NATIVE:
        x = interpolate(x, size=(resolution, resolution), mode="bilinear", align_corners=False)
    whole = Split(x.round().clamp(0, 255).to(torch.uint8), raw[:, -1].long())  # the only rounding step
    assert whole.labels is not None
    train, test = stratified_split(whole.labels, TEST_SHARE, SPLIT_SEED)
    return whole[train], whole[test]


def _file() -> Path:
    """The file that ``sklearn.datasets.load_digits`` reads, located without the slow import of scikit-learn."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError("scikit-learn, which the digits come with, is not installed", "pip install scikit-learn")
    return Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"


def class_frequencies(labels: torch.Tensor) -> torch.Tensor:
    """Share of each class, ``[10]`` in float64."""
    return torch.bincount(labels, minlength=CLASSES).double() / len(labels)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """The digits enlarged to ``resolution`` (16 by default) by bilinear interpolation."""
    resolution = 16 if resolution is None else resolution
    train, test = load(resolution)
    assert train.labels is not None
    assert test.labels is not None
    return Dataset(
        name="digits",
        spec=DataSpec((1, resolution, resolution), classes=CLASSES),
        train=train,
        test=test,
        oracle=Oracle(class_frequencies(torch.cat([train.labels, test.labels]))),
        class_names=CLASS_NAMES,
    )
