"""Carry out a plan with an executor and a display, until it is done or stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import msgspec

from ganbench.contracts.executor import (
    Combination,
    Done,
    Event,
    Executor,
    Fits,
    Refused,
    Stopping,
    TrainingJob,
    runs_among,
)
from ganbench.errors import GanbenchError
from ganbench.runs.display import Display
from ganbench.runs.estimate import Estimate
from ganbench.runs.leftovers import remove, tidy
from ganbench.runs.plan import Plan


@dataclass
class Outcome:
    """What became of a plan.

    Args:
        declined: message -> error, of combinations that do not fit.
        broken: message -> error, of combinations whose plugins are broken.
        fatal: an error that ended everything.
        lost: a sentence for each run whose worker died.
        interrupted: whether the user stopped it.
        refused: combinations that cannot be done, and why.
    """

    declined: dict[str, GanbenchError] = field(default_factory=dict)
    broken: dict[str, GanbenchError] = field(default_factory=dict)
    fatal: GanbenchError | None = None
    lost: list[str] = field(default_factory=list)
    interrupted: bool = False
    refused: dict[Combination, Refused] = field(default_factory=dict)


def carry_out(
    plan: Plan,
    executor: Executor,
    display: Display,
    *,
    estimate: Estimate | None = None,
    tracebacks: bool = False,
) -> Outcome:
    """Carry out what is left of a plan. Ctrl-C or SIGTERM stops it in good order, a second signal immediately.

    In a plan of several combinations, one that does not fit, or whose plugin is broken, is left out; any other refusal
    ends everything. The display uses ``estimate`` for the time left.

    Raises:
        KeyboardInterrupt: at the second signal.
    """
    outcome = Outcome()
    remove(plan.leftovers)
    tidy(Path(job.folder) for job in runs_among(plan.finished))
    grid = _is_grid(plan)
    with _stopping_in_order(executor, outcome):
        refused = _tried_out(plan.tryouts(), plan, executor, display, outcome, tracebacks=tracebacks)
        if estimate and not outcome.fatal:
            display.expect(estimate, executor.workers)
        for event in executor.run(plan.queue(executor.workers, refused)) if not outcome.fatal else ():
            if isinstance(event, Stopping):
                if outcome.interrupted:
                    display.say("stopping: every run saves a checkpoint (Ctrl-C again to quit at once)")
                continue
            _take(event, outcome, grid)
            if outcome.fatal:
                executor.stop()
            if tracebacks and isinstance(event, Refused):
                display.say(event.traceback)
            display.show(event)
    return outcome


def look_ahead(plan: Plan, executor: Executor, estimate: Estimate) -> Outcome:
    """Find out which parts of a plan are possible, and how long they would take.

    Unknown rows are added to ``estimate``. What is trained for this is discarded, and nothing is written.
    """
    outcome = Outcome()
    unknown = {job.combination for job in estimate.unknown(runs_among(plan.todo))}
    tryouts = [msgspec.structs.replace(job, measured=job.combination in unknown) for job in plan.tryouts(every=True)]
    with _stopping_in_order(executor, outcome):
        _tried_out(tryouts, plan, executor, Display(), outcome, estimate)
    return outcome


def _is_grid(plan: Plan) -> bool:
    return len({job.combination for job in plan.runs}) > 1


def _tried_out(
    tryouts: Sequence[TrainingJob],
    plan: Plan,
    executor: Executor,
    display: Display,
    outcome: Outcome,
    estimate: Estimate | None = None,
    *,
    tracebacks: bool = False,
) -> Collection[Combination]:
    """Try out the combinations of a plan; returns those that are impossible."""
    asked, refused = {job.key: job for job in tryouts}, outcome.refused
    for event in executor.run(tryouts) if tryouts else ():
        if isinstance(event, Fits) and estimate and event.seconds:
            estimate.measured[asked[event.key].entry] = event.seconds
        if not isinstance(event, Refused):
            continue
        _take(event, outcome, _is_grid(plan))
        refused[asked[event.key].combination] = event
        if tracebacks:
            display.say(event.traceback)
    for job in runs_among(plan.todo):
        if job.combination in refused:
            display.show(msgspec.structs.replace(refused[job.combination], key=job.key))
    return refused


def _take(event: Event, outcome: Outcome, grid: bool) -> None:
    """Note the outcome of a job where its record does not show it."""
    if isinstance(event, Refused):
        error = GanbenchError(event.message, event.hint)
        if event.unsupported and grid:
            outcome.declined[error.message] = error
        elif event.broken and grid:
            outcome.broken[error.message] = error
        else:
            outcome.fatal = outcome.fatal or error
    elif isinstance(event, Done) and event.lost:
        outcome.lost.append(f"{event.key}: {event.reason}")


@contextmanager
def _stopping_in_order(executor: Executor, outcome: Outcome) -> Iterator[None]:
    """Let the first signal only set a flag, since an exception in the middle of anything could leave it half done."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread handles signals
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if outcome.interrupted:
            raise KeyboardInterrupt
        outcome.interrupted = True
        executor.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
