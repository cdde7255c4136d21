"""Finds the image files of a folder, and describes the files left out; shared by `folder` and `folder-pair`.

Formats are recognised by suffix: those that the installed Pillow opens by itself.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import Image

from ganbench_baselines.dataset.listing import Kind, Listing, first, list_files, reasons, require_folder, shown
from ganbench_baselines.dataset.members import Place, files_below

# Pillow only recognises these, needs another program for them, or can only write them
NOT_READ = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "PDF", "WMF"}
# Suffixes of images, whether or not Pillow was built with support for them
OTHERS = """.ai .apng .arw .avif .bpg .cin .cr2 .cr3 .crw .dcm .djvu .dng .dpx .emf .eps .exr .hdr .heic .heics .heif
.hif .j2k .jfif .jp2 .jpx .jxl .jxr .kra .mpo .nef .nrw .orf .pef .psb .raf .raw .rw2 .sr2 .srw .svg .svgz .tga .tif
.tiff .wdp .webp .wmf .x3f .xcf"""


@cache
def readable() -> frozenset[str]:
    """The suffixes of formats that the installed Pillow reads."""
    formats = Image.registered_extensions()
    return frozenset(suffix for suffix, name in formats.items() if name in Image.OPEN and name not in NOT_READ)


def find_images(folder: Place) -> Listing[Place]:
    """The images of a flat folder, or of its class sub-folders, on disk or in an archive.

    Raises:
        DataError: the folder is missing, or ``list_files`` refuses it.
    """
    if isinstance(folder, Path):
        require_folder(folder, "image folder", "check the path after 'folder:'")
    kind = Kind("image", readable(), frozenset(OTHERS.split()), usual=".png, .jpg or .webp", target=".png")
    return list_files(folder, kind)


def has_images(place: Place) -> bool:
    """Whether a folder, or one below it, holds a file that looks like an image."""
    return any(file.suffix.lower() in readable() for file in files_below(place))


def left_out(listing: Listing[Place]) -> tuple[str, ...]:
    """Sentences on what was left out: one on files, one on classes."""
    name, used, unread, notes = f"the folder {listing.name}", len(listing.files), listing.unread, []
    if unread:
        notes.append(
            f"{used} of {used + len(unread)} files in {name} are used, and {len(unread)} left out "
            f"({reasons(unread)}; the first is {shown(unread[0].path.relative_to(listing.folder))})"
        )
    if listing.classes and listing.empty:
        ones, are = ("", "is") if len(listing.empty) == 1 else ("s", "are")
        names = first(list(listing.empty))
        notes.append(f"the sub-folder{ones} {names} of {name} {are} left out, without an image that can be read")
    return tuple(notes)
