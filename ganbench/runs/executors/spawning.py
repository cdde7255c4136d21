"""Worker processes of this machine: how they start, which signals they leave to their parent, and how they ended."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess

from ganbench.errors import GanbenchError
from ganbench.plugins.safepath import main_left_out, nothing_from_here

CLOSING_SECONDS = 5.0
"""Seconds that a worker may take to exit once it has gone silent."""
LONGEST_MESSAGE = 2**24
"""In bytes, more than any event needs. A message's length precedes it, and a plugin may write anything there."""
BROKEN = "the connection to the worker broke: a plugin closed, or wrote to, a file that is not its own"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def context() -> SpawnContext:
    """The context that creates processes, pipes and events.

    The process that multiprocessing would start for its own use with the first event is started here, so that it, too,
    imports nothing from the working directory.
    """
    if os.name == "posix":
        with nothing_from_here():
            resource_tracker.ensure_running()
    return mp.get_context("spawn")


def start(process: BaseProcess, threads: int) -> None:
    """Start a spawned process whose native libraries will use this number of threads.

    It imports neither the parent's main module nor modules of the working directory.

    Raises:
        GanbenchError: the system does not allow it.
    """
    try:
        with surroundings_of_a_worker(threads):
            process.start()
    except OSError as error:
        raise GanbenchError(
            f"cannot start a worker process: {error.strerror or error}",
            "run fewer at a time (--jobs), or raise the limit that `ulimit -a` shows",
        ) from error


@contextmanager
def surroundings_of_a_worker(threads: int) -> Iterator[None]:
    """Processes that start in this block use so many threads, and import neither this main module nor this folder."""
    with _ThreadsInEnvironment(threads), main_left_out(), nothing_from_here():
        yield


def leave_signals_to_the_parent() -> None:
    """In a worker: ignore Ctrl-C and SIGTERM, which reach the parent; it ends its workers in good order."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)


def parent_is_gone() -> Callable[[], bool]:
    """In a worker: a function that says whether the process that started it has ended."""
    parent = mp.parent_process()
    return lambda: parent is not None and not parent.is_alive()


def ended_within(process: BaseProcess, seconds: float) -> bool:
    """Whether a process has ended, or ends within this time.

    ``join`` would wait for ever if a plugin wrote into the pipe that it watches.
    """
    limit = time.monotonic() + seconds
    while process.is_alive():
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True


class _ThreadsInEnvironment:
    """Native libraries read their thread count when they load, so the child must inherit it."""

    def __init__(self, threads: int) -> None:
        self.wanted = dict.fromkeys(_THREADS, str(threads))

    def __enter__(self) -> None:
        self.before = {name: os.environ.get(name) for name in self.wanted}
        os.environ.update(self.wanted)

    def __exit__(self, *_: object) -> None:
        for name, value in self.before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
