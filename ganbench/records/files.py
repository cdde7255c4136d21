"""Files that are written whole or not at all, under names that file systems accept."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ganbench.errors import RecordError

LONGEST_NAME = 255
"""Bytes that a file's name may have, on all common file systems."""


def fitting(name: str) -> str:
    """``name``; or, if it is too long for a file's name, its beginning and a hash of the whole."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    tail = f"+{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return cut(name, LONGEST_NAME - len(tail)) + tail


def cut(name: str, longest: int) -> str:
    """As many of the first characters as ``longest`` bytes hold."""
    return os.fsencode(name)[:longest].decode("utf-8", "ignore")


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name, fsync, rename: a reader sees the old file or the new one, never half of either.

    Raises:
        RecordError: the disk is full, or the folder cannot be written.
    """
    ending = f".{os.getpid()}.tmp"
    temporary = path.with_name(f".{cut(path.name, LONGEST_NAME - len(ending) - 1)}{ending}")
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
