"""Reads the pixels of image files, and reports what the conversion loses; shared by `folder` and `folder-pair`.

Each image is rotated according to its EXIF data, converted to 8-bit RGB (one channel if all images in the folder are
grayscale), cropped to the largest central square, and resized with Pillow's Lanczos filter. Without a resolution, the
images must be squares of one size and are not resized. Transparent images are placed on white, or on black if their
visible part is bright on average, because the drawing of an icon may be entirely in its transparency.
"""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from ganbench import DataError
from ganbench_baselines.dataset.listing import counted, first, shown

GRAY_MODES = {"1", "L", "LA"}
RGB_MODES = {"RGB", "RGBA", "RGBX", "RGBa", "La", "P", "PA", "YCbCr", *GRAY_MODES}  # needs no colour profile
DEEP_MODES = ("I", "F")  # Pillow clips 16-bit and float pixels to 0..255 instead of scaling them
DEEP_RAW = re.compile(r"^(?!BGR).*;16|BC6H")  # Pillow keeps their high byte only; BGR;16 has 5 or 6 bits
BITS_PER_SAMPLE = 258  # a TIFF tag
SEE_THROUGH = {"RGBA", "LA", "PA"}
HEAD = 1 << 16  # bytes of a file in which to look for its header

REMARKS = {
    "views": "came with further pictures, which are left out",
    "transparent": "had to be laid on {0}, as they are transparent",
    "colours": "came in other colours than RGB ({0}), and had to be converted without a profile",
    "oblong": "had to be cut to the central square",
    "small": "had to be enlarged to {0} pixels a side",
    "warned": "made Pillow warn ({0})",
}
"""What can be said of some of the images, by kind; ``{0}`` is a detail of the first."""


class Pictures(NamedTuple):
    """``x[N, 3, R, R]``, or ``x[N, 1, R, R]`` where every file is grayscale; uint8.

    ``notes`` are sentences about what was cut off or converted.
    """

    x: torch.Tensor
    notes: tuple[str, ...]


@dataclass
class Reading:
    """The result of reading one file: remarks by kind, and why it cannot be used.

    ``light`` is the mean brightness of the visible part of a transparent image, from 0 to 255.
    """

    gray: bool = False
    light: float | None = None
    remarks: dict[str, str] = field(default_factory=dict)
    damaged: str = ""
    deep: str = ""
    paged: str = ""


def read_images(folder: Path, files: list[Path], resolution: int | None) -> Pictures:
    """The pixels of all files.

    Raises:
        DataError: some files cannot be read, have more than 8 bits per channel, or hold several frames; or sizes differ
            and no resolution is given.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool, _heard() as heard:  # Pillow releases the GIL while it decodes
        size = common_size(folder, files, pool) if resolution is None else resolution
        pixels = np.empty((len(files), 3, size, size), dtype=np.uint8)

        def read(index: int, ground: str = "white") -> Reading:
            heard.said = []
            reading = Reading()
            image = _decode(files[index], size, reading, ground)
            if image is not None:
                pixels[index] = image.transpose(2, 0, 1)
            if heard.said:
                reading.remarks["warned"] = heard.said[0]
            return reading

        readings = list(pool.map(read, range(len(files))))
        lights = {index: reading.light for index, reading in enumerate(readings) if reading.light is not None}
        if sum(lights.values()) > 255 / 2 * len(lights):
            for index, reading in zip(lights, pool.map(partial(read, ground="black"), lights), strict=True):
                readings[index] = reading
    names = [str(file.relative_to(folder)) for file in files]
    _refuse(folder, names, readings)
    x = torch.from_numpy(pixels)
    gray = all(reading.gray for reading in readings)
    return Pictures(x[:, :1].clone() if gray else x, _notes(folder, names, readings))


@contextmanager
def _heard() -> Iterator[threading.local]:
    """Collect Pillow's warnings, which name no file, in the thread-local ``said``."""
    heard = threading.local()

    def keep(message: Warning | str, *place: object, **named: object) -> None:
        said = getattr(heard, "said", [])
        said.append(" ".join(str(message).split()).rstrip("."))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = keep
        yield heard


def _upright_size(file: Path) -> tuple[int, int] | None:
    """(width, height) from the header alone; None if it cannot be read (decoding will report why)."""
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
        DataError: they are not squares, or not of one size.
    """
    sizes = {size for size in pool.map(_upright_size, files) if size is not None}
    squares = {width for width, height in sizes if width == height}
    if len(sizes) == len(squares) == 1:
        return squares.pop()
    if not sizes:  # no header is readable; decoding will fail too, with a message that names the files
        return 1
    shapes = [f"{width}x{height}" for width, height in sorted(sizes)]
    raise DataError(
        f"the images in '{shown(folder)}' are not squares of one size but {first(shapes)}",
        "name the resolution to resize them to",
    )


def _decode(file: Path, resolution: int, reading: Reading, ground: str) -> np.ndarray | None:
    """Pixels ``[R, R, 3]``, or None and the reason in ``reading``; ``ground`` is the colour behind transparency."""
    try:
        with Image.open(file) as opened:
            reading.gray = opened.mode in GRAY_MODES
            reading.deep = _deep(file, opened)
            if reading.deep:
                return None
            image = ImageOps.exif_transpose(opened)
            if "transparency" in image.info:
                image = image.convert("RGBA")  # converts a palette with transparency to RGB without a warning
            # gray also becomes RGB, with three equal channels, so that the same arithmetic filters every image
            rgb = (_laid_on(ground, image, reading) if image.mode in SEE_THROUGH else image).convert("RGB")
            reading.paged = _paged(opened, reading)
            _remark(image, opened.mode, resolution, reading)
    except Exception as error:  # Pillow's decoders may raise anything
        reading.damaged = _why(file, error)
        return None
    return np.asarray(_square(rgb).resize((resolution, resolution), Image.Resampling.LANCZOS))


def _laid_on(ground: str, image: Image.Image, reading: Reading) -> Image.Image:
    """The image on ``ground``; stores the brightness of its visible part in ``reading``."""
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return image
    shown_by, light = np.asarray(alpha, dtype=np.float64), np.asarray(image.convert("L"), dtype=np.float64)
    if shown_by.any():
        reading.light = float((light * shown_by).sum() / shown_by.sum())
    reading.remarks["transparent"] = ground
    laid = Image.new("RGBA", image.size, ground)
    laid.alpha_composite(image)
    return laid


def _why(file: Path, error: Exception) -> str:
    """Why an image cannot be read, in words for a user."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if file.stat().st_size == 0:
        return "an empty file"
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow knows"
    if isinstance(error, Image.DecompressionBombError):
        return "larger than Pillow opens, which limits the number of pixels"
    if "truncated" in str(error):
        return "cut off"
    return f"damaged: {shown(error)}"


