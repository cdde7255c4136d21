"""Your own images: `folder:PATH`, one folder of images, or one sub-folder per class.

Every image is turned upright according to its EXIF data, converted to 8-bit RGB (transparency is dropped; a folder of
grayscale images alone keeps one channel), cropped to the largest central square, and resized with Pillow's Lanczos
filter. Without a resolution, the images must be squares of one size and are not resized.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from ganbench import DataError, Dataset, DataSpec, Split, hookimpl, stratified_split

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
GRAY_MODES = {"1", "L", "LA"}
DEEP_MODES = ("I", "F")  # Pillow clips 16-bit and float pixels to 0..255 instead of scaling them
TEST_SHARE = 0.2
SPLIT_SEED = 0
NAMED = 5  # the most names that a message lists


@dataclass(frozen=True)
class Listing:
    """The image files, in the same order on every file system, and the class of each (all 0 in a flat folder)."""

    files: list[Path]
    labels: torch.Tensor
    classes: int


def _entries(folder: Path) -> list[Path]:
    """Sorted by name, hidden files left out (archives made on a Mac are full of them)."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"'{folder}' cannot be listed ({error.strerror})", "check its permissions") from error


def _images(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.suffix.lower() in SUFFIXES and entry.is_file()]


def _first(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def find_images(folder: Path) -> Listing:
    """The images of a flat folder, or of its class sub-folders (those without images are skipped).

    Raises:
        DataError: the folder is missing, empty, mixed, or deeper than one level of classes.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(f"the image folder '{folder}' {what}", "check the path after 'folder:'")
    flat = _images(folder)
    below = [entry for entry in _entries(folder) if entry.is_dir()]
    groups = {entry.name: images for entry in below if (images := _images(entry))}
    deeper = [f"{a.name}/{b.name}" for a in below for b in _entries(a) if b.is_dir() and any(_images(b))]
    if flat and groups:
        raise DataError(
            f"'{folder}' has {len(flat)} images beside the class folders {_first(list(groups))}",
            "move every image into a class folder, or every image into one folder",
        )
    if deeper:
        raise DataError(
            f"'{folder}' has images two levels down, in {_first(deeper)}",
            "name the folder whose sub-folders are the classes",
        )
    if not flat and not groups:
        raise DataError(
            f"'{folder}' holds no images",
            f"put {', '.join(sorted(SUFFIXES))} files into it, or into one sub-folder per class",
        )
    if flat:
        return Listing(flat, torch.zeros(len(flat), dtype=torch.int64), classes=0)
    sizes = torch.tensor([len(images) for images in groups.values()])
    files = [file for images in groups.values() for file in images]
    return Listing(files, torch.arange(len(groups)).repeat_interleave(sizes), classes=len(groups))


def _upright_size(file: Path) -> tuple[int, int] | None:
    """(width, height) from the header alone; None where it cannot be read (decoding will say why)."""
    try:
        with Image.open(file) as image:
            width, height = image.size
            on_its_side = image.getexif().get(0x0112, 1) >= 5  # EXIF tag "Orientation"
            return (height, width) if on_its_side else (width, height)
    except Exception:
        return None


def common_size(folder: Path, files: list[Path], pool: ThreadPoolExecutor) -> int:
    """The resolution of images that are all squares of one size.

    Raises:
        DataError: they are not.
    """
    sizes = {size for size in pool.map(_upright_size, files) if size is not None}
    squares = {width for width, height in sizes if width == height}
    if len(sizes) == len(squares) == 1:
        return squares.pop()
    if not sizes:  # no header is readable, so decoding will fail too, with a message that names the files
        return 1
    shapes = [f"{width}x{height}" for width, height in sorted(sizes)]
    raise DataError(
        f"the images in '{folder}' are not squares of one size but {_first(shapes)}",
        "name the resolution to resize them to",
    )


def _square(image: Image.Image) -> Image.Image:
    """The largest central square, cropped before resizing: unlike with ImageOps.fit, nothing outside it bleeds in."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _decode(file: Path, resolution: int) -> tuple[np.ndarray, bool]:
    """(pixels ``[R, R, 3]``, whether the file is grayscale)."""
    with Image.open(file) as opened:
        if opened.mode.startswith(DEEP_MODES):
            raise ValueError(f"mode {opened.mode}, more than 8 bits a channel")
        gray = opened.mode in GRAY_MODES
        image = ImageOps.exif_transpose(opened)
        if "transparency" in image.info:
            image = image.convert("RGBA")  # this way, a palette with transparency becomes RGB without a warning
        # gray goes through RGB too: three equal channels, so every image is filtered by the same arithmetic
        rgb = image.convert("RGB")
    return np.asarray(_square(rgb).resize((resolution, resolution), Image.Resampling.LANCZOS)), gray


def read_images(folder: Path, files: list[Path], resolution: int | None) -> torch.Tensor:
    """``x[N, 3, R, R]``, or ``x[N, 1, R, R]`` where every file is grayscale; uint8.

    Raises:
        DataError: some files cannot be read; the message names them.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes and resizes without holding the GIL
        size = common_size(folder, files, pool) if resolution is None else resolution
        pixels = np.empty((len(files), 3, size, size), dtype=np.uint8)

        def read(index: int) -> tuple[bool, str]:
            try:
                image, gray = _decode(files[index], size)
            except Exception as error:  # Pillow's decoders may raise anything
                return False, f"{files[index].relative_to(folder)} ({type(error).__name__}: {error})"
            pixels[index] = image.transpose(2, 0, 1)
            return gray, ""

        results = list(pool.map(read, range(len(files))))
    bad = [problem for _, problem in results if problem]
    if bad:
        raise DataError(
            f"{len(bad)} of {len(files)} images in '{folder}' cannot be read: {_first(bad)}",
            "replace or remove these files",
        )
    x = torch.from_numpy(pixels)
    return x[:, :1].clone() if all(gray for gray, _ in results) else x


@hookimpl
def ganbench_dataset(argument: str, resolution: int | None) -> Dataset:
    """The images of ``folder:PATH`` in a seeded, stratified 80/20 split."""
    if not argument:
        raise DataError("the dataset 'folder' needs a path", "write folder:PATH")
    folder = Path(argument).expanduser()
    listing = find_images(folder)
    train, test = stratified_split(listing.labels, TEST_SHARE, SPLIT_SEED)
    if len(test) == 0:
        raise DataError(
            f"none of the {len(listing.files)} images in '{folder}' can be held out",
            "put at least 3 images into each class",
        )
    x = read_images(folder, listing.files, resolution)
    whole = Split(x, listing.labels if listing.classes else None)
    return Dataset(
        name=f"folder:{folder.resolve().name}",
        spec=DataSpec(tuple(x.shape[1:]), classes=listing.classes),
        train=whole[train],
        test=whole[test],
    )
