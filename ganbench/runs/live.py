"""Runs in progress in a terminal that can redraw: one bar for everything, one for each run, and the current samples."""

from __future__ import annotations

import time
from collections import defaultdict
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self, assert_never

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ganbench.contracts.executor import (
    Done,
    Event,
    Fits,
    Judging,
    Looked,
    Picture,
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
from ganbench.runs.display import Display, PlainDisplay, losses_of, rate_of
from ganbench.runs.estimate import Estimate, duration, seconds_left
from ganbench.runs.plan import Plan

if TYPE_CHECKING:
    from ganbench.report.pictures import Pixels

BAR, SHORT_BAR = 20, 8
WIDE_ENOUGH = 60
"""Characters from which samples are drawn."""
ROOMY = 100
"""Characters from which losses and speed stand beside a run."""
JUDGING = "judging"
BLOCKS = "▁▂▃▄▅▆▇█"
LOOKS = 16
"""How many of the last looks a sparkline shows."""
LATEST = 5.0
"""Seconds after which the speed of the work, and no longer the estimate alone, says how much time is left."""


def make_display(console: Console, plan: Plan, quiet: bool) -> Display:
    """The display that suits the output: nothing, a live view, or plain lines."""
    if quiet:
        return Display()
    return LiveDisplay(console, plan) if _can_redraw(console) else PlainDisplay(console, plan)


def _can_redraw(console: Console) -> bool:
    """A terminal can, unless it is a dumb one, and so can a notebook with widgets."""
    notebook = console.is_jupyter and find_spec("ipywidgets") is not None
    return (console.is_terminal and not console.is_dumb_terminal) or notebook


class Look(NamedTuple):
    """The headline during training: its short name, and its values so far."""

    name: str
    scores: list[float]


class Line(NamedTuple):
    """A name, a share from 0 to 1, and what else is known."""

    name: Text
    share: float
    facts: Text


class LiveDisplay(PlainDisplay):
    """What is left, and for each run its share, headline so far, losses and samples in half-block characters."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self.total = len(plan.runs)
        self.before = {job.key for job in runs_among(plan.finished)}
        self.over = set[str]()
        self.shares: dict[str, float] = defaultdict(float)
        self.facts: dict[str, str] = {}
        self.looks: dict[str, Look] = {}
        self.pictures: dict[str, Pixels] = {}
        self.start = time.monotonic()
        self.live = Live(console=console, refresh_per_second=4, transient=True)
        super().__init__(console, plan)

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.live.stop()

    def expect(self, estimate: Estimate, workers: int) -> None:
        """Say how long everything will take, and count down from there."""
        super().expect(estimate, workers)
        self.start = time.monotonic()

    def show(self, event: Event) -> None:
        """Show what an executor has yielded, in place where it replaces what was shown before."""
        super().show(event)
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
            case Waiting() | Progress() | Fits() | Stopping():
                pass
            case _:
                assert_never(event)
        self.live.update(self.view())

    def _drop(self, key: str) -> None:
        for shown in (self.pictures, self.facts, self.looks, self.shares):
            shown.pop(key, None)
        if key not in self.yardsticks:
            self.over.add(key)

    def tick(self, event: Progress) -> None:
        """Move the bar of a run."""
        self.shares[event.key] = event.share
        self.facts[event.key] = f"{rate_of(event)}  {losses_of(event)}"

    # -- what is drawn ---------------------------------------------------------------------------------------------

    def view(self) -> RenderableType:
        """Everything, as high as the terminal at most."""
        width, room = self.console.width, max(1, self.console.height - 1)
        bar = BAR if width >= ROOMY else SHORT_BAR
        lines = Table.grid(padding=(0, 1, 0, 0))
        lines.add_column(no_wrap=True, overflow="ellipsis")
        lines.add_column(width=bar, no_wrap=True)
        lines.add_column(width=5, justify="right", no_wrap=True)
        lines.add_column(no_wrap=True, overflow="ellipsis", style="dim")
        for name, share, facts in [self._whole(), *self._each(width)][:room]:
            lines.add_row(name, ProgressBar(total=1.0, completed=share, width=bar), f"{share:.0%}", facts)
            room -= 1
        views: list[RenderableType] = [lines]
        for pixels in self.pictures.values() if width >= WIDE_ENOUGH else ():
            drawn = half_blocks(pixels, width)
            if (rows := drawn.plain.count("\n") + 1) > room:
                break
            views.append(drawn)
            room -= rows
        return Group(*views)

    def _whole(self) -> Line:
        done = len(self.before) + len(self.over)
        share = (done + sum(self.shares[key] for key in self.facts)) / max(1, self.total)
        left = None if done == self.total else self._left()
        said = "" if left is None else f"{duration(left)} left"
        return Line(Text(f"{done} of {plural(self.total, 'run')} done", "bold"), share, Text(said))

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

    def _each(self, width: int) -> list[Line]:
        lines = list[Line]()
        for key, facts in self.facts.items():
            look = self.looks.get(key)
            curve = f"{look.name} {look.scores[-1]:.3g} {sparkline(look.scores)}" if look else ""
            told = [curve, facts if width >= ROOMY or not look or facts == JUDGING else ""]
            lines.append(Line(Text(key), self.shares[key], Text("  ".join(filter(None, told)))))
        return lines


def sparkline(values: list[float]) -> str:
    """The last values as blocks, from the lowest to the highest of them."""
    shown = values[-LOOKS:]
    low, high = min(shown), max(shown)
    if high == low:
        return BLOCKS[0] * len(shown)
    return "".join(BLOCKS[round((value - low) / (high - low) * (len(BLOCKS) - 1))] for value in shown)


def half_blocks(pixels: Pixels, width: int) -> Text:
    """Images ``[n, H, W, 3]`` side by side, as many as fit, two pixels to a character."""
    n, height, breadth, _ = pixels.shape
    shown = pixels[: max(1, min(n, width // (breadth + 1)))]
    text = Text(no_wrap=True, overflow="crop")
    for y in range(0, height - 1, 2):
        for image in shown:
            for x in range(breadth):
                upper, lower = (f"#{r:02x}{g:02x}{b:02x}" for r, g, b in (image[y, x], image[y + 1, x]))
                text.append("▀", Style(color=upper, bgcolor=lower))
            text.append(" ")
        text.append("\n")
    return text
