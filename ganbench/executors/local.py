"""Runs on this machine: worker processes that each take one job after another.

Every worker uses one thread on a CPU (small networks get slower with more, and a run's bits must not depend on how
many run beside it). A worker that dies (out of memory, a crash in native code) costs its job, not the others.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import queue
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from typing import Any

import msgspec

from ganbench.errors import GanbenchError, RecordError, Unsupported
from ganbench.jobs import Event, Job
from ganbench.record import Status, read, write

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_KILLED = {int(signal.Signals[name]) for name in ("SIGKILL", "SIGTERM", "SIGINT") if name in signal.Signals.__members__}
GRACE_SECONDS = 30.0


class LocalExecutor:
    """Carries out jobs in ``workers`` processes and yields what they say.

    Use as a context manager; leaving it ends the workers. ``stop()`` asks running jobs to write down where they are.
    """

    def __init__(self, workers: int, threads: int = 1) -> None:
        self._context = mp.get_context("spawn")
        self._events: Any = self._context.Queue()
        self._stop = self._context.Event()
        self._threads = threads
        self._seats: list[_Seat] = [_Seat() for _ in range(workers)]

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        for seat in self._seats:
            seat.dismiss()

    def stop(self) -> None:
        """Ask every running job to write a checkpoint and an ``interrupted`` record; no further job is begun."""
        self._stop.set()

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Yield events until every job is done, refused, or given up after ``stop()``."""
        waiting = list(jobs)
        while True:
            for seat in self._seats:
                if seat.job is None and waiting and not self._stop.is_set():
                    self._give(seat, waiting.pop(0))
            if all(seat.job is None for seat in self._seats):
                return
            yield from self._listen()

    def _give(self, seat: _Seat, job: Job) -> None:
        if seat.process is None:
            seat.tasks = self._context.Queue()
            rank = self._seats.index(seat)
            arguments = (seat.tasks, self._events, self._stop, self._threads, rank)
            seat.process = self._context.Process(target=_work, args=arguments, daemon=True)
            with _threads_in_environment(self._threads):
                seat.process.start()
        seat.take(msgspec.structs.replace(job, workers=len(self._seats)))

    def _listen(self) -> Iterator[Event]:
        try:
            event = self._events.get(timeout=0.25)
        except queue.Empty:
            yield from self._bury()
            return
        for seat in self._seats:
            if seat.job and seat.job.key == event.key:
                seat.hear(event)
        yield event

    def _bury(self) -> Iterator[Event]:
        """Write down what became of jobs whose worker died without a word, or has said nothing for too long.

        Somebody killed it (or the system did, for want of memory): the run can go on from its checkpoint. It crashed:
        that is the run's result.
        """
        for seat in self._seats:
            if not seat.job or not seat.process:
                continue
            if seat.hangs:
                limit = seat.job.protocol.training.timeout
                yield self._give_up(seat, "timeout", f"no sign of life for longer than the {limit:g} s allowed")
            elif not seat.process.is_alive():
                code = seat.process.exitcode or 0
                reason = f"the worker process died: {_told(code)}"
                yield self._give_up(seat, "interrupted" if -code in _KILLED else "error", reason)

    def _give_up(self, seat: _Seat, status: Status, reason: str) -> Event:
        job = seat.job
        assert job is not None
        seat.end()
        with suppress(RecordError):  # it may have died before there was a record
            if (record := read(job.record_file)).status == "interrupted":
                write(msgspec.structs.replace(record, status=status, reason=reason), job.record_file)
        return Event("done", job.key, {"status": status, "reason": reason, "lost": status == "interrupted"})


class _Seat:
    """A place for one worker process and the job it is on."""

    def __init__(self) -> None:
        self.process: BaseProcess | None = None
        self.tasks: Any = None
        self.job: Job | None = None
        self.heard = 0.0
        self.training = False

    def take(self, job: Job) -> None:
        """Begin with a job."""
        self.job, self.heard, self.training = job, time.monotonic(), False
        self.tasks.put(job)

    def hear(self, event: Event) -> None:
        """Take note of what the worker says of its job."""
        self.heard, self.training = time.monotonic(), event.kind in {"progress", "picture"}
        if event.kind in {"done", "refused"}:
            self.job = None

    @property
    def hangs(self) -> bool:
        """Whether one window of training alone takes longer than the protocol allows for all of them."""
        limit = self.job.protocol.training.timeout if self.job else 0
        return bool(limit and self.training and time.monotonic() - self.heard > limit + GRACE_SECONDS)

    def end(self) -> None:
        """Leave the job and the process, alive or dead."""
        if self.process is not None and self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process = self.job = None

    def dismiss(self) -> None:
        if self.process is None:
            return
        if self.job is None:
            self.tasks.put(None)
            self.process.join(timeout=5)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join()
        self.process = None


def _told(exit_code: int) -> str:
    """``killed by SIGKILL``, ``exit code 3``"""
    return f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"


class _threads_in_environment:
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


def _work(tasks: Any, events: Any, stop: Any, threads: int, rank: int) -> None:
    """A worker's life: jobs until None. Ctrl-C reaches the parent, which asks for an orderly stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    from ganbench.determinism import configure
    from ganbench.run import execute

    torch.set_num_threads(threads)
    configure()
    orphaned = _parent_is_gone()
    while (job := _next_job(tasks, orphaned)) is not None:
        events.put(Event("started", job.key, {"at": datetime.now(UTC).isoformat()}))
        try:
            if job.device in {"auto", "cuda"} and torch.cuda.is_available():
                job = msgspec.structs.replace(job, device=f"cuda:{rank % torch.cuda.device_count()}")
            record = execute(job, events.put, lambda: stop.is_set() or orphaned())
            said = {"status": record.status, "reason": record.reason, "scores": record.scores}
            events.put(Event("done", job.key, said))
        except GanbenchError as error:
            facts: dict[str, Any] = {
                "message": error.message,
                "hint": error.hint,
                "unsupported": isinstance(error, Unsupported),
                "traceback": traceback.format_exc(),
            }
            events.put(Event("refused", job.key, facts))
        except Exception as error:
            facts = {
                "unsupported": False,
                "message": f"{job.key}: {type(error).__name__}: {error}",
                "hint": "this is a defect of GANBench: please report it with the traceback (--debug)",
                "traceback": traceback.format_exc(),
            }
            events.put(Event("refused", job.key, facts))


def _parent_is_gone() -> Callable[[], bool]:
    parent = mp.parent_process()
    return lambda: parent is not None and not parent.is_alive()


def _next_job(tasks: Any, orphaned: Callable[[], bool]) -> Job | None:
    """Wait for a job; None when there are no more, or nobody is left to hand them out."""
    while not orphaned():
        try:
            job: Job | None = tasks.get(timeout=2)
        except queue.Empty:
            continue
        return job
    return None
