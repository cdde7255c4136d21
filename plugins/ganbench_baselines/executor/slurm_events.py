"""What a SLURM task says, in a file of a shared folder: pickled messages, each after its length."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from struct import Struct

from ganbench import Message

LENGTH = Struct("<I")


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
        """Append a message."""
        content = pickle.dumps(message)
        with self._file.open("ab", buffering=0) as file:
            file.write(LENGTH.pack(len(content)) + content)


class Reader:
    """Follows a file that another process appends to, perhaps on another machine. It may not exist yet."""

    def __init__(self, file: Path) -> None:
        self._file, self._place = file, 0

    def read(self) -> list[Message]:
        """The messages that are complete by now, and that were not read before."""
        return [pickle.loads(content) for content in self._frames()]

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