def _deep(file: Path, image: Image.Image) -> str:
    """The number of bits per channel, if more than 8; where Pillow states it depends on the format."""
    if image.mode.startswith(DEEP_MODES):
        return f"mode {image.mode}"
    if image.format == "TIFF":
        bits = max(getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE) or (1,))
        return f"{bits} bits" if bits > 8 else ""
    if image.format in {"JPEG2000", "AVIF"}:
        with file.open("rb") as opened:
            head = opened.read(HEAD)
        bits = _bits_of_jpeg2000(head) if image.format == "JPEG2000" else _bits_of_avif(head)
        return f"{bits} bits" if bits > 8 else ""
    for decoder, _, _, arguments in getattr(image, "tile", ()):
        values = arguments if isinstance(arguments, tuple) else (arguments,)
        if decoder.startswith("ppm") and any(isinstance(value, int) and value > 255 for value in values):
            return f"up to {max(value for value in values if isinstance(value, int))}"
        if decoder == "SGI16" or any(isinstance(value, str) and DEEP_RAW.search(value) for value in values):
            return "16 bits"
    return ""


def _bits_of_jpeg2000(head: bytes) -> int:
    """The bits of the deepest component, from the codestream's header."""
    start = head.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return 0
    components = int.from_bytes(head[start + 40 : start + 42], "big")
    return max(((bits & 0x7F) + 1 for bits in head[start + 42 : start + 42 + 3 * components : 3]), default=0)


def _bits_of_avif(head: bytes) -> int:
    """8, or 10 for both 10 and 12 bits, from the first box av1C."""
    start = head.find(b"av1C")
    return 10 if 0 <= start < len(head) - 6 and head[start + 6] & 0x40 else 8


def _paged(image: Image.Image, reading: Reading) -> str:
    """The number of frames or pages, if there are several.

    Additional views of a photograph only give a remark. The layers of a PSD document make up one picture.
    """
    if image.format == "PSD" or not getattr(image, "is_animated", False):
        return ""
    if image.format == "MPO":
        reading.remarks["views"] = ""
        return ""
    return str(getattr(image, "n_frames", 2))


def _remark(image: Image.Image, mode: str, resolution: int, reading: Reading) -> None:
    """Note what converting an upright image to a square RGB one loses."""
    if mode not in RGB_MODES:
        reading.remarks["colours"] = mode
    if image.width != image.height:
        reading.remarks["oblong"] = ""
    if min(image.size) < resolution:
        reading.remarks["small"] = str(resolution)


def _square(image: Image.Image) -> Image.Image:
    """The largest central square, cropped before resizing so that, unlike ImageOps.fit, nothing outside bleeds in."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _refuse(folder: Path, names: Sequence[str], readings: Sequence[Reading]) -> None:
    """Raise one DataError that names the first files and what is wrong with each."""

    def found(kind: str) -> list[str]:
        return [
            f"{name} ({getattr(reading, kind)})"
            for name, reading in zip(names, readings, strict=True)
            if getattr(reading, kind)
        ]

    of = f"of {counted(len(names), 'image')} in '{shown(folder)}'"
    if damaged := found("damaged"):
        raise DataError(
            f"{len(damaged)} {of} cannot be read: {first(damaged)}",
            "replace or remove these files",
        )
    if deep := found("deep"):
        raise DataError(
            f"{len(deep)} {of} {'have' if len(deep) > 1 else 'has'} more than 8 bits a channel: {first(deep)}",
            "convert these files to 8 bits, with the scaling that suits them: GANBench would have to guess it",
        )
    if paged := found("paged"):
        paged = [f"{text[:-1]} frames)" for text in paged]
        raise DataError(
            f"{len(paged)} {of} {'hold' if len(paged) > 1 else 'holds'} several frames or pages: {first(paged)}",
            "save the frames that count as images of their own",
        )


def _notes(folder: Path, names: Sequence[str], readings: Sequence[Reading]) -> tuple[str, ...]:
    """A sentence for each kind of remark. It names the folder as the dataset does, to keep paths out of records."""
    notes = []
    for kind, text in REMARKS.items():
        found = [i for i, reading in enumerate(readings) if kind in reading.remarks]
        if found:
            said = text.format(readings[found[0]].remarks[kind])
            notes.append(
                f"{len(found)} of {counted(len(names), 'image')} in the folder {shown(folder.resolve().name)} {said}; "
                f"the first is {shown(names[found[0]])}"
            )
    return tuple(notes)
