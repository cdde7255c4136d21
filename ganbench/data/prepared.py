"""Arrays of bytes on disk: made once from any number of images, then mapped into memory by every process.

A preparation that was killed, or ran into a full disk, continues after the last finished block. ``about.py`` knows the
files.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import accumulate, chain, pairwise
from math import prod
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import msgspec
import numpy as np
from filelock import FileLock, Timeout
from torch import Tensor

from ganbench.contracts.arrays import map_array, remember_hash, update
from ganbench.contracts.progress import Tick, telling
from ganbench.data.about import ARRAY, PROGRESS, About, Block, about, finished_blocks, write_about
from ganbench.data.folder import VARIABLE, prepared_folders, writable
from ganbench.device.cores import usable_cores
from ganbench.errors import DataError, GanbenchWarning, RecordError
from ganbench.records.files import fitting, reason_of

BLOCK = 1 << 24
"""Bytes after which progress is saved."""
T = TypeVar("T")


class Row(NamedTuple):
    """A row of an array, uint8 ``[*shape]``, and a text about it that is kept and handed back with the array."""

    pixels: np.ndarray
    said: str = ""


class Prepared(NamedTuple):
    """The parts of an array, uint8 ``[n, *shape]`` each, and what ``read`` said of every row, in the same order."""

    arrays: tuple[Tensor, ...]
    said: tuple[str, ...]


def prepared(
    name: str,
    made_from: Iterable[str],
    parts: Sequence[Sequence[T]],
    read: Callable[[T], Row | np.ndarray],
    shape: tuple[int, ...],
) -> Prepared:
    """Return arrays that are mapped from disk; the first call makes them, with all cores.

    Args:
        name: the name that ``ganbench data list`` shows.
        made_from: everything that the content depends on: files with their sizes and times, resolution, rules. If any
            of it changes, another array is made.
        parts: the rows of each part, such as training and test split.
        read: reads a row, uint8 ``[*shape]``. Several threads call it, in any order.
        shape: the shape of a row.

    Raises:
        DataError: the disk is full, no folder can be written, or ``read`` raised this error.
    """
    lengths = tuple(map(len, parts))
    key = _hash_of([name, repr((shape, lengths)), *made_from])
    folder = _folder_of(name, key)
    found = about(folder)
    if found is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder, name):
                found = about(folder) or _make(folder, name, key, parts, read, shape)
        except OSError as error:
            raise _cannot(name, folder, lengths, shape, error) from error
    return _mapped(folder, found)


def intact(folder: Path, found: About) -> bool:
    """Whether the bytes of a prepared array still have the hashes that they had when it was made. Reads them all.

    Raises:
        OSError: they cannot be read.
    """
    whole = map_array(folder / ARRAY, (found.rows, *found.shape))
    bounds = pairwise(accumulate(found.lengths, initial=0))
    return tuple(_hashed(found.name, whole[start:end]) for start, end in bounds) == found.hashes


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Let one process at a time make an array."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    with telling(f"another process is preparing {name}", 1) as tick:
        while not lock.is_locked:
            with suppress(Timeout):
                lock.acquire(timeout=1)
            tick(0)
    try:
        yield
    finally:
        lock.release()


def _folder_of(name: str, key: str) -> Path:
    """Where the array is, complete or begun, or else where to make it."""
    own = fitting(f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('.-')}-{key[:12]}")
    places = [folder / own for folder in prepared_folders()]
    there = [place for place in places if about(place)] or [place for place in places if writable(place)]
    return there[0] if there else places[0]


def _mapped(folder: Path, found: About) -> Prepared:
    """The arrays of a complete folder. If the file was changed after it was made, its content is checked first.

    Raises:
        DataError: the content is not what was prepared.
    """
    file = folder / ARRAY
    written = file.stat().st_mtime_ns
    if written != found.written:
        if not intact(folder, found):
            raise DataError(
                f"the prepared array of '{found.name}' in {folder} has changed since it was made",
                f"remove it with `ganbench data remove {folder.name}`: the next run makes it again",
            )
        with suppress(RecordError):  # a copy of the folder: checked once is enough
            write_about(folder, msgspec.structs.replace(found, written=written))
    whole = map_array(file, (found.rows, *found.shape))
    arrays = tuple(whole[start:end] for start, end in pairwise(accumulate(found.lengths, initial=0)))
    for array, digest in zip(arrays, found.hashes, strict=True):
        remember_hash(array, digest)
    return Prepared(arrays, tuple(found.said.get(row, "") for row in range(found.rows)))


def _make(
    folder: Path,
    name: str,
    key: str,
    parts: Sequence[Sequence[T]],
    read: Callable[[T], Row | np.ndarray],
    shape: tuple[int, ...],
) -> About:
    rows, size = list(chain(*parts)), prod(shape)
    done = _taken_up(folder / PROGRESS)
    said = {row: text for block in done for row, text in block.said.items()}
    start = done[-1].end if done else 0
    with _opened(folder / ARRAY, len(rows) * size) as file, (folder / PROGRESS).open("ab") as progress:
        file.seek(start * size)
        with telling(f"preparing {name}", len(rows), start) as tick:
            for block in _blocks(rows, start, read, shape, tick):
                file.write(block.pixels)
                file.flush()
                os.fsync(file.fileno())
                progress.write(msgspec.json.encode(Block(block.end, block.said)) + b"\n")
                progress.flush()
                os.fsync(progress.fileno())
                said |= block.said
    whole = map_array(folder / ARRAY, (len(rows), *shape))
    lengths = tuple(map(len, parts))
    bounds = pairwise(accumulate(lengths, initial=0))
    found = About(
        name=name,
        made_from=key,
        shape=shape,
        lengths=lengths,
        hashes=tuple(_hashed(name, whole[one:other]) for one, other in bounds),
        said=said,
        written=(folder / ARRAY).stat().st_mtime_ns,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_about(folder, found)
    (folder / PROGRESS).unlink()
    return found


def _hashed(name: str, array: Tensor) -> str:
    """The sha256 of an array's bytes."""
    digest = hashlib.sha256()
    rows = max(1, BLOCK // max(1, array[:1].nbytes))
    with telling(f"checking {name}", len(array)) as tick:
        for part in array.split(rows):
            update(digest, part)
            tick(len(part))
    return digest.hexdigest()


class _Written(NamedTuple):
    """The rows of a block as bytes, the row after its last one, and what was said of its rows."""

    pixels: bytes
    end: int
    said: dict[int, str]


def _blocks(
    rows: Sequence[T],
    start: int,
    read: Callable[[T], Row | np.ndarray],
    shape: tuple[int, ...],
    tick: Tick,
) -> Iterator[_Written]:
    """Read rows with all cores, from ``start`` on, and yield them in blocks."""

    def checked(row: T) -> Row:
        found = read(row)
        found = found if isinstance(found, Row) else Row(found)
        if found.pixels.shape != shape or found.pixels.dtype != np.uint8:
            raise DataError(f"a row has shape {found.pixels.shape} and type {found.pixels.dtype}, not {shape}, uint8")
        return found

    length = max(1, BLOCK // prod(shape))
    with ThreadPoolExecutor(usable_cores()) as pool:  # Pillow releases the GIL while it decodes and resizes
        for first in range(start, len(rows), length):
            block = np.empty((min(length, len(rows) - first), *shape), np.uint8)
            said = dict[int, str]()
            for number, row in enumerate(pool.map(checked, rows[first : first + len(block)])):
                block[number] = row.pixels
                said |= {first + number: row.said} if row.said else {}
                tick()
            yield _Written(block.tobytes(), first + len(block), said)


def _opened(file: Path, size: int) -> BinaryIO:
    """The file, grown to its final size. A disk that is too small is noticed here rather than hours later.

    Raises:
        OSError: there is not enough space.
    """
    opened = file.open("r+b" if file.exists() else "w+b")
    try:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(opened.fileno(), 0, size)
        else:
            opened.truncate(size)
    except OSError:
        opened.close()
        raise
    return opened


def _taken_up(file: Path) -> list[Block]:
    """The blocks of an earlier attempt, written anew without a line that a kill cut off."""
    found = finished_blocks(file)
    file.write_bytes(b"".join(msgspec.json.encode(block) + b"\n" for block in found))
    if found:
        warnings.warn(GanbenchWarning(f"the preparation continues after {found[-1].end:,} samples"), stacklevel=5)
    return found


def _hash_of(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)}|{text}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _cannot(name: str, folder: Path, lengths: Sequence[int], shape: tuple[int, ...], error: OSError) -> DataError:
    size = sum(lengths) * prod(shape)
    return DataError(
        f"'{name}' cannot be prepared in {folder}, where it needs {size / 2**20:,.0f} MiB: {reason_of(error)}",
        f"free some space, or set {VARIABLE} to another folder; what is done so far is kept",
    )
