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

from ganbench import DataError, Dataset, hookimpl
from ganbench_baselines.dataset.archives import is_archive, open_archive
from ganbench_baselines.dataset.image_files import find_images, left_out
from ganbench_baselines.dataset.image_pixels import dataset_of, in_folder, read_images
from ganbench_baselines.dataset.listing import Listing, copies_among, hold_out, path_of
from ganbench_baselines.dataset.members import Place


@hookimpl
def ganbench_dataset(argument: str, resolution: int | None) -> Dataset:
    """The images of ``folder:PATH`` in a seeded, stratified 80/20 split."""
    if not argument:
        raise DataError("the dataset 'folder' needs a path", "write folder:PATH")
    path = path_of(argument)
    if is_archive(path):
        return _dataset(find_images(open_archive(path)), resolution)
    return _dataset(find_images(path), resolution)


def _dataset(listing: Listing[Place], resolution: int | None) -> Dataset:
    train, test = hold_out(listing)
    images = in_folder(listing.folder, listing.files, [train.tolist(), test.tolist()])
    pictures = read_images(images, resolution)
    found = dataset_of(images, pictures, listing.labels if listing.classes else None, listing.classes)
    return replace(found, notes=left_out(listing) + found.notes + copies_among(listing, pictures.contents))
