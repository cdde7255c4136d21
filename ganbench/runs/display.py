"""Show runs in progress as plain lines; ``live.py`` shows them on a terminal that can redraw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self, assert_never

from rich.console import Console

from ganbench.contracts.executor import (
    Done,
    Event,
    Fits,
    Judging,
    Looked,
    Picture,
    Preparing,
    Progress,
    Refused,
    Resumed,
    Started,
    Stopping,
    Waiting,
    runs_among,
)
from ganbench.contracts.score_name import short_name
from ganbench.errors import plural
from ganbench.runs.estimate import Estimate, duration, seconds_left
from ganbench.runs.plan import Plan

LOSSES = {"d_loss": "D", "g_loss": "G"}
MORE_SCORES = 2
"""The number of the protocol's shown scores that are printed beside the headline at the end of a run."""


class Display:
    """Shows nothing; the base of the other displays."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    def show(self, event: Event) -> None:
        """Show an event."""

    def say(self, text: str) -> None:
        """Print a line that stays."""

    def expect(self, estimate: Estimate, workers: int) -> None:
        """Take note of the expected duration; called once, before the first job."""


class PlainDisplay(Display):
    """Prints a line at the start, and for every run a line at each quarter and at the end."""

    def __init__(self, console: Console, plan: Plan) -> None:
        evaluation = plan.protocol.evaluation
        others = [name for name in evaluation.shown if name != evaluation.headline]
        self.console, self.columns = console, (evaluation.headline, *others[:MORE_SCORES])
        self.quarter: dict[str, int] = {}
        self.prepared: dict[str, int] = {}
        self.began: dict[str, float] = {}
        self.todo = {job.key: job for job in runs_among(plan.todo)}
        self.estimate, self.workers, self.expected = Estimate(), 1, False
        self.yardsticks = {job.key for job in plan.yardsticks}
        self.say(_opening(plan))

    def say(self, text: str) -> None:
        """Print a line of plain text."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(self, event: Event) -> None:
        """Show an executor's event."""
        match event:
            case Started():
                self.began[event.key] = time.monotonic()
            case Resumed():
                self.say(f"{event.key}: resumes at {event.kimg:g} of {event.budget:g} kimg")
            case Waiting():
                self.say(f"{event.key}: another process is working on this run; waiting for it")
            case Preparing():
                self.prepare(event)
            case Progress():
                self._learn(event)
                self.tick(event)
            case Done():
                if event.key not in self.yardsticks or event.status != "ok":
                    seconds = time.monotonic() - self.began.get(event.key, time.monotonic())
                    self.say(_closing(event, self.columns, seconds))
            case Picture() | Looked() | Judging() | Fits() | Refused() | Stopping():
                pass
            case _:
                assert_never(event)

    def expect(self, estimate: Estimate, workers: int) -> None:
        """Print the expected duration if it is known, else as soon as the first runs show it."""
        self.estimate, self.workers = estimate, max(1, min(workers, len(self.todo)))
        if told := estimate.told([*self.todo.values()], self.workers):
            self.expected = True
            self.say(told)

    def _learn(self, event: Progress) -> None:
        """Estimate an unknown row, and the total, from its first iterations."""
        job = self.todo.get(event.key)
        if job is None or event.share <= 0 or self.estimate.seconds(job) is not None:
            return
        self.estimate.measured[job.entry] = event.seconds / event.share
        if not self.expected:
            self.expected = True
            jobs = [*self.todo.values()]
            whole = self.estimate.total(jobs, self.workers)
            if whole is None:  # other rows are assumed to take the mean of the known ones
                whole = (seconds_left(jobs, self.estimate, {}, ()) or 0.0) / self.workers
            self.say(f"{duration(whole)} in total, judging by the first iterations")

    def prepare(self, event: Preparing) -> None:
        """Show how far the preparation of data is."""
        tenth = int(event.share * 10)
        if tenth > self.prepared.get(event.what, -1):
            self.prepared[event.what] = tenth
            self.say(f"{event.what}: {tenth * 10} %")

    def tick(self, event: Progress) -> None:
        """Show the progress of a run."""
        quarter = int(event.share * 4)
        if quarter > self.quarter.get(event.key, 0) and quarter < 4:
            self.quarter[event.key] = quarter
            self.say(f"{event.key}: {quarter * 25} %, {rate_of(event)}, {losses_of(event)}")


KEPT = " (the old results are kept as record.old.json and checkpoint.old.pt)"


def _opening(plan: Plan) -> str:
    protocol, runs, finished = plan.protocol, plan.runs, len(runs_among(plan.finished))
    if runs:
        what = f"{plural(len(runs), 'run')} of {runs[0].protocol.training.budget_kimg:g} kimg"
    else:
        what = plural(len(plan.jobs), "yardstick")
    text = f"{protocol.name} ({protocol.digest}): {what} on {protocol.dataset_ref.without_folders()}"
    if finished:
        text += f"; {finished} already finished (--force repeats them)"
    for version, number in plan.older.items():
        text += f"; {number} made by ganbench {version} are kept as results of that version"
    for change, number in plan.changes.items():
        text += f"; {_repeated(number)}, because {change}{KEPT if number else ''}"
    if plan.leftovers:
        text += "; folders of an earlier start under other rules are replaced, because nothing was trained in them"
    return text


def _repeated(runs: int) -> str:
    return f"{runs} run{'s are' if runs > 1 else ' is'} repeated" if runs else "yardsticks are scored again"


def _closing(event: Done, columns: Sequence[str], seconds: float) -> str:
    if event.status != "ok":
        return f"{event.key}: {event.status}: {event.reason}"
    scores = {short_name(name): value for name, value in event.scores.items()}
    text = ", ".join(f"{name} {scores[name]:.4g}" for name in columns if name in scores)
    return f"{event.key}: {text} ({seconds:.0f} s)"


def rate_of(event: Progress) -> str:
    """The speed of a run: ``~1,200 samples/s``."""
    return f"~{event.rate:,.0f} samples/s"


def losses_of(event: Progress) -> str:
    """The mean losses of a window: ``D 0.69  G 0.7``."""
    return "  ".join(f"{short} {event.losses[name]:.3g}" for name, short in LOSSES.items() if name in event.losses)
