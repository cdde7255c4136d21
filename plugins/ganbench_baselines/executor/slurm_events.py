"""What a SLURM task says, in a file of a shared folder: pickled messages, each after its length."""

from __future__ import annotations

import errno
import os
import pickle
import time
from contextlib import suppress
from pathlib import Path
from struct import Struct

from ganbench import Ending, Message

LENGTH = Struct("<I")
PAUSES = (1.0, 4.0, 15.0)
"""Seconds between attempts to write the end of a job, which would otherwise be lost."""


class Writer:
    """Appends messages to a file. If an earlier attempt was killed in the middle of one, that one is removed.

    The file is closed after each, because others see what was written to a shared folder only then.

    Args:
        file: no other process writes to it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        if file.exists():
            os.truncate(file, Reader(file).skip())

    def write(self, message: Message) -> None:
        """Append a message, whole or not at all. If it is not the end of a job, one that cannot be written is left out.

        Raises:
            OSError: the end cannot be written, not even after some time.
        """
        content = pickle.dumps(message)
        frame = LENGTH.pack(len(content)) + content
        if isinstance(message, Ending):
            self._insist(frame)
        else:
            with suppress(OSError):
                self._append(frame)

    def _insist(self, frame: bytes) -> None:
        for seconds in PAUSES:
            with suppress(OSError):
                return self._append(frame)
            time.sleep(seconds)
        return self._append(frame)

    def _append(self, frame: bytes) -> None:
        with self._file.open("ab", buffering=0) as file:
            before = os.fstat(file.fileno()).st_size
            try:
                if file.write(frame) == len(frame):
                    return
            except OSError:
                file.truncate(before)
                raise
            file.truncate(before)
            raise OSError(errno.EIO, "only a part of a message could be written", str(self._file))


class Reader:
    """Follows a file that another process appends to, perhaps on another machine. It may not exist yet."""

    def __init__(self, file: Path) -> None:
        self._file, self._place = file, 0

    def read(self) -> list[Message]:
        """The messages that are complete by now, and that were not read before; none after one that is damaged."""
        messages = list[Message]()
        with suppress(Exception):  # unpickling may raise anything
            messages.extend(map(pickle.loads, self._frames()))
        return messages

    def skip(self) -> int:
        """Pass over what is there; returns where the last complete message ends, in bytes."""
        self._frames()
        return self._place

    def _frames(self) -> list[bytes]:
        try:
            with self._file.open("rb") as file:
                file.seek(self._place)
                content = file.read()
        except FileNotFoundError:
            return []
        frames, begin = list[bytes](), 0
        while begin + LENGTH.size <= len(content):
            end = begin + LENGTH.size + LENGTH.unpack_from(content, begin)[0]
            if end > len(content):
                break
            frames.append(content[begin + LENGTH.size : end])
            begin = end
        self._place += begin
        return frames
