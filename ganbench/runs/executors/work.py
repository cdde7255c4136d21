"""What a worker does with a job, whichever process it sits in."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

from ganbench.contracts.executor import Event, Job
from ganbench.errors import GanbenchError, PluginError, Unsupported


def outcome_of(job: Job, say: Callable[[Event], None], should_stop: Callable[[], bool]) -> Event:
    """Carry out a job; returns how it ended, or why it was refused."""
    from ganbench.runs.runner import execute
    from ganbench.runs.setup import prepare
    from ganbench.runs.tryout import try_out

    try:
        if job.tryout:
            try_out(job, prepare(job.protocol, job.device))
            return Event("fits", job.key, {})
        record = execute(job, say, should_stop)
    except GanbenchError as error:
        # yardsticks need only what all jobs need: if a plugin is broken there, no job can run
        broken = isinstance(error, PluginError) and not job.yardstick
        return refusal(job, error.message, error.hint, broken=broken, unsupported=isinstance(error, Unsupported))
    except Exception as error:
        message = f"{job.key}: {type(error).__name__}: {error}"
        return refusal(job, message, "this is a bug in GANBench: please report it with the traceback (--debug)")
    return Event("done", job.key, {"status": record.status, "reason": record.reason, "scores": record.scores})


def refusal(job: Job, message: str, hint: str, *, broken: bool = False, unsupported: bool = False) -> Event:
    """Why a job was not done, with the traceback if an exception is being handled."""
    facts = {"message": message, "hint": hint, "broken": broken, "unsupported": unsupported}
    return Event("refused", job.key, {**facts, "traceback": traceback.format_exc() if sys.exc_info()[0] else ""})
