"""Reads the pixels of image files, and reports what the conversion loses; shared by all datasets of image files.

Each image is rotated according to its EXIF data, converted to 8-bit RGB (one channel if all images of a folder are
grayscale), cropped to the largest central square, and resized with Pillow's Lanczos filter. Without a resolution, the
images must be squares of one size and are not resized. Transparent images are placed on white, or on black if their
visible part is bright on average, because the drawing of an icon may be entirely in its transparency.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
import PIL
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from ganbench import DataError, Dataset, DataSpec, GanbenchWarning, Origin, Row, Split
from ganbench_baselines.dataset.archives import stamps
from ganbench_baselines.dataset.listing import counted, first, shown
from ganbench_baselines.dataset.members import Member
from ganbench_baselines.dataset.pixels import arrays_of, is_large

GRAY_MODES = {"1", "L", "LA"}
RGB_MODES = {"RGB", "RGBA", "RGBX", "RGBa", "La", "P", "PA", "YCbCr", *GRAY_MODES}  # needs no colour profile
DEEP_MODES = ("I", "F")  # Pillow clips 16-bit and float pixels to 0..255 instead of scaling them
DEEP_RAW = re.compile(r"^(?!BGR).*;16|BC6H")  # Pillow keeps their high byte only; BGR;16 has 5 or 6 bits
BITS_PER_SAMPLE = 258  # a TIFF tag
SEE_THROUGH = {"RGBA", "LA", "PA"}
HEAD = 1 << 16  # bytes of a file in which to look for its header
RULE = f"central square, Lanczos, Pillow {PIL.__version__}"
"""How pixels are made. A change of it makes prepared arrays anew."""

REMARKS = {
    "views": "came with further pictures, which are left out",
    "transparent": "had to be laid on {0}, as they are transparent",
    "colours": "came in other colours than RGB ({0}), and had to be converted without a profile",
    "oblong": "had to be cut to the central square",
    "small": "had to be enlarged to {0} pixels a side",
    "warned": "made Pillow warn ({0})",
}
"""What can be said of some of the images, by kind; ``{0}`` is a detail of the first."""


class Stored(Protocol):
    """Something that holds the bytes of an image file: a path, a member of an archive, a value in a database."""

    def read_bytes(self) -> bytes:
        """All bytes."""


def _name_of(file: Stored) -> str:
    return file.name if isinstance(file, Path | Member) else str(file)


@dataclass(frozen=True)
class ImageSet:
    """Images that are read in the same way.

    Args:
        name: the dataset's name, which lists of prepared arrays show.
        where: what holds the images, in notes; without its path, to keep paths out of records.
        path: the same in errors, with its path.
        files: all images.
        parts: the indices in ``files`` of each split.
        name_of: names an image in messages.
        stamps: gives lines that change when an image does.
        usual: kinds of remarks that are not made, because everyone who uses these images expects it.
        always_colour: three channels, even if all images are grayscale.
        hashed: whether to hash the pixels of each image.
    """

    name: str
    where: str
    path: str
    files: Sequence[Stored]
    parts: Sequence[Sequence[int]]
    name_of: Callable[[Stored], str] = _name_of
    stamps: Callable[[], Iterable[str]] = tuple
    usual: frozenset[str] = frozenset()
    always_colour: bool = False
    hashed: bool = False


class Pictures(NamedTuple):
    """``arrays`` are ``[N, 3, R, R]`` for each part, or ``[N, 1, R, R]`` where every file is grayscale; uint8.

    ``notes`` are sentences about what was cut off or converted. ``contents`` are hashes of the pixels of each file, in
    the order of the files, if they were wanted.
    """

    arrays: tuple[torch.Tensor, ...]
    notes: tuple[str, ...]
    contents: tuple[str, ...]


class Reading(msgspec.Struct, omit_defaults=True):
    """The result of reading one file: remarks by kind, why it cannot be used, and the hash of its pixels."""

    remarks: dict[str, str] = {}
    damaged: str = ""
    deep: str = ""
    paged: str = ""
    content: str = ""


def in_folder(folder: Path | Member, files: Sequence[Path | Member], parts: Sequence[Sequence[int]]) -> ImageSet:
    """The images of a user's own folder."""

    def name_of(file: Stored) -> str:
        return str(file.relative_to(folder))  # type: ignore[attr-defined]  # all are in the folder

    name = shown(folder.resolve().name)
    return ImageSet(
        f"folder:{name}", f"the folder {name}", str(folder), files, parts, name_of, partial(stamps, files), hashed=True
    )


