"""ImageNet (ILSVRC 2012, Russakovsky et al. 2015): 1,281,167 and 50,000 photographs in 1,000 classes, RGB.

The validation images are the test split, because the labels of the test images are not public. Each image is cropped to
its largest central square. Classes are WordNet ids, or words if ``LOC_synset_mapping.txt`` lies beside the folders.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch

from ganbench import DataError, Dataset, Download, Unsupported, hookimpl
from ganbench_baselines.dataset.archives import stamps
from ganbench_baselines.dataset.image_files import find_images, left_out
from ganbench_baselines.dataset.image_pixels import ImageSet, dataset_of, read_images
from ganbench_baselines.dataset.listing import Listing, shown
from ganbench_baselines.dataset.standard import missing, place_of

PLACES = ("imagenet", "ImageNet", "ILSVRC2012")
WORDS = "LOC_synset_mapping.txt"
DOWNLOAD = Download(
    "https://image-net.org/challenges/LSVRC/2012",
    "non-commercial research only, after registration",
    "Russakovsky et al. (2015), ImageNet large scale visual recognition challenge",
    by_hand="register at https://image-net.org/download.php, get the training and the validation images, and unpack "
    "them to imagenet/train/WNID/ and imagenet/val/WNID/ in the data folder, a folder for each class",
)


def _listed(folder: Path) -> Listing[Path]:
    """The images of a split.

    Raises:
        DataError: it is not there, or not sorted into classes.
    """
    if not folder.is_dir():
        raise missing("imagenet", DOWNLOAD, f"no {folder.name} in {shown(folder.parent.name)}")
    listing = find_images(folder)
    if not listing.classes:
        raise DataError(
            f"the images in '{shown(folder)}' are not sorted into classes",
            "move each into a folder called after its class, such as n01440764",
        )
    return listing


def names_of(classes: tuple[str, ...], file: Path) -> tuple[str, ...]:
    """The first word for each class, with its id where two classes share it; the ids if there is no such file."""
    if not file.is_file():
        return classes
    lines = (line.partition(" ") for line in file.read_text("utf-8", "replace").splitlines())
    words = {number: text.partition(",")[0].strip() for number, _, text in lines}
    times = Counter(words.get(number, number) for number in classes)
    return tuple(
        f"{word} ({number})" if times[word] > 1 else word
        for number, word in ((number, words.get(number) or number) for number in classes)
    )


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """ImageNet's training images, and its validation images as the test split."""
    if resolution is None:
        raise Unsupported("images of 'imagenet' differ in size: name the resolution to resize them to")
    folder = place_of("imagenet", DOWNLOAD, PLACES)
    if not isinstance(folder, Path):
        raise missing("imagenet", DOWNLOAD, "an archive instead of a folder")
    train, test = _listed(folder / "train"), _listed(folder / "val")
    if others := sorted({*train.classes} ^ {*test.classes}):
        raise DataError(f"only one of 'train' and 'val' has the class {shown(others[0])}", "unpack both in full")
    files = train.files + test.files
    images = ImageSet(
        "imagenet",
        "imagenet",
        str(folder),
        files,
        [range(len(train.files)), range(len(train.files), len(files))],
        stamps=lambda: stamps(files),
        usual=frozenset({"oblong", "colours"}),
        always_colour=True,
    )
    labels = torch.cat([train.labels, test.labels])
    found = dataset_of(images, read_images(images, resolution), labels, names_of(train.classes, folder / WORDS))
    return replace(found, notes=left_out(train) + left_out(test) + found.notes)


@hookimpl
def ganbench_download() -> Download:
    """What to fetch by hand: it needs a registration."""
    return DOWNLOAD
