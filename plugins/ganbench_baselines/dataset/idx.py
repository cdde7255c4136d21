"""Reads IDX files, the format of MNIST and its relatives: a header of big-endian integers, then bytes."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from ganbench import DataError
from ganbench_baselines.dataset.listing import shown

BYTES = b"\0\0\x08"
"""The first bytes of a file of unsigned bytes; the next byte is the number of axes."""


def read_idx(path: Path) -> np.ndarray:
    """The array in a file, or in a file compressed with gzip, as uint8.

    Raises:
        DataError: the file cannot be read, is no IDX file of bytes, or does not have the length that its header says.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"'{shown(path)}' cannot be read: {shown(error)}", "get this file again") from error
    start = 4 + 4 * content[3] if content[:3] == BYTES and len(content) > 3 else 0
    if not start or len(content) < start:
        raise DataError(f"'{shown(path)}' is no IDX file of bytes", "get this file again")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", content[3], 4))
    if len(content) != start + math.prod(shape):
        raise DataError(
            f"'{shown(path)}' has {len(content) - start} bytes of data, but its header says {math.prod(shape)}",
            "get this file again",
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