def read_images(images: ImageSet, resolution: int | None) -> Pictures:
    """The pixels of all images; prepared on disk if they are large.

    Raises:
        DataError: some files cannot be read, have more than 8 bits per channel, or hold several frames; or sizes differ
            and no resolution is given.
    """
    with _heard() as heard:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            size = common_size(images, pool) if resolution is None else resolution
            channels = 1 if not images.always_colour and _all_gray(images.files, pool) else 3
        parts = [[images.files[index] for index in part] for part in images.parts]
        shape = (channels, size, size)
        read = Reader(images, shape, heard, strict=is_large(len(images.files), shape))
        made = partial(_made_from, images, shape)
        found = arrays_of(images.name, made, parts, read, shape)
    order = [index for part in images.parts for index in part]
    readings = [Reading()] * len(images.files)
    for index, said in zip(order, found.said, strict=True):
        readings[index] = msgspec.json.decode(said, type=Reading) if said else Reading()
    names = [images.name_of(file) for file in images.files]
    _refuse(images, names, readings)
    return Pictures(found.arrays, _notes(images, names, readings), tuple(reading.content for reading in readings))


def dataset_of(
    images: ImageSet, pictures: Pictures, labels: torch.Tensor | None = None, class_names: tuple[str, ...] = ()
) -> Dataset:
    """A dataset of the parts of a set: training, test and, if there is a third, selection.

    Args:
        images: the set.
        pictures: its pixels.
        labels: the class of each of its files, or None.
        class_names: in the order of the labels.
    """
    train, test, *selection = (
        Split(x, None if labels is None else labels[torch.tensor(part, dtype=torch.int64)])
        for x, part in zip(pictures.arrays, images.parts, strict=True)
    )
    return Dataset(
        name=images.name,
        spec=DataSpec(tuple(train.x.shape[1:]), classes=len(class_names)),
        train=train,
        test=test,
        selection=selection[0] if selection else None,
        notes=pictures.notes,
        class_names=class_names,
        origin=Origin(conversion=f"largest central square, Lanczos filter (Pillow {PIL.__version__}), 8 bits"),
    )


def _made_from(images: ImageSet, shape: tuple[int, ...]) -> Iterable[str]:
    yield f"{RULE}, {shape}, {'hashed' if images.hashed else ''}"
    yield str([list(part) for part in images.parts])
    yield from images.stamps()


class Reader:
    """Reads the images of a set, one at a time, in any thread.

    Called with a file, it returns its pixels, uint8 ``[C, R, R]``, and the ``Reading`` as JSON. If it is ``strict``,
    it raises DataError for a file that cannot be used. Otherwise the reading says why, and there are zeros.
    """

    def __init__(self, images: ImageSet, shape: tuple[int, ...], heard: threading.local, *, strict: bool) -> None:
        self.images, self.shape, self.heard, self.strict = images, shape, heard, strict
        self._ground, self._lock = "", threading.Lock()

    def __call__(self, file: Stored) -> Row:
        """Read an image."""
        self.heard.said = []
        reading = Reading()
        image = _decode(file, self.shape[-1], reading, self.ground)
        if self.heard.said:
            reading.remarks["warned"] = self.heard.said[0]
        del self.heard.said
        for kind in self.images.usual:
            reading.remarks.pop(kind, None)
        if self.strict:
            _refuse(self.images, [self.images.name_of(file)], [reading])
        pixels = np.zeros(self.shape, np.uint8)
        if image is not None:
            pixels[:] = image.transpose(2, 0, 1)[: self.shape[0]]
        if self.images.hashed:
            reading.content = hashlib.sha256(pixels.tobytes()).hexdigest()[:32]
        said = msgspec.json.encode(reading).decode()
        return Row(pixels, "" if said == "{}" else said)

    def ground(self) -> str:
        """The colour behind transparent images, decided from all of them when the first is read."""
        with self._lock:
            if not self._ground:
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    lights = [light for light in pool.map(_light_of, self.images.files) if light is not None]
                self._ground = "black" if sum(lights) > 255 / 2 * len(lights) else "white"
        return self._ground


