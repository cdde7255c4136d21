"""Arrays of pixels, in memory if they are small, or else prepared on disk once and mapped from there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import TypeVar

import numpy as np
import torch

from ganbench import Prepared, Row, prepared

LARGEST_IN_MEMORY = 1 << 28
"""Bytes of pixels that are read into memory at every start; more than that are prepared on disk."""
T = TypeVar("T")


def is_large(rows: int, shape: tuple[int, ...]) -> bool:
    """Whether so many rows of this shape, in uint8, are prepared on disk."""
    return rows * prod(shape) > LARGEST_IN_MEMORY


def arrays_of(
    name: str,
    made_from: Callable[[], Iterable[str]],
    parts: Sequence[Sequence[T]],
    read: Callable[[T], Row],
    shape: tuple[int, ...],
) -> Prepared:
    """One array for each part, uint8 ``[n, *shape]``; the same pixels whether in memory or on disk.

    Args:
        name: what the prepared arrays are called in lists.
        made_from: gives everything that the pixels depend on.
        parts: the rows of each part.
        read: reads a row; several threads call it.
        shape: of a row.

    Raises:
        DataError: ``read`` raises it, or the arrays cannot be written.
    """
    if is_large(sum(map(len, parts)), shape):
        return prepared(name, made_from(), parts, read, shape)
    return _in_memory(parts, read, shape)


def _in_memory(parts: Sequence[Sequence[T]], read: Callable[[T], Row], shape: tuple[int, ...]) -> Prepared:
    arrays, said = [], list[str]()
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow releases the GIL while it decodes
        for part in parts:
            pixels = np.empty((len(part), *shape), dtype=np.uint8)
            for index, row in enumerate(pool.map(read, part)):
                pixels[index] = row.pixels
                said.append(row.said)
            arrays.append(torch.from_numpy(pixels))
    return Prepared(tuple(arrays), tuple(said))
