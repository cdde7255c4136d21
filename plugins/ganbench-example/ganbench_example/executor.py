"""A process for each run, with the standard library alone. One that dies costs no other."""

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import cpu_count, get_context
from queue import Empty
from typing import Any

from ganbench import Executor, Job, Message, Places, Stopping, hookimpl, lost, perform
from msgspec.structs import replace


class Pool(Executor):
    """As many runs at a time as there are ``workers``. What they say comes through a queue."""

    def __init__(self, workers: int, threads: int) -> None:
        self.workers, self.threads, self.asked = workers, threads, False

    def stop(self) -> None:
        """Only set a flag, because a signal handler calls this."""
        self.asked = True

    def run(self, jobs: Sequence[Job]) -> Iterator[Message]:
        """Pass on what the runs say, until all have ended."""
        with get_context("spawn").Manager() as manager, ThreadPoolExecutor(self.workers) as threads:
            waiting, said, halt = iter(jobs), manager.Queue(), manager.Event()
            seats = [threads.submit(self.seat, rank, waiting, said, halt) for rank in range(self.workers)]
            while not all(seat.done() for seat in seats) or not said.empty():
                if self.asked and not halt.is_set():
                    halt.set()  # every run saves a checkpoint and ends
                    yield Stopping()
                with suppress(Empty):
                    yield said.get(timeout=0.25)

    def seat(self, rank: int, waiting: Iterator[Job], said: Any, halt: Any) -> None:
        """Carry out one job after another, each in a process of its own, until ``stop`` is called."""
        while not self.asked and (job := next(waiting, None)):
            # Ctrl-C reaches every process; this one calls stop()
            with ProcessPoolExecutor(
                1, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)
            ) as process:
                placed = replace(job, workers=self.workers, rank=rank)
                try:
                    process.submit(perform, placed, said.put, halt.is_set, self.threads).result()
                except BrokenExecutor:
                    said.put(lost(job, "its process died"))


@hookimpl
def ganbench_executor(places: Places) -> Pool:
    """Build the executor: as many runs at a time as the user asks for, or one per core."""
    return Pool(max(1, min(places.jobs or cpu_count(), places.most)), places.threads)