@contextmanager
def _heard() -> Iterator[threading.local]:
    """Collect Pillow's warnings, which name no file, in the thread-local ``said`` of threads that have it."""
    heard = threading.local()

    def keep(message: Warning | str, category: type[Warning], *place: object, **named: object) -> None:
        if issubclass(category, GanbenchWarning):  # of the core, about the preparation
            usual(message, category, *place, **named)  # type: ignore[arg-type]  # passed on as they came
        getattr(heard, "said", []).append(" ".join(str(message).split()).rstrip("."))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        usual, warnings.showwarning = warnings.showwarning, keep
        yield heard


def _source(file: Stored) -> Path | io.BytesIO:
    """What Pillow opens: a path, of which it reads only what it needs, or all bytes."""
    return file if isinstance(file, Path) else io.BytesIO(file.read_bytes())


def _upright_size(file: Stored) -> tuple[int, int] | None:
    """(width, height) from the header alone; None if it cannot be read (decoding will report why)."""
    try:
        with Image.open(_source(file)) as image:
            width, height = image.size
            on_its_side = image.getexif().get(0x0112, 1) >= 5  # EXIF tag "Orientation"
            return (height, width) if on_its_side else (width, height)
    except Exception:
        return None


def _is_gray(file: Stored) -> bool:
    """Whether the header says that an image is grayscale."""
    try:
        with Image.open(_source(file)) as image:
            return image.mode in GRAY_MODES
    except Exception:
        return False


def _all_gray(files: Sequence[Stored], pool: ThreadPoolExecutor) -> bool:
    """Whether all images are grayscale. Mostly the first one says that they are not."""
    return _is_gray(files[0]) and all(pool.map(_is_gray, files))


def common_size(images: ImageSet, pool: ThreadPoolExecutor) -> int:
    """The resolution of images that are all squares of one size.

    Raises:
        DataError: they are not squares, or not of one size.
    """
    sizes = {size for size in pool.map(_upright_size, images.files) if size is not None}
    squares = {width for width, height in sizes if width == height}
    if len(sizes) == len(squares) == 1:
        return squares.pop()
    if not sizes:  # no header is readable; decoding will fail too, with a message that names the files
        return 1
    shapes = [f"{width}x{height}" for width, height in sorted(sizes)]
    raise DataError(
        f"the images in '{shown(images.path)}' are not squares of one size but {first(shapes)}",
        "name the resolution to resize them to",
    )


