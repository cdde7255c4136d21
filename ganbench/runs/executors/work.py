"""Carry out a job, in whichever process the worker is."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ganbench.contracts.executor import (
    Done,
    Ending,
    Fits,
    Job,
    Message,
    Preparing,
    Progress,
    Refused,
    Started,
    TrainingJob,
    Warned,
    lost,
)
from ganbench.contracts.progress import shown_by
from ganbench.errors import GanbenchError, GanbenchWarning, PluginError, RecordError, Unsupported, told, traced
from ganbench.records.forks import only_this_process
from ganbench.runs.executors.log import RunLog, logged
from ganbench.runs.storage import Storage, is_over

Say = Callable[[Message], None]


def perform(job: Job, say: Say, should_stop: Callable[[], bool] = lambda: False, threads: int = 1) -> None:
    """Carry out a job in this process, which must have no other work meanwhile. Executors call this in their workers.

    What plugins print goes to the run's log. Failures of a run are events, not exceptions.

    Args:
        job: the job, as the executor was given it.
        say: takes every event of the job, from ``Started`` to its end, and warnings.
        should_stop: asked now and then; if it returns True, the run saves a checkpoint and ends as interrupted.
        threads: threads of a run on a CPU. The last bits of its scores depend on their number.
    """
    import torch

    from ganbench.device.determinism import configure

    if job.device in {"auto", "cuda"} and torch.cuda.is_available() and job.rank:
        job = msgspec.structs.replace(job, device=f"cuda:{job.rank % torch.cuda.device_count()}")
    configure(threads)  # again for each job, since plugins of the last one may have changed settings
    with warnings_said(say):
        say(Started(job.key))
        say(outcome_of(job, say, should_stop, alone=True))


@contextmanager
def warnings_said(say: Say) -> Iterator[None]:
    """Say GANBench's warnings in this block, so that the process that the user looks at shows them."""
    show = warnings.showwarning

    def warn(message: Warning | str, category: type[Warning], *place: Any, **named: Any) -> None:
        if issubclass(category, GanbenchWarning):
            say(Warned(str(message)))
        else:
            show(message, category, *place, **named)

    warnings.showwarning = warn
    try:
        yield
    finally:
        warnings.showwarning = show


class _Place(NamedTuple):
    """A job whose folder is on this machine, and where its events go."""

    job: Job
    say: Say


def outcome_of(job: Job, say: Say, should_stop: Callable[[], bool], *, alone: bool = False) -> Ending:
    """Carry out a job; returns how it ended, or why it was refused.

    A plugin that changes the working directory affects neither this run's files nor the next job. If the process has
    no other work, it is ``alone``, and what it prints goes to the run's log.
    """

    def preparing(what: str, done: int, pieces: int) -> None:
        say(Preparing(job.key, what, done / pieces))

    last = time.monotonic() + (job.limit or float("inf"))
    place = _Place(msgspec.structs.replace(job, folder=os.path.abspath(job.folder)), say)
    try:
        with chdir("."), only_this_process(), shown_by(preparing), ExitStack() as stack:
            if job.store and not job.tryout:
                place = stack.enter_context(_in_scratch(place))
            log = stack.enter_context(logged(Path(place.job.folder))) if alone and not job.tryout else RunLog(None)
            place = place._replace(say=_both(log.note, place.say))
            ending = _ended(*place, lambda: should_stop() or time.monotonic() > last)
            log.note(ending)
        return _late(ending, job) if time.monotonic() > last and not should_stop() else ending
    except GanbenchError as error:
        if isinstance(error, RecordError) and job.store and Storage(job.store).has_worked:
            return lost(job, error.message)  # the storage failed, which will pass
        broken = isinstance(error, PluginError) and fails_alone(job)
        message, hint = (text.replace(place.job.folder, job.folder) for text in (error.message, error.hint))  # as typed
        return refusal(job, message, hint, broken=broken, unsupported=isinstance(error, Unsupported))
    except BaseException as error:  # Ctrl-C reaches only the parent, so this is what a plugin raised, or a bug
        hint = "run with --debug for the traceback; if no plugin is at fault, please report this as a bug in GANBench"
        return refusal(job, f"{job.key}: {told(error)}", hint, broken=fails_alone(job))


def _both(note: Say, say: Say) -> Say:
    def said(event: Message) -> None:
        note(event)
        say(event)

    return said


@contextmanager
def _in_scratch(place: _Place) -> Iterator[_Place]:
    """Let a job work in a temporary folder, and keep its files in its storage."""
    from ganbench.runs.scratch import scratch_folder

    storage = Storage(place.job.store)
    with scratch_folder() as scratch:
        folder = Path(scratch, *Path(place.job.folder).parts[-2:])
        storage.fetch(folder)

        def say(event: Message) -> None:
            if isinstance(event, Progress):
                storage.keep(folder)
            place.say(event)

        fresh = place.job.fresh and not storage.continues(folder)
        yield _Place(msgspec.structs.replace(place.job, folder=str(folder), fresh=fresh), say)
        if is_over(folder) and (not fresh or storage.is_new(folder)):
            storage.finish(folder)
        else:
            storage.leave(folder)


def _ended(job: Job, say: Say, should_stop: Callable[[], bool]) -> Ending:
    from ganbench.runs.runner import execute
    from ganbench.runs.setup import prepare
    from ganbench.runs.tryout import training_seconds, try_out

    if isinstance(job, TrainingJob) and job.tryout:
        bench = prepare(job.protocol, job.device)
        try_out(job, bench)
        return Fits(job.key, training_seconds(job, bench) if job.measured else 0.0)
    record = execute(job, say, should_stop)
    return Done(job.key, record.status, record.reason, record.scores)


def _late(ending: Ending, job: Job) -> Ending:
    """The end of a run that was stopped because its time was over."""
    if isinstance(ending, Done) and ending.status == "interrupted":
        return msgspec.structs.replace(ending, reason=f"{ending.reason}: its {job.limit:g} s are over", late=True)
    return ending


def fails_alone(job: Job) -> bool:
    """Whether other jobs may still succeed if a plugin fails in this one.

    Yardsticks need only what all jobs need: if a plugin is broken there, no job can run.
    """
    return isinstance(job, TrainingJob)


def refusal(job: Job, message: str, hint: str, *, broken: bool, unsupported: bool = False) -> Refused:
    """The refusal of a job, with the traceback if an exception is being handled."""
    error = sys.exc_info()[1]
    traceback = "" if error is None else traced(error)
    return Refused(job.key, message, hint, broken=broken, unsupported=unsupported, traceback=traceback)
