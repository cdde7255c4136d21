"""Flickr-Faces-HQ (Karras, Laine and Aila 2019): 70,000 photographs of faces, 1024x1024 or 128x128, RGB; no classes.

Its authors train on the first 60,000 images and keep the other 10,000, as do we. Images are found by their numbers, as
in ``ffhq/00000/00000.png``, whatever the folders are called.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import PurePath

from ganbench import DataError, Dataset, Download, hookimpl
from ganbench_baselines.dataset.archives import stamps
from ganbench_baselines.dataset.image_files import readable
from ganbench_baselines.dataset.image_pixels import ImageSet, Stored, dataset_of, read_images
from ganbench_baselines.dataset.listing import shown
from ganbench_baselines.dataset.members import files_below
from ganbench_baselines.dataset.standard import missing, place_of

FIRST_TEST, ALL = 60_000, 70_000
NAMES = ("images1024x1024", "thumbnails128x128")
PLACES = (
    *(f"{above}{name}{suffix}" for above in ("ffhq/", "") for name in NAMES for suffix in ("", ".zip")),
    "ffhq",
    "ffhq.zip",
)
DOWNLOAD = Download(
    "https://github.com/NVlabs/ffhq-dataset",
    "CC BY-NC-SA 4.0; each image has terms of its own",
    "Karras, Laine and Aila (2019), A style-based generator architecture for generative adversarial networks",
    by_hand="get images1024x1024 or thumbnails128x128 from https://github.com/NVlabs/ffhq-dataset and put the folder, "
    "or a .zip of it, into ffhq/ in the data folder",
)


def _number(file: Stored) -> int:
    return int(PurePath(str(file)).stem)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """The first 60,000 images for training, the others for the test."""
    folder = place_of("ffhq", DOWNLOAD, PLACES)
    found = [file for file in files_below(folder) if file.suffix.lower() in readable()]
    files = sorted((file for file in found if PurePath(file.name).stem.isdecimal()), key=_number)
    again = [number for number, times in Counter(map(_number, files)).items() if times > 1]
    if again:
        raise DataError(
            f"several images in '{shown(folder)}' have the number {again[0]:05}",
            "keep images of one size in this folder",
        )
    parts = [[i for i, file in enumerate(files) if (_number(file) >= FIRST_TEST) == test] for test in (False, True)]
    if not all(parts):
        raise missing("ffhq", DOWNLOAD, f"no image numbered {FIRST_TEST if parts[0] else 0:05} or higher")
    images = ImageSet(
        "ffhq",
        "ffhq",
        str(folder),
        files,
        parts,
        stamps=lambda: stamps(files),
        always_colour=True,
    )
    data = dataset_of(images, read_images(images, resolution))
    few = () if len(files) >= ALL else (f"ffhq has {len(files):,} of {ALL:,} images here",)
    return replace(data, notes=few + data.notes)


@hookimpl
def ganbench_download() -> Download:
    """What to fetch by hand: the files are on Google Drive."""
    return DOWNLOAD
