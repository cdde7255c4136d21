"""Carry out runs in this process, one after another, so that Python objects need neither a package nor pickling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread

from ganbench.contracts.executor import Executor, Job, Message, Started, Stopping


class InlineExecutor(Executor):
    """Carries out jobs in a thread of this process and yields their events.

    Meanwhile torch's settings are those of a worker process, so the bits are the same; they are restored afterwards.
    """

    def __init__(self, threads: int = 1) -> None:
        self.workers = 1
        self._threads = threads
        self._stop = False
        self._new = True

    def stop(self) -> None:
        """Ask the running job to write a checkpoint and an ``interrupted`` record; no further job starts."""
        self._stop = True

    def run(self, jobs: Sequence[Job]) -> Iterator[Message]:
        """Yield events until every job is done, refused, or given up after ``stop()``."""
        said: SimpleQueue[Message] = SimpleQueue()
        thread = Thread(target=self._work, args=(jobs, said), daemon=True)
        thread.start()
        try:
            yield from self._listen(thread, said)
        except BaseException:
            self._stop = True  # the caller stopped iterating early
            raise

    def _listen(self, thread: Thread, said: SimpleQueue[Message]) -> Iterator[Message]:
        told = False
        while thread.is_alive() or not said.empty():
            if self._stop and not told:
                told = True
                yield Stopping()
            with suppress(Empty):
                yield said.get(timeout=0.25)  # a time-out, so that signals are noticed

    def _work(self, jobs: Sequence[Job], said: SimpleQueue[Message]) -> None:
        from ganbench.device.determinism import configured
        from ganbench.runs.executors.work import outcome_of
        from ganbench.runs.setup import forget

        if self._new and any(job.protocol.reads_paths for job in jobs):
            forget()  # data read by an earlier command of this process may have changed
        self._new = False
        for job in jobs:
            if self._stop:
                return
            said.put(Started(job.key))
            with configured(self._threads):
                said.put(outcome_of(job, said.put, lambda: self._stop))
