"""Carry out a job, in whichever process the worker is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import chdir

import msgspec

from ganbench.contracts.executor import Done, Ending, Event, Fits, Job, Preparing, Refused, TrainingJob
from ganbench.contracts.progress import shown_by
from ganbench.errors import GanbenchError, PluginError, Unsupported, told, traced
from ganbench.records.forks import only_this_process


def outcome_of(job: Job, say: Callable[[Event], None], should_stop: Callable[[], bool]) -> Ending:
    """Carry out a job; returns how it ended, or why it was refused.

    A plugin that changes the working directory affects neither this run's files nor the next job.
    """

    def preparing(what: str, done: int, pieces: int) -> None:
        say(Preparing(job.key, what, done / pieces))

    here = msgspec.structs.replace(job, folder=os.path.abspath(job.folder))
    try:
        with chdir("."), only_this_process(), shown_by(preparing):
            return _ended(here, say, should_stop)
    except GanbenchError as error:
        broken = isinstance(error, PluginError) and fails_alone(job)
        message, hint = (text.replace(here.folder, job.folder) for text in (error.message, error.hint))  # as typed
        return refusal(job, message, hint, broken=broken, unsupported=isinstance(error, Unsupported))
    except BaseException as error:  # Ctrl-C reaches only the parent, so this is what a plugin raised, or a bug
        hint = "run with --debug for the traceback; if no plugin is at fault, please report this as a bug in GANBench"
        return refusal(job, f"{job.key}: {told(error)}", hint, broken=fails_alone(job))


def _ended(job: Job, say: Callable[[Event], None], should_stop: Callable[[], bool]) -> Ending:
    from ganbench.runs.runner import execute
    from ganbench.runs.setup import prepare
    from ganbench.runs.tryout import training_seconds, try_out

    if isinstance(job, TrainingJob) and job.tryout:
        bench = prepare(job.protocol, job.device)
        try_out(job, bench)
        return Fits(job.key, training_seconds(job, bench) if job.measured else 0.0)
    record = execute(job, say, should_stop)
    return Done(job.key, record.status, record.reason, record.scores)


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
