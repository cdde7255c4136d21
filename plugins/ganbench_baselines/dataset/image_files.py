"""Which files of a folder are images, and what is left out: shared by `folder` and `folder-pair`.

Read are the formats that the installed Pillow opens by itself, by suffix. Files of other formats are counted. Images
that would be lost with the structure of the folder are refused: links that lead nowhere, and a third level of folders.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from PIL import Image

from ganbench import DataError

# Pillow only recognises these, leaves them to another program, or writes them
NOT_READ = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "PDF", "WMF"}
IMAGES_ELSEWHERE = frozenset(
    re.findall(
        r"\S+",
        """
        .ai .apng .arw .avif .bpg .cin .cr2 .cr3 .crw .dcm .djvu .dng .dpx .emf .eps .exr .hdr .heic .heics .heif .hif
        .j2k .jfif .jp2 .jpx .jxl .jxr .kra .mpo .nef .nrw .orf .pef .psb .raf .raw .rw2 .sr2 .srw .svg .svgz .tga .tif
        .tiff .wdp .webp .wmf .x3f .xcf
        """,
    )
)
"""Images by name, whether Pillow was built with support for them or not."""
TEXTS = frozenset(
    re.findall(
        r"\S+",
        """
        .cfg .csv .db .htm .html .ini .json .jsonl .log .md .md5 .pdf .py .rst .sh .sha256 .toml .tsv .txt .xml .yaml
        .yml
        """,
    )
)
TEXT_NAMES = {"AUTHORS", "CHANGELOG", "CITATION", "COPYING", "LICENCE", "LICENSE", "NOTICE", "README"}
NOT_CLASSES = {"__MACOSX", "__pycache__"}
NAMED = 5  # the most names that a message lists
LEVELS = {2: "two", 3: "three", 4: "four", 5: "five"}


@dataclass(frozen=True)
class Listing:
    """The image files, in the same order on every file system, and the class of each (all 0 in a flat folder).

    ``classes`` are the names of the class folders, none in a flat folder. ``notes`` are sentences on what was left out.
    """

    files: list[Path]
    labels: torch.Tensor
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass
class Contents:
    """The entries of one folder, by what they are and then by name. ``unread`` holds files and the reason in a word."""

    images: list[Path] = field(default_factory=list)
    unread: list[tuple[Path, str]] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    dead: list[Path] = field(default_factory=list)


@cache
def readable() -> frozenset[str]:
    """The suffixes of formats that the installed Pillow reads."""
    formats = Image.registered_extensions()
    return frozenset(suffix for suffix, name in formats.items() if name in Image.OPEN and name not in NOT_READ)


def shown(name: object) -> str:
    """A file's name that can be printed: bytes that are not UTF-8 are escaped."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def first(names: Sequence[object]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(shown, names[:NAMED])) + more


def counted(n: int, what: str) -> str:
    """``1 image``, ``2 images``"""
    return f"{n} {what}{'s' * (n != 1)}"


def look_into(folder: Path) -> Contents:
    """What a folder holds, without what lies in its sub-folders.

    Raises:
        DataError: it cannot be listed.
    """
    found = Contents()
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                _put(found, entry)
    except OSError as error:
        raise DataError(
            f"'{shown(folder)}' cannot be listed ({error.strerror or error})", "check its permissions"
        ) from error
    return found


def _put(found: Contents, entry: os.DirEntry[str]) -> None:
    """Hidden entries are left out: archives made on a Mac, and tools that keep previews, are full of them."""
    path, hidden = Path(entry.path), entry.name.startswith(".")
    suffix = path.suffix.lower()
    linked = entry.is_symlink()
    if os.path.isdir(path) if linked else entry.is_dir():
        found.folders += [] if hidden else [path]
    elif os.path.isfile(path) if linked else entry.is_file():
        if hidden:
            image = suffix in readable() | IMAGES_ELSEWHERE and not entry.name.startswith("._")
            found.unread += [(path, "hidden")] if image else []
        elif suffix in readable():
            found.images.append(path)
        elif suffix not in TEXTS and path.name.upper() not in TEXT_NAMES:
            found.unread.append((path, suffix or "without a suffix"))
    elif linked and not hidden:
        found.dead.append(path)