def refuse_odd_sizes(images: ImageSet) -> None:
    """Refuse images that are not all squares of one size, as somebody's samples, which are never resized.

    Raises:
        DataError: they are not; the message names some that differ from most.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [*zip(images.files, pool.map(_upright_size, images.files), strict=True)]
    sizes = Counter(size for _, size in found if size is not None)  # decoding will name files that cannot be read
    usual = max(sizes, key=lambda size: (sizes[size], size), default=(1, 1))
    odd = [f"{images.name_of(file)} ({size[0]}x{size[1]})" for file, size in found if size not in (usual, None)]
    if odd:
        raise DataError(
            f"{len(odd):,} of {len(found):,} images in '{shown(images.path)}' are not {usual[0]}x{usual[1]} like the "
            f"others: {first(odd)}",
            "make all samples in one size, or remove these: resizing would change scores",
        )
    if usual[0] != usual[1]:
        raise DataError(
            f"the images in '{shown(images.path)}' are {usual[0]}x{usual[1]}, not squares",
            "cut them in the same way as the data, or give them as an array",
        )


def _decode(file: Stored, resolution: int, reading: Reading, ground: Callable[[], str]) -> np.ndarray | None:
    """Pixels ``[R, R, 3]``, or None and the reason in ``reading``; ``ground`` gives the colour behind transparency."""
    try:
        with Image.open(_source(file)) as opened:
            reading.deep = _deep(file, opened)
            if reading.deep:
                return None
            image = _unfolded(opened)
            # gray also becomes RGB, with three equal channels, so that the same arithmetic filters every image
            rgb = (_laid_on(ground, image, reading) if image.mode in SEE_THROUGH else image).convert("RGB")
            reading.paged = _paged(opened, reading)
            _remark(image, opened.mode, resolution, reading)
    except Exception as error:  # Pillow's decoders may raise anything
        reading.damaged = _why(file, error)
        return None
    return np.asarray(_square(rgb).resize((resolution, resolution), Image.Resampling.LANCZOS))


def _unfolded(opened: Image.Image) -> Image.Image:
    """The image upright, and in a mode that says whether it may be transparent."""
    image = ImageOps.exif_transpose(opened)
    # converts a palette with transparency to RGB without a warning
    return image.convert("RGBA") if "transparency" in image.info else image


def _laid_on(ground: Callable[[], str], image: Image.Image, reading: Reading) -> Image.Image:
    """The image on the ground, if any of it is transparent."""
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema()[0] == 255:
        return image
    colour = ground()
    reading.remarks["transparent"] = colour
    laid = Image.new("RGBA", image.size, colour)
    laid.alpha_composite(image)
    return laid


def _light_of(file: Stored) -> float | None:
    """The mean brightness of the visible part of a transparent image, 0 to 255; None if all or nothing is visible.

    Only images whose header speaks of transparency are decoded.
    """
    with suppress(Exception):  # decoding will report why
        with Image.open(_source(file)) as opened:
            if ("transparency" not in opened.info and opened.mode not in SEE_THROUGH) or _deep(file, opened):
                return None
            image = _unfolded(opened).convert("RGBA")
        shown_by = np.asarray(image.getchannel("A"), dtype=np.float64)
        light = np.asarray(image.convert("L"), dtype=np.float64)
        if shown_by.min() < 255 and shown_by.any():
            return float((light * shown_by).sum() / shown_by.sum())
    return None


def _why(file: Stored, error: Exception) -> str:
    """Why an image cannot be read, in words for a user."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow knows" if file.read_bytes() else "an empty file"
    if isinstance(error, Image.DecompressionBombError):
        return "larger than Pillow opens, which limits the number of pixels"
    if "truncated" in str(error):
        return "cut off"
    return f"damaged: {shown(error)}"


def _deep(file: Stored, image: Image.Image) -> str:
    """The number of bits per channel, if more than 8; where Pillow states it depends on the format."""
    if image.mode.startswith(DEEP_MODES):
        return f"mode {image.mode}"
    if image.format == "TIFF":
        bits = max(getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE) or (1,))
        return f"{bits} bits" if bits > 8 else ""
    if image.format in {"JPEG2000", "AVIF"}:
        head = _head(file)
        bits = _bits_of_jpeg2000(head) if image.format == "JPEG2000" else _bits_of_avif(head)
        return f"{bits} bits" if bits > 8 else ""
    for decoder, _, _, arguments in getattr(image, "tile", ()):
        values = arguments if isinstance(arguments, tuple) else (arguments,)
        if decoder.startswith("ppm") and any(isinstance(value, int) and value > 255 for value in values):
            return f"up to {max(value for value in values if isinstance(value, int))}"
        if decoder == "SGI16" or any(isinstance(value, str) and DEEP_RAW.search(value) for value in values):
            return "16 bits"
    return ""


def _head(file: Stored) -> bytes:
    if not isinstance(file, Path):
        return file.read_bytes()[:HEAD]
    with file.open("rb") as opened:
        return opened.read(HEAD)


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


def _refuse(images: ImageSet, names: Sequence[str], readings: Sequence[Reading]) -> None:
    """Raise one DataError that names the first files and what is wrong with each."""

    def found(kind: str) -> list[str]:
        return [
            f"{name} ({getattr(reading, kind)})"
            for name, reading in zip(names, readings, strict=True)
            if getattr(reading, kind)
        ]

    of = f"of {counted(len(images.files), 'image')} in '{shown(images.path)}'"
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


def _notes(images: ImageSet, names: Sequence[str], readings: Sequence[Reading]) -> tuple[str, ...]:
    """A sentence for each kind of remark."""
    notes = []
    for kind, text in REMARKS.items():
        found = [i for i, reading in enumerate(readings) if kind in reading.remarks]
        if found:
            said = text.format(readings[found[0]].remarks[kind])
            notes.append(
                f"{len(found)} of {counted(len(names), 'image')} in {images.where} {said}; "
                f"the first is {shown(names[found[0]])}"
            )
    return tuple(notes)
