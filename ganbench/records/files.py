"""Write and read files whole or not at all, under names that file systems accept."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ganbench.errors import RecordError
from ganbench.records.forks import end_if_forked

LONGEST_NAME = 255
"""Bytes that a file's name may have, on all common file systems."""
FLUSHING = 16
"""Files that are flushed to disk at a time."""


def fitting(name: str) -> str:
    """``name`` or, if it is too long for a file, its beginning and a hash of the whole."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    tail = f"+{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return cut(name, LONGEST_NAME - len(tail)) + tail


def cut(name: str, longest: int) -> str:
    """As many of the first characters as fit in ``longest`` bytes."""
    return os.fsencode(name)[:longest].decode("utf-8", "ignore")


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name, fsync, rename: a reader sees the old file or the new one, never half of either.

    Raises:
        RecordError: the disk is full, or the folder cannot be written.
    """
    end_if_forked()
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise cannot_write(path, error) from error


def _temporary(path: Path) -> Path:
    """The name beside ``path`` that this process writes to first."""
    ending = f".{os.getpid()}.tmp"
    return path.with_name(f".{cut(path.name, LONGEST_NAME - len(ending) - 1)}{ending}")


class Copy(NamedTuple):
    """A file to copy, and the path of the copy."""

    source: Path
    target: Path


def copy_together(copies: Sequence[Copy]) -> None:
    """Copy files, each whole or not at all, and never over another. They appear in the given order.

    They are flushed to disk together, in threads, because flushing one at a time takes milliseconds for each.

    Raises:
        RecordError: a file cannot be read or written, or a target exists. Copies before it stay.
    """
    end_if_forked()
    halves = [_Half(copy, _temporary(copy.target)) for copy in copies]
    try:
        for half in halves:
            _fill(half)
        with ThreadPoolExecutor(FLUSHING) as threads:
            for _ in threads.map(_flush, halves):
                pass
        for half in halves:
            _appear(half)
    finally:
        for half in halves:
            with suppress(OSError):
                half.temporary.unlink()


class _Half(NamedTuple):
    """A copy that still has a temporary name."""

    copy: Copy
    temporary: Path


def _fill(half: _Half) -> None:
    """Copy to the temporary name, with the time of the last change."""
    source, target = half.copy
    try:
        reading = source.open("rb")
    except OSError as error:
        raise RecordError(f"cannot read {source}: {reason_of(error)}") from error
    with reading:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with half.temporary.open("wb") as writing:
                shutil.copyfileobj(reading, writing)
            changed = os.fstat(reading.fileno())
            os.utime(half.temporary, ns=(changed.st_atime_ns, changed.st_mtime_ns))
        except OSError as error:
            raise cannot_write(target, error) from error


def _flush(half: _Half) -> None:
    try:
        with half.temporary.open("rb+") as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(half.copy.target, error) from error


def _appear(half: _Half) -> None:
    """Give a temporary file its name, which no other file may have."""
    target = half.copy.target
    try:
        try:
            os.link(half.temporary, target)  # unlike a renamed file, a link never replaces another
        except FileExistsError:
            raise
        except OSError:  # some file systems have no links
            if target.exists():
                raise FileExistsError from None
            half.temporary.rename(target)
    except FileExistsError:
        raise RecordError(f"{target} appeared meanwhile", "merge again when nothing else writes there") from None
    except OSError as error:
        raise cannot_write(target, error) from error


def text_of(path: Path) -> str | None:
    """A file's text byte for byte; None if it cannot be read as text."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None


def set_aside(path: Path) -> Path:
    """Rename a file that is about to be replaced, ``record.json`` to ``record.old.json``; returns the new path.

    Raises:
        RecordError: it cannot be renamed.
    """
    free = (path.with_name(f"{path.stem}.old{number or ''}{path.suffix}") for number in itertools.count())
    kept = next(name for name in free if not name.exists())
    try:
        path.rename(kept)
    except OSError as error:
        raise RecordError(f"cannot rename {path}: {reason_of(error)}", "move it elsewhere") from error
    return kept


def read_whole(path: Path, most: int) -> bytes:
    """The content of a file of at most ``most`` bytes. Pipes, which may block, and endless devices are refused.

    Raises:
        OSError: there is no such file, it is not a regular file, or it is larger; ``reason_of`` gives the reason.
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
    end_if_forked()
    try:
        with path.open("w" if afresh else "a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> RecordError:
    """The error for a file that cannot be written, with the system's reason and a next step."""
    hint = in_the_way(path) or "free some space, or choose another folder with --out"
    return RecordError(f"cannot write {path}: {reason_of(error)}", hint)


def in_the_way(path: Path) -> str:
    """The next step if a folder is where a file should be, or a file where a folder should be; else empty."""
    blocking = path if os.path.isdir(path) else next(filter(os.path.isfile, path.parents), None)
    if blocking is None:
        return ""
    kind, other = ("folder", "file") if blocking == path else ("file", "folder")
    return f"{blocking} is a {kind}, not a {other}: rename it (`ganbench run --force` does so in a run's folder)"
