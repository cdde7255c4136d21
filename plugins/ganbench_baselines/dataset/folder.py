"""Your own images: `folder:PATH`, one folder of images, or one sub-folder per class.

It reads every format that the installed Pillow reads, and counts the files that it leaves out. Each image is rotated
according to its EXIF data, placed on white or black where it is transparent, converted to 8-bit RGB (one channel if
all images in the folder are grayscale), cropped to the largest central square, and resized with Pillow's Lanczos
filter. Without a resolution, the images must be squares of one size and are not resized. Images with more than 8 bits
per channel, and files with several frames or pages, are refused.
"""

from __future__ import annotations

from ganbench import DataError, Dataset, DataSpec, Split, hookimpl
from ganbench_baselines.dataset.image_files import find_images, left_out
from ganbench_baselines.dataset.image_pixels import read_images
from ganbench_baselines.dataset.listing import copies, hold_out, path_of


@hookimpl
def ganbench_dataset(argument: str, resolution: int | None) -> Dataset:
    """The images of ``folder:PATH`` in a seeded, stratified 80/20 split."""
    if not argument:
        raise DataError("the dataset 'folder' needs a path", "write folder:PATH")
    folder = path_of(argument)
    listing = find_images(folder)
    train, test = hold_out(listing)
    x, notes = read_images(folder, listing.files, resolution)
    whole = Split(x, listing.labels if listing.classes else None)
    return Dataset(
        name=f"folder:{listing.name}",
        spec=DataSpec(tuple(x.shape[1:]), classes=len(listing.classes)),
        train=whole[train],
        test=whole[test],
        notes=left_out(listing) + notes + copies(listing, x),
        class_names=listing.classes,
    )
