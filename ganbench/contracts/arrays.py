"""Arrays that may be larger than memory: in files, hashed once, joined without a copy."""

from __future__ import annotations

import hashlib
import mmap
import os
import tempfile
import warnings
import weakref
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

LARGE = 1 << 28
"""Bytes from which an array is hashed on its own, so that its hash can be kept with it."""
STRIPE = 1 << 24
"""Bytes read at a time when an array is hashed."""
_mapped: weakref.WeakValueDictionary[int, np.memmap] = weakref.WeakValueDictionary()  # address -> the mapped file
_hashes = WeakTensorKeyDictionary()


class Digest(Protocol):
    """A hash in progress, as ``hashlib`` makes it."""

    def update(self, data: memoryview, /) -> None:
        """Add bytes."""


def map_array(path: Path, shape: tuple[int, ...]) -> Tensor:
    """Return the bytes of a file as an array ``[*shape]`` in uint8, without reading them.

    Its pages belong to the file, so the system drops them when memory is short. Writing to the array crashes the
    process.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is shorter than the array.
    """
    array = np.memmap(path, np.uint8, "r", shape=shape)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        mapped = torch.from_numpy(array)
    _mapped[mapped.untyped_storage().data_ptr()] = array
    return mapped


def array_on_disk(shape: tuple[int, ...], folder: Path) -> Tensor:
    """Return an array of float64 ``[*shape]`` to fill, whose pages lie in a file without a name.

    The system writes them to disk when memory is short. The file ends with the array.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, 8 * prod(shape))  # a disk that is full later would crash the process
        return torch.from_numpy(np.memmap(file, np.float64, "r+", shape=shape))


def file_behind(x: Tensor) -> np.memmap | None:
    """Return the mapped file that an array, or the array that it is a part of, reads from; None if it is in memory."""
    if x.device.type != "cpu":
        return None
    return _mapped.get(x.untyped_storage().data_ptr())


def will_need(x: Tensor, rows: Iterable[int]) -> None:
    """Tell the system which rows of a mapped array are read next, so that it fetches them from disk meanwhile."""
    array = file_behind(x)
    if array is None or not hasattr(mmap.mmap, "madvise"):
        return
    pages: mmap.mmap = array._mmap  # type: ignore[attr-defined]  # numpy's stub leaves it out
    size = x[0].numel()
    for row in rows:
        start = int(x.storage_offset()) + row * size
        first = start - start % mmap.PAGESIZE
        pages.madvise(mmap.MADV_WILLNEED, first, start + size - first)


def remember_hash(x: Tensor, digest: str) -> None:
    """Keep the sha256 of an array's bytes, which ``sha256_of`` then returns. The array must not change afterwards."""
    _hashes[x] = digest


def sha256_of(x: Tensor) -> str:
    """Return the sha256 of an array's bytes in C order, in hexadecimal. It is computed once for a large array."""
    known: str | None = _hashes.get(x)
    if known is None:
        digest = hashlib.sha256()
        update(digest, x)
        known = digest.hexdigest()
        if x.nbytes >= LARGE:
            _hashes[x] = known
    return known


def update(digest: Digest, x: Tensor) -> None:
    """Add an array's bytes in C order to a digest, without copying the whole array."""
    rows = max(1, STRIPE // max(1, x[:1].nbytes)) if x.ndim else 1
    for part in x.detach().split(rows) if x.ndim else [x.detach()]:
        digest.update(part.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


def joined(one: Tensor, other: Tensor) -> Tensor:
    """Return the rows of two arrays in one, ``[N + M, *shape]``; without a copy if they lie side by side in memory."""
    adjacent = (
        one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
        and one.is_contiguous()
        and other.is_contiguous()
        and one.shape[1:] == other.shape[1:]
        and one.storage_offset() + one.numel() == other.storage_offset()
    )
    if not adjacent:
        return torch.cat([one, other])
    return one.as_strided((len(one) + len(other), *one.shape[1:]), one.stride())
