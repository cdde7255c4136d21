"""Carry out one job, a run or a yardstick: alone in its folder, and never twice."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ganbench.contracts.executor import Job, TrainingJob, Waiting, YardstickJob
from ganbench.errors import GanbenchWarning
from ganbench.records.files import cannot_write
from ganbench.records.record import Record
from ganbench.runs.leftovers import tidy
from ganbench.runs.obstacles import move_aside
from ganbench.runs.reuse import changed_data, still_good
from ganbench.runs.run import Emit, Run
from ganbench.runs.setup import prepare
from ganbench.runs.storage import take_over
from ganbench.runs.tryout import say_unmet, try_out
from ganbench.runs.yardstick import judge_yardstick


def execute(job: Job, emit: Emit, should_stop: Callable[[], bool]) -> Record:
    """Carry out one job and store its record; failures of the training are results, not exceptions.

    Raises:
        GanbenchError: the job cannot be done at all (nothing was trained, nothing is written).
    """
    bench = prepare(job.protocol, job.device)
    if job.fresh:
        move_aside(job)
    if not job.fresh and (record := still_good(job, bench)) is not None:
        tidy([Path(job.folder)] if isinstance(job, TrainingJob) else [])
        return record
    if not job.fresh and (change := changed_data(job, bench)):
        warnings.warn(GanbenchWarning(f"{change}; finished jobs are repeated"), stacklevel=2)
    if isinstance(job, YardstickJob):
        return judge_yardstick(job, bench)
    if not bench.checked:
        try_out(job, bench)  # the self-check takes seconds
    _ = bench.self_check  # reports doubtful or impossible scores before anything is trained
    run = Run(job, bench, emit)
    say_unmet(job, run.gan, bench)
    with _alone_in(run.folder, lambda: emit(Waiting(job.key)), should_stop) as waited:
        if waited is None:
            return run.record("interrupted", "stopped while another process was working on this run")
        if waited and (record := still_good(job, bench)) is not None:
            return record
        take_over(run.folder)
        return run.carry_out(should_stop)


@contextmanager
def _alone_in(folder: Path, say_so: Callable[[], None], should_stop: Callable[[], bool]) -> Iterator[bool | None]:
    """Hold the lock of a run's folder, so that no two processes write in it.

    Yields whether it had to wait, or None if it was stopped before it got the lock.
    """
    lock, waited = FileLock(folder / ".lock"), False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=0.5 if waited else 0)
            except Timeout:
                if not waited:
                    say_so()
                waited = True
                if should_stop():
                    break
    except OSError as error:
        raise cannot_write(folder / ".lock", error) from error
    try:
        yield waited if lock.is_locked else None
    finally:
        lock.release()