def find_images(folder: Path) -> Listing:
    """The images of a flat folder, or of its class sub-folders.

    Raises:
        DataError: the folder is missing, empty, mixed, deeper than one level of classes, or has links that lead
            nowhere.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(f"the image folder '{shown(folder)}' {what}", "check the path after 'folder:'")
    top = look_into(folder)
    below = {path.name: look_into(path) for path in top.folders}
    groups = {name: contents.images for name, contents in below.items() if contents.images}
    unread = [file for contents in (top, *below.values()) for file in contents.unread]
    _refuse_what_structure_loses(folder, top, below)
    if not top.images and not groups:
        _refuse_empty(folder, unread)
    if top.images:
        notes = _left_out(folder, len(top.images), unread, [])
        return Listing(top.images, torch.zeros(len(top.images), dtype=torch.int64), (), notes)
    files = [file for images in groups.values() for file in images]
    notes = _left_out(folder, len(files), unread, [name for name in below if name not in {*groups, *NOT_CLASSES}])
    sizes = torch.tensor([len(images) for images in groups.values()])
    return Listing(files, torch.arange(len(groups)).repeat_interleave(sizes), tuple(map(shown, groups)), notes)


def _refuse_what_structure_loses(folder: Path, top: Contents, below: dict[str, Contents]) -> None:
    """Raise DataError for dead links, for images beside class folders, and for images further down."""
    dead = [*top.dead, *(link for contents in below.values() for link in contents.dead)]
    deep: list[Path] = []
    for contents in below.values():
        for inner in contents.folders:
            for found in _walk(inner, (folder, inner.parent)):
                dead += found.dead
                deep += found.images
                deep += [file for file, reason in found.unread if reason in IMAGES_ELSEWHERE]
    if dead:
        raise DataError(
            f"'{shown(folder)}' has {counted(len(dead), 'broken link')}, "
            f"the first {shown(dead[0].relative_to(folder))}",
            "mount or copy what they point to, or remove them",
        )
    groups = [name for name, contents in below.items() if contents.images]
    if top.images and groups:
        raise DataError(
            f"'{shown(folder)}' has {counted(len(top.images), 'image')} beside the class folders {first(groups)}",
            "move every image into a class folder, or every image into one folder",
        )
    if deep:
        places = [file.parent.relative_to(folder) for file in deep]
        levels = [LEVELS.get(depth, str(depth)) for depth in sorted({len(place.parts) for place in places})]
        raise DataError(
            f"'{shown(folder)}' has {counted(len(deep), 'image')} {' and '.join(levels)} levels down, "
            f"in {first(list(dict.fromkeys(places)))}",
            "name the folder whose sub-folders are the classes, or move the images up into their class folders",
        )


def _walk(folder: Path, above: tuple[Path, ...]) -> Iterator[Contents]:
    """A folder and all below it; links back to a folder above are not followed."""
    if any(os.path.samefile(folder, other) for other in above):
        return
    contents = look_into(folder)
    yield contents
    for inner in contents.folders:
        yield from _walk(inner, (*above, folder))


def _refuse_empty(folder: Path, unread: list[tuple[Path, str]]) -> None:
    if unread:
        raise DataError(
            f"'{shown(folder)}' holds no images that can be read, but {counted(len(unread), 'other file')} "
            f"({_reasons(unread)}), the first {shown(unread[0][0].relative_to(folder))}",
            "convert them to .png, or name another folder",
        )
    raise DataError(
        f"'{shown(folder)}' holds no images", "put .png, .jpg or .webp files into it, or into one sub-folder per class"
    )


def _left_out(folder: Path, used: int, unread: list[tuple[Path, str]], lost: list[str]) -> tuple[str, ...]:
    """A sentence on files, one on classes. The folder is named as the dataset is: paths do not belong into records."""
    name = f"the folder {shown(folder.resolve().name)}"
    notes = []
    if unread:
        notes.append(
            f"{used} of {used + len(unread)} files in {name} are used, and {len(unread)} left out "
            f"({_reasons(unread)}; the first is {shown(unread[0][0].relative_to(folder))})"
        )
    if lost:
        holds = "is no class: it holds" if len(lost) == 1 else "are no classes: they hold"
        notes.append(f"{first(lost)} in {name} {holds} no images that can be read")
    return tuple(notes)


def _reasons(unread: list[tuple[Path, str]]) -> str:
    """``30 .heic, 2 hidden``"""
    kinds = Counter(reason for _, reason in unread).most_common()
    return first([f"{number} {shown(kind)}" for kind, number in kinds])
