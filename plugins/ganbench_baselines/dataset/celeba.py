"""CelebA (Liu, Luo, Wang and Tang 2015): 202,599 photographs of faces, aligned, 178x218, RGB; without classes.

Each is cropped to its largest central square, 178x178, and resized; papers also use central squares of 140 or 160
pixels, whose scores differ. The official partition is kept: 162,770 images for training, 19,867 for selection, and
19,962 for the test. Files are found in torchvision's layout, or in that of Kaggle.
"""

from __future__ import annotations

from pathlib import Path

from ganbench import DataError, Dataset, Download, data_folder, hookimpl
from ganbench_baselines.dataset.archives import stamps
from ganbench_baselines.dataset.image_pixels import ImageSet, dataset_of, read_images
from ganbench_baselines.dataset.listing import counted, first, shown
from ganbench_baselines.dataset.members import names_in
from ganbench_baselines.dataset.standard import missing, place_of

SIDE = 178
IMAGES = (
    "celeba/img_align_celeba/img_align_celeba",
    "celeba/img_align_celeba",
    "celeba/img_align_celeba.zip",
    "img_align_celeba",
    "img_align_celeba.zip",
)
PARTITIONS = tuple(f"{folder}list_eval_partition{suffix}" for folder in ("celeba/", "") for suffix in (".txt", ".csv"))
TRAIN, VALID, TEST = "0", "1", "2"
DOWNLOAD = Download(
    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    "non-commercial research only",
    "Liu, Luo, Wang and Tang (2015), Deep learning face attributes in the wild",
    by_hand="get img_align_celeba.zip and list_eval_partition.txt from "
    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and put both into celeba/ in the data folder",
)


def read_partition(path: Path) -> list[tuple[str, str]]:
    """(name of an image, its part) from lines such as ``000001.jpg 0``, or with a comma in between.

    Raises:
        DataError: a line is something else.
    """
    lines = path.read_text("utf-8", "replace").replace(",", " ").splitlines()
    found = [tuple(line.split()) for line in lines if line.strip() and not line.startswith("image_id")]
    odd = [line for line in found if len(line) != 2 or line[1] not in {TRAIN, VALID, TEST}]
    if odd or not found:
        line = f"the line '{shown(' '.join(odd[0]))}'" if odd else "no line"
        raise DataError(f"'{shown(path)}' holds {line}, not images and their parts", "get this file again")
    return [(name, part) for name, part in found]


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """CelebA with its official partition."""
    listed = next((path for file in PARTITIONS if (path := data_folder() / file).is_file()), None)
    if listed is None:
        raise missing("celeba", DOWNLOAD, "no celeba/list_eval_partition.txt")
    folder, rows = place_of("celeba", DOWNLOAD, IMAGES), read_partition(listed)
    there = names_in(folder)
    if absent := [name for name, _ in rows if name not in there]:
        raise DataError(
            f"{len(absent):,} of {counted(len(rows), 'image')} of 'celeba' are not in '{shown(folder)}': "
            f"{first(absent)}",
            "get img_align_celeba.zip again",
        )
    files = [folder / name for name, _ in rows]
    parts = [[i for i, (_, part) in enumerate(rows) if part == wanted] for wanted in (TRAIN, TEST, VALID)]
    if empty := [what for what, part in zip(("training", "test"), parts, strict=False) if not part]:
        raise DataError(f"'{shown(listed)}' names no {empty[0]} images", "get this file again")
    images = ImageSet(
        "celeba",
        "celeba",
        str(folder),
        files,
        parts if parts[2] else parts[:2],
        stamps=lambda: stamps(files),
        usual=frozenset({"oblong"}),
        always_colour=True,
    )
    return dataset_of(images, read_images(images, resolution or SIDE))


@hookimpl
def ganbench_download() -> Download:
    """What to fetch by hand: the files are on Google Drive."""
    return DOWNLOAD
