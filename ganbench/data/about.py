"""The files of a prepared array: its bytes, what it is, and how far it is. Reading them needs no torch.

``array.bin`` holds the bytes, and ``about.json`` describes them. The latter is written last, so it marks a complete
array. Until then, ``progress.jsonl`` has a line for every finished block.
"""

from __future__ import annotations

from contextlib import suppress
from math import prod
from pathlib import Path

import msgspec

from ganbench._version import __version__
from ganbench.records.files import write_atomically

ARRAY, ABOUT, PROGRESS = "array.bin", "about.json", "progress.jsonl"


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a prepared array is.

    ``made_from`` is the hash of everything that the content depends on. ``lengths`` are the numbers of rows of its
    parts, and ``hashes`` the sha256 of each. ``said`` maps the number of a row to a text, if there is one. ``written``
    is the time of the file's last change, in nanoseconds.
    """

    name: str
    made_from: str
    shape: tuple[int, ...]
    lengths: tuple[int, ...]
    hashes: tuple[str, ...]
    said: dict[int, str]
    written: int
    made: str
    version: str = __version__

    @property
    def rows(self) -> int:
        """The number of rows of all parts."""
        return sum(self.lengths)

    @property
    def size(self) -> int:
        """The array's size in bytes."""
        return self.rows * prod(self.shape)


class Block(msgspec.Struct, frozen=True):
    """A finished block: the row after its last one, and what was said of its rows."""

    end: int
    said: dict[int, str] = {}


def about(folder: Path) -> About | None:
    """Return what the prepared array in a folder is; None if there is no complete one."""
    try:
        found = msgspec.json.decode((folder / ABOUT).read_bytes(), type=About)
        complete = (folder / ARRAY).stat().st_size == found.size
    except (OSError, msgspec.DecodeError):
        return None
    return found if complete else None


def finished_blocks(file: Path) -> list[Block]:
    """Return the finished blocks of an array that is not complete. A line that a kill cut off ends the list."""
    found: list[Block] = []
    with suppress(OSError, msgspec.DecodeError):
        for line in file.read_bytes().splitlines():
            found.append(msgspec.json.decode(line, type=Block))
    return found


def finished_rows(folder: Path) -> int:
    """Return how many rows of an array that is not complete are there."""
    found = finished_blocks(folder / PROGRESS)
    return found[-1].end if found else 0


def write_about(folder: Path, found: About) -> None:
    """Mark an array as complete.

    Raises:
        RecordError: the disk is full, or the folder cannot be written.
    """
    write_atomically(folder / ABOUT, msgspec.json.format(msgspec.json.encode(found), indent=1))
