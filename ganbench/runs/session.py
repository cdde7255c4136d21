"""Carry out a plan with an executor and a display, until it is done or stopped."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TypeGuard

import msgspec

from ganbench.contracts.executor import (
    Combination,
    Done,
    Event,
    Executor,
    Fits,
    Job,
    Refused,
    Stopping,
    TrainingJob,
    Warned,
    lost,
    runs_among,
)
from ganbench.errors import GanbenchError, GanbenchWarning, RecordError
from ganbench.records.record import FINISHED
from ganbench.runs.board import BoardKeeper
from ganbench.runs.display import Display
from ganbench.runs.estimate import Estimate
from ganbench.runs.leftovers import remove, tidy
from ganbench.runs.plan import Plan
from ganbench.runs.storage import collect


@dataclass(frozen=True)
class Patience:
    """How a session deals with runs that do not end well.

    Args:
        retries: how often a run whose worker died is tried again; it resumes from its checkpoint.
        fail_fast: whether the first run that fails, or is lost for good, ends everything.
    """

    retries: int = 0
    fail_fast: bool = False


RESUME_ONCE = Patience(retries=1)


@dataclass
class Outcome:
    """What became of a plan.

    Args:
        declined: message -> error, of combinations that do not fit.
        broken: message -> error, of combinations whose plugins are broken.
        fatal: an error that ended everything.
        lost: a sentence for each run whose worker died, by the run's key.
        late: a sentence for each run whose time was over, by the run's key.
        interrupted: whether the user stopped it.
        failed: the run at whose failure everything ended, if it did.
        refused: combinations that cannot be done, and why.
    """

    declined: dict[str, GanbenchError] = field(default_factory=dict)
    broken: dict[str, GanbenchError] = field(default_factory=dict)
    fatal: GanbenchError | None = None
    lost: dict[str, str] = field(default_factory=dict)
    late: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False
    failed: str = ""
    refused: dict[Combination, Refused] = field(default_factory=dict)


def carry_out(
    plan: Plan,
    executor: Executor,
    display: Display,
    *,
    estimate: Estimate | None = None,
    tracebacks: bool = False,
    patience: Patience = RESUME_ONCE,
) -> Outcome:
    """Carry out what is left of a plan. Ctrl-C or SIGTERM stops it in good order, a second signal immediately.

    In a plan of several combinations, one that does not fit, or whose plugin is broken, is left out; any other refusal
    ends everything. The display uses ``estimate`` for the time left.

    Raises:
        KeyboardInterrupt: at the second signal.
    """
    session = _Session(plan, executor, display, patience, tracebacks=tracebacks)
    remove(plan.leftovers)
    tidy(Path(job.folder) for job in runs_among(plan.finished))
    with _stopping_in_order(executor, session.outcome):
        session.carry_out(estimate)
    return session.outcome


class _Session:
    """A plan that is being carried out."""

    def __init__(
        self, plan: Plan, executor: Executor, display: Display, patience: Patience, *, tracebacks: bool
    ) -> None:
        self.plan, self.executor, self.display, self.patience = plan, executor, display, patience
        self.tracebacks, self.outcome, self.again = tracebacks, Outcome(), 0

    def carry_out(self, estimate: Estimate | None) -> None:
        """Try out what may be impossible, then run the rest, and lost jobs again."""
        plan, executor, outcome = self.plan, self.executor, self.outcome
        refused = _tried_out(plan.tryouts(), plan, executor, self.display, outcome, tracebacks=self.tracebacks)
        if outcome.fatal:
            return
        if estimate:
            self.display.expect(estimate, executor.workers)
        self.board = BoardKeeper(plan, executor.workers, estimate)
        for refusal in _refusals(plan, refused):
            self.board.note(refusal)
        queue = plan.queue(executor.workers, refused)
        for left in range(self.patience.retries, -1, -1):
            self.again = left
            outcome.lost.clear()
            for event in listen(executor, queue):
                self.board.note(event)
                self._heed(event)
            queue = [job for job in queue if job.key in outcome.lost]
            if not queue or outcome.fatal or outcome.interrupted or outcome.failed:
                break
        self.board.close()

    def _heed(self, event: Event) -> None:
        """Take note of an event, show it, and stop everything if it says so."""
        outcome, say = self.outcome, self.display.say
        if isinstance(event, Stopping):
            if outcome.interrupted:
                say("stopping: every run saves a checkpoint (Ctrl-C again to quit at once)")
            return
        _take(event, outcome, _is_grid(self.plan))
        if isinstance(event, Done) and event.lost and self.again and not outcome.interrupted:
            say(f"{event.key}: {event.reason}; it is tried again later")
            return
        if self.patience.fail_fast and _is_failure(event) and not outcome.failed:
            outcome.failed = event.key
            say(f"stopping, because {event.key} failed: every run saves a checkpoint")
        if outcome.fatal or outcome.failed:
            self.executor.stop()
        if self.tracebacks and isinstance(event, Refused):
            say(event.traceback)
        self.display.show(event)


def listen(executor: Executor, jobs: Sequence[Job]) -> Iterator[Event]:
    """Let an executor run jobs; yields its events, and issues its warnings once.

    Where workers are elsewhere, a job's files are here before its end is yielded.
    """
    by_key = {job.key: job for job in jobs}
    for said in executor.run(jobs) if jobs else ():
        if isinstance(said, Warned):
            warnings.warn(GanbenchWarning(said.message), stacklevel=2)
            continue
        job = by_key.get(getattr(said, "key", ""))
        yield _collected(said, job) if isinstance(said, Done) and job and job.store else said


def _collected(end: Done, job: Job) -> Done:
    """The end of a job once its files are here. If they cannot be fetched, it is tried again and finds them stored.

    Raises:
        Unshared: they are nowhere.
    """
    try:
        collect(job, over=end.status in FINISHED)
    except RecordError as error:
        return lost(job, error.message)
    return end


def _is_failure(event: Event) -> TypeGuard[Done | Refused]:
    """Whether a run ended in an error, or was lost. A run that diverged has a result."""
    if isinstance(event, Done):
        return event.status == "error" or event.lost
    return isinstance(event, Refused)


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
) -> Mapping[Combination, Refused]:
    """Try out the combinations of a plan; returns those that are impossible."""
    asked, refused = {job.key: job for job in tryouts}, outcome.refused
    for event in listen(executor, tryouts) if tryouts else ():
        if isinstance(event, Fits) and estimate and event.seconds:
            estimate.measured[asked[event.key].entry] = event.seconds
        if not isinstance(event, Refused):
            continue
        _take(event, outcome, _is_grid(plan))
        refused[asked[event.key].combination] = event
        if tracebacks:
            display.say(event.traceback)
    for event in _refusals(plan, refused):
        display.show(event)
    return refused


def _refusals(plan: Plan, refused: Mapping[Combination, Refused]) -> Iterator[Refused]:
    """The refusal of each run whose combination is impossible."""
    for job in runs_among(plan.todo):
        if job.combination in refused:
            yield msgspec.structs.replace(refused[job.combination], key=job.key)


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
        outcome.lost[event.key] = f"{event.key}: {event.reason}"
    elif isinstance(event, Done) and event.late:
        outcome.late[event.key] = f"{event.key}: {event.reason}"


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
