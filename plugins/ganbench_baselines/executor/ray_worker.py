"""What the workers of a Ray cluster do: an actor that carries out one job after another."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import NamedTuple

from ganbench import Job, Message, __version__, perform


class Versions(NamedTuple):
    """What must be the same on all machines, or the bits of a run depend on where it was carried out."""

    ganbench: str
    torch: str

    @classmethod
    def here(cls) -> Versions:
        """Those of this process."""
        return cls(__version__, version("torch"))

    def __str__(self) -> str:
        return f"ganbench {self.ganbench} with torch {self.torch}"


class Arrival(NamedTuple):
    """A worker has started: on which machine, as which process, and with which versions."""

    host: str
    process: int
    versions: Versions


class Worker:
    """Carries out one job after another, so that torch is imported once.

    Ray calls its methods in two threads: one carries out a job and sends its messages, the other takes ``halt``.

    Args:
        home: the working directory of the command, for relative paths of data where the machines share it.
        threads: of a run on a CPU.
    """

    def __init__(self, home: str, threads: int) -> None:
        self._stop, self._alone, self._threads = Event(), Lock(), threads
        with suppress(OSError):
            os.chdir(home)

    def arrive(self) -> Arrival:
        """Say where this worker is."""
        return Arrival(platform.node(), os.getpid(), Versions.here())

    def work(self, job: Job) -> Iterator[Message]:
        """Carry out a job; yields its messages while it runs."""
        with self._alone:  # the last job's thread may still be on its way out
            said = SimpleQueue[Message | None]()
            thread = Thread(target=self._perform, args=(job, said), daemon=True)
            thread.start()
            while (message := said.get()) is not None:
                yield message
            thread.join()

    def _perform(self, job: Job, said: SimpleQueue[Message | None]) -> None:
        try:
            perform(job, said.put, self._stop.is_set, self._threads)
        finally:
            said.put(None)

    def halt(self) -> None:
        """Let the job save a checkpoint and end."""
        self._stop.set()
