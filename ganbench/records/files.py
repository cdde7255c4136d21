"""Files that are written whole or not at all, and read whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ganbench.errors import RecordError


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


def read_whole(path: Path, most: int) -> bytes:
    """The content of a file of at most ``most`` bytes. Nothing waits for a pipe, or fills the memory from a device.

    Raises:
        OSError: there is no such file, it is no ordinary one, or it is larger; ``reason_of`` says it.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError("it is a folder" if stat.S_ISDIR(mode) else "it is a device or a pipe, not a file")
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(f"it is larger than {most / 2**20:g} MiB")
    return content


def reason_of(error: OSError) -> str:
    """Why a file cannot be read or written, without its path."""
    return error.strerror or str(error)


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
        f"cannot write {path}: {reason_of(error)}", "free some space, or choose another folder with --out"
    )
