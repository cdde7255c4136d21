"""STL-10 (Coates, Lee and Ng 2011): 100,000 unlabelled and 8,000 test photographs, 96x96, RGB.

GANs are trained on the unlabelled part, as in Miyato et al. (2018), who resize it to 48x48. So there are no classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from PIL import Image

from ganbench import DataError, Dataset, DataSpec, Download, Origin, RemoteFile, Row, Split, hookimpl
from ganbench_baselines.dataset.archives import stamps
from ganbench_baselines.dataset.listing import shown
from ganbench_baselines.dataset.pixels import arrays_of
from ganbench_baselines.dataset.standard import Arrays, Standard, found

SIDE = 96


class Photograph(NamedTuple):
    """One image of a file that is mapped into memory, ``images[N, 96, 96, 3]``."""

    images: np.ndarray
    number: int


def _images(path: Path) -> Arrays:
    if not path.stat().st_size or path.stat().st_size % (3 * SIDE * SIDE):
        raise DataError(f"'{shown(path)}' does not hold whole 96x96 images", "get this file again")
    stored = np.memmap(path, np.uint8, "r").reshape(-1, 3, SIDE, SIDE)  # columns before rows
    return stored.transpose(0, 3, 2, 1), np.zeros(0)


def read(files: Sequence[Path]) -> tuple[Arrays, Arrays]:
    """(unlabelled, test)."""
    train, test = map(_images, files)
    return train, test


STANDARD = Standard(
    "stl10",
    ("stl10_binary", "stl10"),
    ("unlabeled_X.bin", "test_X.bin"),
    read,
    (),
    "https://cs.stanford.edu/~acoates/stl10",
)


ARCHIVE = RemoteFile(
    ("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",),
    "md5:91f7769df0f17e558f3565bffb0c7dfb",
    "stl10_binary.tar.gz",
    unpack={
        "stl10_binary/unlabeled_X.bin": "md5:5242ba1fed5e4be9e1e742405eb56ca4",
        "stl10_binary/test_X.bin": "md5:7f263ba9f9e0b06b93213547f721ac82",
    },
)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """STL-10's unlabelled images, and its test images as the held-out split.

    Raises:
        DataError: the files are missing or damaged.
    """
    files = found(STANDARD)
    parts = [[Photograph(images, number) for number in range(len(images))] for images, _ in read(files)]
    shape = (3, resolution or SIDE, resolution or SIDE)

    def pixels(photograph: Photograph) -> Row:
        image = photograph.images[photograph.number]
        if shape[-1] != SIDE:
            image = np.asarray(Image.fromarray(image).resize(shape[1:], Image.Resampling.LANCZOS))
        return Row(image.transpose(2, 0, 1))

    def made_from() -> Iterable[str]:
        yield f"Lanczos, Pillow {PIL.__version__}, {shape}"
        yield from stamps(files)

    train, test = arrays_of(STANDARD.name, made_from, parts, pixels, shape).arrays
    how = "as stored" if resolution is None else f"Lanczos filter (Pillow {PIL.__version__}) unless of that size"
    return Dataset(
        name=STANDARD.name,
        spec=DataSpec(shape),
        train=Split(train),
        test=Split(test),
        origin=Origin(conversion=how),
    )


@hookimpl
def ganbench_download() -> Download:
    """The archive of the set, of which only the files that are read are kept."""
    return Download(
        STANDARD.homepage,
        "none stated",
        "Coates, Lee and Ng (2011), An analysis of single-layer networks in unsupervised feature learning",
        (ARCHIVE,),
        2_640_000_000,
    )
