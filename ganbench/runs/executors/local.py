"""Carry out runs on this machine, in worker processes that each take one job after another.

Every worker uses one thread on a CPU (small networks get slower with more, and a run's bits must not depend on how
many run beside it). A worker that dies (out of memory, a crash in native code) loses its own job and no other.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import msgspec

from ganbench.contracts.executor import (
    Done,
    Ending,
    Executor,
    Job,
    Message,
    Picture,
    Places,
    Progress,
    Started,
    Status,
    Stopping,
    lost,
)
from ganbench.device.cores import usable_cores
from ganbench.errors import RecordError, told_exit
from ganbench.records.forks import end_if_forked
from ganbench.records.record import FINISHED
from ganbench.records.store import read, write
from ganbench.runs.executors import spawning
from ganbench.runs.executors.spawning import (
    BROKEN,
    CLOSING_SECONDS,
    LONGEST_MESSAGE,
    ended_within,
    leave_signals_to_the_parent,
    parent_is_gone,
    start,
)
from ganbench.runs.executors.work import fails_alone, perform, refusal

GRACE_SECONDS = 30.0
"""Seconds beyond the protocol's time-out for which a run may be silent."""
_KILLED = {int(signal.Signals[name]) for name in ("SIGKILL", "SIGTERM", "SIGINT") if name in signal.Signals.__members__}


class LocalExecutor(Executor):
    """Carries out jobs in ``workers`` processes and yields their events.

    Use as a context manager; leaving it ends the workers. ``stop()`` asks running jobs to save a checkpoint.
    Every worker has its own pipe, so one that is killed in the middle of a message does not silence the others.
    """

    def __init__(self, workers: int, threads: int = 1) -> None:
        self._context = spawning.context()
        self._stop = self._context.Event()
        self._asked = False
        self._threads = threads
        self.workers = workers
        self._seats: list[_Seat] = [_Seat() for _ in range(workers)]

    @classmethod
    def on_this_machine(cls, places: Places) -> LocalExecutor:
        """As many processes as this machine has room for, or as the user asked for."""
        room = _room(places.device) * places.jobs_per_gpu
        if room == 0:
            room = max(1, usable_cores() // places.threads)
        return cls(max(1, min(places.jobs or room, places.most)), places.threads)

    def __exit__(self, *_: object) -> None:
        for seat in self._seats:
            seat.dismiss()

    def stop(self) -> None:
        """Ask every running job to write a checkpoint and an ``interrupted`` record; no further job starts."""
        self._asked = True  # not the event: its lock may be held when a signal calls this

    def run(self, jobs: Sequence[Job]) -> Iterator[Message]:
        """Yield events until every job is done, refused, or given up after ``stop()``."""
        waiting = list(jobs)
        for seat in self._seats if waiting else ():  # also those that tryouts leave idle, since starting takes seconds
            self._start(seat)
        while True:
            if self._asked and not self._stop.is_set():
                self._stop.set()
                yield Stopping()
            for seat in self._seats:
                if seat.job is None and waiting and not self._asked:
                    self._give(seat, waiting.pop(0))
            busy = [seat for seat in self._seats if seat.job]
            if not busy:
                return
            yield from self._listen(busy)

    def _start(self, seat: _Seat) -> None:
        """Start the seat's process, unless it is alive."""
        if self._asked:
            return
        if seat.process is None or not seat.process.is_alive():
            seat.pipe, theirs = self._context.Pipe()
            arguments = (theirs, self._stop, self._threads)
            process = self._context.Process(target=_work, args=arguments, daemon=True)
            start(process, self._threads)
            seat.process = process
            theirs.close()  # so that only the worker holds that end, and its death closes the pipe

    def _give(self, seat: _Seat, job: Job) -> None:
        self._start(seat)
        seat.take(msgspec.structs.replace(job, workers=len(self._seats), rank=self._seats.index(seat)))

    def _listen(self, busy: Sequence[_Seat]) -> Iterator[Message]:
        wait([seat.pipe for seat in busy if seat.pipe], timeout=0.25)
        for seat in busy:
            said = seat.hear()
            if said is not None:
                yield said
            elif seat.hangs:
                limit = seat.job.protocol.training.timeout if seat.job else 0
                yield self._give_up(seat, "timeout", f"no sign of life for longer than the {limit:g} s allowed")
            elif seat.is_overdue:
                limit = seat.job.limit if seat.job else 0
                yield self._give_up(seat, "interrupted", f"it did not stop when its {limit:g} s were over")
            elif seat.silent and seat.process:
                ended_within(seat.process, CLOSING_SECONDS)
                # If somebody killed it (or the system did, out of memory), the run can resume from its checkpoint.
                # If it crashed, that is the run's result.
                code = seat.process.exitcode
                status: Status = "interrupted" if code is not None and -code in _KILLED else "error"
                how = BROKEN if code is None else f"the worker process died: {told_exit(code)}"
                yield self._give_up(seat, status, how)

    def _give_up(self, seat: _Seat, status: Status, reason: str) -> Ending:
        """Record the outcome of a job whose worker cannot report it."""
        job, begun, when = seat.job, False, " before the run began"
        assert job is not None
        seat.end()
        if job.store:  # its record was in a folder of the worker
            return lost(job, reason)
        with suppress(RecordError):  # the worker may have died before there was a record
            record = read(job.record_file)
            when = "" if record.status in FINISHED else when
            if begun := record.status == "interrupted" and not job.tryout:
                write(msgspec.structs.replace(record, status=status, reason=reason), job.record_file)
        if status == "error" and not begun:
            hint = "a plugin crashed the process: `ganbench plugins --check` shows which"
            return refusal(job, f"{job.key}: {reason}{when}", hint, broken=fails_alone(job))
        return Done(job.key, status, reason, lost=status == "interrupted")


def _room(device: str) -> int:
    """The number of GPUs that runs can use; 0 if they run on the CPU."""
    kind = device.partition(":")[0]
    may_have_gpu = any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))
    if (kind in {"auto", "cuda"} and may_have_gpu) or kind == "mps" or (kind == "auto" and sys.platform == "darwin"):
        import torch

        if ":" in device or kind == "mps":
            return 1
        if torch.cuda.is_available():
            return torch.cuda.device_count()
        return int(torch.backends.mps.is_available())
    return 0


