"""The state of runs in progress: shares, headline, losses, samples. ``live.py`` and ``notebook.py`` draw it."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, assert_never

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
from ganbench.runs.display import PlainDisplay, losses_of, rate_of
from ganbench.runs.estimate import Estimate, duration, seconds_left
from ganbench.runs.plan import Plan

if TYPE_CHECKING:
    from ganbench.report.canvas import Pixels

JUDGING = "judging"
BLOCKS = "▁▂▃▄▅▆▇█"
LOOKS = 16
"""The number of latest values that a sparkline shows."""
LATEST = 5.0
"""Seconds after which the speed so far corrects the estimate of the time left."""


class Look(NamedTuple):
    """The headline during training: its short name, and its values so far."""

    name: str
    scores: list[float]


class Line(NamedTuple):
    """One line of progress: a name, a share from 0 to 1, and further facts."""

    name: str
    share: float
    facts: str


class OngoingDisplay(PlainDisplay):
    """Keeps the state of each run; subclasses draw it whenever it changes."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self.total = len(plan.runs)
        self.before = {job.key for job in runs_among(plan.finished)}
        self.over = set[str]()
        self.shares: dict[str, float] = defaultdict(float)
        self.facts: dict[str, str] = {}
        self.looks: dict[str, Look] = {}
        self.pictures: dict[str, Pixels] = {}
        self.start = time.monotonic()
        super().__init__(console, plan)

    def expect(self, estimate: Estimate, workers: int) -> None:
        """Say how long everything will take, and count down from there."""
        super().expect(estimate, workers)
        self.start = time.monotonic()

    def show(self, event: Event) -> None:
        """Update the state from an executor's event, before any line is printed about it."""
        match event:
            case Started():
                if event.key not in self.yardsticks:
                    self.facts[event.key] = ""
            case Picture():
                self.pictures[event.key] = event.pixels
            case Looked():
                self.looks.setdefault(event.key, Look(short_name(event.name), [])).scores.append(event.score)
            case Judging():
                self.shares[event.key], self.facts[event.key] = 1.0, JUDGING
            case Done() | Refused():
                self._drop(event.key)
            case Resumed():
                self.shares[event.key] = event.kimg / event.budget
            case Waiting() | Preparing() | Progress() | Fits() | Stopping():
                pass
            case _:
                assert_never(event)
        super().show(event)

    def _drop(self, key: str) -> None:
        for shown in (self.pictures, self.facts, self.looks, self.shares):
            shown.pop(key, None)
        if key not in self.yardsticks:
            self.over.add(key)

    def prepare(self, event: Preparing) -> None:
        """Show how far the preparation of data is, beside the run that waits for them."""
        self.facts[event.key] = f"{event.what}: {event.share:.0%}"

    def tick(self, event: Progress) -> None:
        """Update the progress bar of a run."""
        self.shares[event.key] = event.share
        self.facts[event.key] = f"{rate_of(event)}  {losses_of(event)}"

    def lines(self, *, roomy: bool) -> list[Line]:
        """The total, then each run that has started; if ``roomy``, with losses and speed beside its headline."""
        done = len(self.before) + len(self.over)
        share = (done + sum(self.shares[key] for key in self.facts)) / max(1, self.total)
        left = None if done == self.total else self._left()
        whole = Line(
            f"{done} of {plural(self.total, 'run')} done", share, "" if left is None else f"{duration(left)} left"
        )
        return [whole, *(Line(key, self.shares[key], self._known(key, roomy)) for key in self.facts)]

    def _known(self, key: str, roomy: bool) -> str:
        look, facts = self.looks.get(key), self.facts[key]
        curve = f"{look.name} {look.scores[-1]:.3g} {sparkline(look.scores)}" if look else ""
        return "  ".join(filter(None, [curve, facts if roomy or not look or facts == JUDGING else ""]))

    def _left(self) -> float | None:
        """Seconds: the estimate, corrected by how fast the work has gone so far."""
        jobs = [*self.todo.values()]
        rest, work = (
            seconds_left(jobs, self.estimate, self.shares, self.over),
            seconds_left(jobs, self.estimate, {}, ()),
        )
        if rest is None or work is None:
            return None
        spent, gone = work - rest, time.monotonic() - self.start
        if spent > 0.02 * work and gone > LATEST:
            return gone * rest / spent
        return rest / self.workers


def sparkline(values: list[float]) -> str:
    """The last values as block characters, scaled from their minimum to their maximum."""
    shown = values[-LOOKS:]
    low, high = min(shown), max(shown)
    if high == low:
        return BLOCKS[0] * len(shown)
    return "".join(BLOCKS[round((value - low) / (high - low) * (len(BLOCKS) - 1))] for value in shown)
