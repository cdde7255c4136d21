"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ganbench.errors import RecordError


def read_whole(path: Path) -> bytes:
    """The content of a file. A pipe or a device, which may have no end, is refused with an OSError."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file")
    return path.read_bytes()


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name, fsync, rename: a reader sees the old file or the new one, never half of either.

    Raises:
        RecordError: the disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def append_line(text: str, path: Path, *, afresh: bool) -> None:
    """Add a line to a log, or start the log with it.

    Raises:
        RecordError: the disk is full, or the folder cannot be written.
    """
    try:
        with path.open("w" if afresh else "a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> RecordError:
    return RecordError(
        f"cannot write {path}: {error.strerror or error}", "free some space, or choose another folder with --out"
    )
