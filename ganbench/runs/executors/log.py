"""A log of each run, ``log.txt`` in its folder: its events, and whatever plugins and libraries print meanwhile."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

from ganbench.contracts.executor import Done, Judging, Looked, Message, Progress, Refused, Resumed, Warned
from ganbench.errors import told
from ganbench.plain import plain_line

LOG = "log.txt"


class RunLog:
    """An open log; without a file, nothing is written."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    def note(self, event: Message) -> None:
        """Write an event with the time, if it says something of the run itself."""
        self.write(_line_of(event))

    def write(self, line: str) -> None:
        """Write a line with the time; nothing if it is empty, or if the disk is full."""
        if not line or self._file is None:
            return
        with suppress(OSError):
            self._file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {plain_line(line)}\n")


@contextmanager
def logged(folder: Path) -> Iterator[RunLog]:
    """Open the log of a run's folder, and send the standard output and standard error of the whole process there.

    The process must have no other work. If the log cannot be written, nothing is logged. A folder that holds nothing
    but the log is removed at the end.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOG).open("a", encoding="utf-8", buffering=1)
    except OSError:
        yield RunLog(None)
        return
    log = RunLog(file)
    try:
        with _closing(file), _printed_to(file):
            log.write(f"begins on {platform.node()}, process {os.getpid()}")
            try:
                yield log
            except BaseException as error:
                log.write(told(error))
                raise
    finally:
        if made and os.listdir(folder) == [LOG]:
            with suppress(OSError):
                (folder / LOG).unlink()
                folder.rmdir()


@contextmanager
def _closing(file: TextIO) -> Iterator[None]:
    """Close a log, even if what is left of it cannot be written."""
    try:
        yield
    finally:
        with suppress(OSError):
            file.close()


@contextmanager
def _printed_to(file: TextIO) -> Iterator[None]:
    """Send what this process prints, also from native code, to a file."""
    kept = {number: os.dup(number) for number in (1, 2)}
    try:
        for number in kept:
            os.dup2(file.fileno(), number)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # a plugin may have closed it
                stream.flush()
        for number, before in kept.items():
            os.dup2(before, number)
            os.close(before)


def _line_of(event: Message) -> str:
    """An event in words; empty for those that say nothing of the run itself."""
    said = ""
    match event:
        case Resumed():
            said = f"resumes at {event.kimg:g} of {event.budget:g} kimg"
        case Progress():
            losses = ", ".join(f"{name} {value:.4g}" for name, value in event.losses.items())
            said = f"{event.kimg:g} kimg, {event.share:.0%}: {losses}"
        case Looked():
            said = f"{event.name} {event.score:.6g} after {event.kimg:g} kimg"
        case Judging():
            said = "judging"
        case Warned() | Refused():
            said = event.message
        case Done():
            said = f"ended: {event.status} {event.reason}".rstrip()
    return said
