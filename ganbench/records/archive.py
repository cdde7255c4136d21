"""A checksum for a zip archive, such as ``torch.save`` writes, because torch ignores the archive's own checksums.

The checksum is the archive's comment, so torch and zip tools still read the file.
"""

from __future__ import annotations

import hashlib
from typing import Literal

State = Literal["whole", "unchecked", "damaged"]
MARK = b"sha256:"
COMMENT = len(MARK) + 64
END, END_SIGNATURE = 22, b"PK\x05\x06"
"""The last record of an archive without a comment: its size and its first bytes. Its last two bytes hold the length of
the comment that follows."""


def with_checksum(archive: bytes) -> bytes:
    """The archive, which must have no comment, with the sha256 of all its bytes as its comment."""
    comment = MARK + hashlib.sha256(archive).hexdigest().encode()
    return b"".join([memoryview(archive)[:-2], len(comment).to_bytes(2, "little"), comment])


def state_of(content: bytes) -> State:
    """``"whole"`` if the checksum matches, ``"unchecked"`` for an archive without a comment, else ``"damaged"``."""
    view = memoryview(content)
    if content[-END:].startswith(END_SIGNATURE) and content[-2:] == b"\0\0":
        return "unchecked"
    archive, comment = view[:-COMMENT], content[-COMMENT:]
    digest = hashlib.sha256(archive[:-2])
    digest.update(b"\0\0")
    if bytes(archive[-2:]) != COMMENT.to_bytes(2, "little") or comment != MARK + digest.hexdigest().encode():
        return "damaged"
    return "whole"