class _Seat:
    """A place for one worker process, with its pipe and its current job."""

    def __init__(self) -> None:
        self.process: BaseProcess | None = None
        self.pipe: Any = None
        self.job: Job | None = None
        self.heard = self.began = 0.0
        self.training = False
        self.silent = False
        """Whether no message can follow: a dead worker's were all received, or a plugin wrote into its pipe."""

    def take(self, job: Job) -> None:
        """Hand a job to the worker."""
        self.job, self.training, self.silent = job, False, False
        self.heard = self.began = time.monotonic()
        with suppress(OSError):  # `hear` notices a worker that has just died
            self.pipe.send(job)

    def hear(self) -> Message | None:
        """The worker's next message, if there is one."""
        dead = self.process is not None and not self.process.is_alive()  # forked copies may keep the pipe open
        try:
            said: Message | None = pickle.loads(self.pipe.recv_bytes(LONGEST_MESSAGE)) if self.pipe.poll() else None
            self.silent = not (isinstance(said, Message) or (said is None and not dead))
        except Exception:  # it died, perhaps in the middle of a message, or sent something else
            self.silent = True
        if self.silent:
            return None
        if said is not None:
            self.heard, self.training = time.monotonic(), isinstance(said, Progress | Picture)
            if isinstance(said, Started):  # starting a process takes seconds
                self.began = self.heard
            if isinstance(said, Ending):
                self.job = None
        return said

    @property
    def hangs(self) -> bool:
        """Whether a single window of training takes longer than the protocol allows for all of them."""
        limit = self.job.protocol.training.timeout if self.job else 0
        return bool(limit and self.training and time.monotonic() - self.heard > limit + GRACE_SECONDS)

    @property
    def is_overdue(self) -> bool:
        """Whether training goes on although the job's time has long been over. What comes after it is not stopped."""
        limit = self.job.limit if self.job else 0
        return bool(limit and self.training and time.monotonic() - self.began > limit + GRACE_SECONDS)

    def end(self) -> None:
        """Drop the job and the process; kill it if it is alive."""
        if self.process is not None and self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process = self.job = None

    def dismiss(self) -> None:
        """Let an idle worker exit; kill one that has a job."""
        if self.process is not None and self.job is None:
            with suppress(OSError):
                self.pipe.send(None)
            ended_within(self.process, CLOSING_SECONDS)
        self.end()


def _work(pipe: Connection, stop: Any, threads: int) -> None:
    """The main function of a worker. An exception exits at once, since Python would wait for a plugin's threads."""
    try:
        _serve(pipe, stop, threads)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _serve(pipe: Connection, stop: Any, threads: int) -> None:
    """Carry out jobs until None arrives. Ctrl-C and SIGTERM are left to the parent, which asks for an orderly stop."""
    leave_signals_to_the_parent()
    os.dup2(2, 1)  # what a plugin prints between jobs must not mix with the results
    orphaned = parent_is_gone()
    while (job := _next_job(pipe, orphaned)) is not None:
        perform(job, _voice(pipe), lambda: stop.is_set() or orphaned(), threads)


def _voice(pipe: Connection) -> Callable[[Message], None]:
    def say(message: Message) -> None:
        end_if_forked()
        with suppress(OSError):  # the parent is gone: the run saves a checkpoint and ends
            pipe.send(message)

    return say


def _next_job(pipe: Connection, orphaned: Callable[[], bool]) -> Job | None:
    """Wait for a job; None when there are no more, or the parent is gone."""
    with suppress(EOFError, OSError):
        while not orphaned():
            if pipe.poll(2):
                job: Job | None = pipe.recv()
                return job
    return None
