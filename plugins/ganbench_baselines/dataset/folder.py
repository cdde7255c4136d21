"""Your own images: `folder:PATH`, one folder of images, or one sub-folder per class.

PATH may also be a `.zip` or a `.tar` of such a folder, which is read in place. It reads every format that the installed
Pillow reads, and counts the files that it leaves out. Each image is rotated according to its EXIF data, placed on white
or black where it is transparent, converted to 8-bit RGB (one channel if all images in the folder are grayscale),
cropped to the largest central square, and resized with Pillow's Lanczos filter. Without a resolution, the images must
be squares of one size and are not resized. Images with more than 8 bits per channel, and files with several frames or
pages, are refused. More than 256 MiB of pixels are prepared on disk once instead of being read into memory.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ganbench import DataError, Dataset, DataSpec, Samples, hookimpl
from ganbench_baselines.dataset.archives import is_archive, open_archive
from ganbench_baselines.dataset.clip_files import read_clips
from ganbench_baselines.dataset.image_files import find_images, has_images, left_out
from ganbench_baselines.dataset.image_pixels import dataset_of, in_folder, read_images, refuse_odd_sizes
from ganbench_baselines.dataset.listing import Listing, copies_among, hold_out, path_of
from ganbench_baselines.dataset.members import Place

LOSSY = {".jpg", ".jpeg", ".jfif"}


@hookimpl
def ganbench_dataset(argument: str, resolution: int | None) -> Dataset:
    """The images of ``folder:PATH`` in a seeded, stratified 80/20 split."""
    if not argument:
        raise DataError("the dataset 'folder' needs a path", "write folder:PATH")
    path = path_of(argument)
    if is_archive(path):
        return _dataset(find_images(open_archive(path)), resolution)
    return _dataset(find_images(path), resolution)


@hookimpl
def ganbench_samples(path: str, data: DataSpec | None) -> Samples | None:
    """The images of a folder or an archive, as they are: squares of one size, neither cropped nor resized.

    For data of clips, each file is an animation. Sub-folders are the classes that samples were made for.
    """
    there = Path(path)
    if not there.is_dir() and not is_archive(there):
        return None
    return _read(there, data) if there.is_dir() else _read(open_archive(there), data)


def _read(place: Place, data: DataSpec | None) -> Samples | None:
    if not has_images(place) or (data is not None and len(data.shape) not in (3, 4)):
        return None
    listing = find_images(place)
    return _images(listing) if data is None or len(data.shape) == 3 else _clips(listing, data)


def _clips(listing: Listing[Place], data: DataSpec) -> Samples:
    """Animations, one per clip."""
    x, repeated = read_clips(listing.files, data.shape[0], data.shape[1])
    told = f"{len(x):,} animations in '{listing.name}', {x.shape[2]} frames of {x.shape[4]}x{x.shape[3]}"
    merged = f"frames of {repeated:,} of {len(x):,} animations are repeated, because they are shown for longer"
    return Samples(
        x,
        told,
        listing.labels if listing.classes else None,
        listing.classes,
        assumed=(merged,) if repeated else (),
        found=left_out(listing),
    )


def _images(listing: Listing[Place]) -> Samples:
    images = in_folder(listing.folder, listing.files, [range(len(listing.files))])
    images = replace(images, hashed=False)
    refuse_odd_sizes(images)
    pictures = read_images(images, None)
    (x,), name = pictures.arrays, f"'{listing.name}'"
    found = left_out(listing) + pictures.notes
    lossy = [file for file in listing.files if file.suffix.lower() in LOSSY]
    if lossy:
        found += (
            f"{len(lossy):,} of {len(x):,} images in {name} {'is' if len(lossy) == 1 else 'are'} JPEG, whose "
            "artefacts change scores: store samples as PNG",
        )
    size = f"{x.shape[-1]}x{x.shape[-1]}, {'gray' if x.shape[1] == 1 else 'RGB'}"
    return Samples(
        x,
        f"{len(x):,} image{'s' * (len(x) != 1)} in {name}, {size}",
        listing.labels if listing.classes else None,
        listing.classes,
        found=found,
    )


def _dataset(listing: Listing[Place], resolution: int | None) -> Dataset:
    train, test = hold_out(listing)
    images = in_folder(listing.folder, listing.files, [train.tolist(), test.tolist()])
    pictures = read_images(images, resolution)
    found = dataset_of(images, pictures, listing.labels if listing.classes else None, listing.classes)
    return replace(found, notes=left_out(listing) + found.notes + copies_among(listing, pictures.contents))
