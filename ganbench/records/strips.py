"""Strips: a picture of a run's samples and, for sounds, a file to listen to, each bound to the record of its run.

WebP and WAV are both RIFF files, and readers of either skip a chunk with a comment (``LIST``, ``INFO``, ``ICMT``). Such
a chunk at the end holds the hash of the weights that made the samples, as in the record, and a hash of the rest of the
file. Like a record's seal, it reveals accidents: the file of another run, or one that was edited.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from ganbench.errors import RecordError
from ganbench.records.files import read_whole, reason_of
from ganbench.records.record import Record

PICTURE, SOUND = ".webp", ".wav"
NAMES = (f"strip{PICTURE}", f"strip{SOUND}")
"""What the files are called in a run's folder."""
MOST = 4 * 2**20
"""In bytes; a larger file is not a strip."""
_HEADER = 8
"""Bytes in front of a RIFF file's or a chunk's content: four letters, and the content's length."""
_BOUND = re.compile(rb"LIST.{4}INFOICMT.{4}weights ([0-9a-f]{16}) sha256 [0-9a-f]{64}\Z", re.DOTALL)
TAIL = 256
"""Bytes at the end of a file that are searched for its last chunk."""


def bind(content: bytes, weights: str) -> bytes:
    """A RIFF file with a last chunk that binds it to ``weights``, 16 hex digits."""
    digest = hashlib.sha256(content + weights.encode()).hexdigest()
    comment = _chunk(b"ICMT", f"weights {weights} sha256 {digest}".encode())
    return _resized(content + _chunk(b"LIST", b"INFO" + comment))


class Strip(NamedTuple):
    """A file of a strip, and the hash of the weights that it is bound to."""

    suffix: str
    weights: str
    content: bytes


def read_strip(path: Path) -> Strip:
    """A file that ``bind`` made.

    Raises:
        RecordError: it cannot be read, was changed since it was written, or is not a strip.
    """
    try:
        content = read_whole(path, MOST)
    except OSError as error:
        raise RecordError(f"cannot read {path}: {reason_of(error)}") from error
    found = _BOUND.search(content, max(0, len(content) - TAIL))
    weights = found[1].decode() if found else ""
    if found is None or bind(_resized(content[: found.start()]), weights) != content:
        raise RecordError(f"{path} is not a strip of samples, or was changed after it was written")
    return Strip(path.suffix, weights, content)


def is_strip_of(record: Record, path: Path) -> bool:
    """Whether a file holds samples of the weights that a record states; False if it is missing or unreadable."""
    try:
        return read_strip(path).weights == record.bits.weights
    except RecordError:
        return False


def _chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a RIFF file; the length of its content is even."""
    return name + len(content).to_bytes(4, "little") + content


def _resized(content: bytes) -> bytes:
    """A RIFF file that states its own length."""
    return content[:4] + (len(content) - _HEADER).to_bytes(4, "little") + content[_HEADER:]
