"""How runs in progress are shown: in a live view on a terminal, in plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, assert_never

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.style import Style
from rich.text import Text

from ganbench.contracts.executor import (
    Done,
    Event,
    Fits,
    Judging,
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
from ganbench.runs.plan import Plan

if TYPE_CHECKING:
    from ganbench.report.pictures import Pixels

LOSSES = {"d_loss": "D", "g_loss": "G"}
WIDE_ENOUGH = 60
MORE_SCORES = 2
"""How many of the scores that the protocol shows are printed beside the headline at the end of a run."""


def make_display(console: Console, plan: Plan, quiet: bool) -> Display:
    """The display that suits the output: nothing, a live view, or plain lines."""
    if quiet:
        return Display()
    return LiveDisplay(console, plan) if _can_redraw(console) else PlainDisplay(console, plan)


def _can_redraw(console: Console) -> bool:
    """A terminal can, and so can a notebook with widgets."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


class Display:
    """Shows nothing; the others build on it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    def show(self, event: Event) -> None:
        """Show an event."""

    def say(self, text: str) -> None:
        """Print a line that stays."""


class PlainDisplay(Display):
    """One line at the start, at quarters and at the end of every run."""

    def __init__(self, console: Console, plan: Plan) -> None:
        evaluation = plan.protocol.evaluation
        others = [name for name in evaluation.shown if name != evaluation.headline]
        self.console, self.columns = console, (evaluation.headline, *others[:MORE_SCORES])
        self.quarter: dict[str, int] = {}
        self.began: dict[str, float] = {}
        self.yardsticks = {job.key for job in plan.yardsticks}
        self.say(_opening(plan))

    def say(self, text: str) -> None:
        """Print a line of plain text."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(self, event: Event) -> None:
        """Show what an executor has yielded."""
        match event:
            case Started():
                self.began[event.key] = time.monotonic()
            case Resumed():
                self.say(f"{event.key}: resumes at {event.kimg:g} of {event.budget:g} kimg")
            case Waiting():
                self.say(f"{event.key}: another process is working on this run; waiting for it")
            case Progress():
                self.tick(event)
            case Done():
                if event.key not in self.yardsticks or event.status != "ok":
                    seconds = time.monotonic() - self.began.get(event.key, time.monotonic())
                    self.say(_closing(event, self.columns, seconds))
            case Picture() | Judging() | Fits() | Refused() | Stopping():
                pass
            case _:
                assert_never(event)

    def tick(self, event: Progress) -> None:
        """Show how far a run is."""
        quarter = int(event.share * 4)
        if quarter > self.quarter.get(event.key, 0) and quarter < 4:
            self.quarter[event.key] = quarter
            self.say(f"{event.key}: {quarter * 25} %, {_speed(event)}, {_losses(event)}")


class LiveDisplay(PlainDisplay):
    """Progress and ETA per run, images/s, losses, and the current samples in half-block characters."""

    def __init__(self, console: Console, plan: Plan) -> None:
        bar = BarColumn(bar_width=24)
        self.runs = Bars(
            TextColumn("{task.description}", "bold", markup=False), bar, TextColumn("{task.percentage:3.0f} %"),
            TimeRemainingColumn(), TextColumn("{task.fields[facts]}", "dim", markup=False), console=console,
        )  # fmt: skip
        self.whole = Bars(
            TextColumn("{task.description}"), bar, MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self.total = self.whole.add_task("all runs", total=len(plan.jobs), completed=len(plan.finished))
        self.tasks: dict[str, Any] = {}
        self.pictures: dict[str, Pixels] = {}
        self.live = Live(self._view(), console=console, refresh_per_second=6, transient=True)
        super().__init__(console, plan)

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.live.stop()

    def show(self, event: Event) -> None:
        """Show what an executor has yielded, in place where it replaces what was shown before."""
        super().show(event)
        match event:
            case Started():
                self.tasks[event.key] = self.runs.add_task(event.key, total=1.0, facts="")
            case Picture():
                self.pictures[event.key] = event.pixels
            case Judging():
                self.runs.update(self.tasks[event.key], completed=1.0, facts="judging")
            case Done() | Refused():
                self.pictures.pop(event.key, None)
                if event.key in self.tasks:
                    self.runs.remove_task(self.tasks.pop(event.key))
                self.whole.advance(self.total)
            case Resumed() | Waiting() | Progress() | Fits() | Stopping():
                pass
            case _:
                assert_never(event)
        self.live.update(self._view())

    def tick(self, event: Progress) -> None:
        """Move the bar of a run."""
        facts = f"{_speed(event)}  {_losses(event)}"
        self.runs.update(self.tasks[event.key], completed=event.share, facts=facts)

    def _view(self) -> RenderableType:
        views: list[RenderableType] = [self.whole, self.runs]
        width = self.runs.console.width
        if width >= WIDE_ENOUGH and self.pictures:
            room = max(1, (self.runs.console.height - 6 - len(self.tasks)) // 10)
            views += [half_blocks(pixels, width) for pixels in list(self.pictures.values())[:room]]
        return Group(*views)


def half_blocks(pixels: Pixels, width: int) -> Text:
    """Images ``[n, H, W, 3]`` side by side, as many as fit, two pixels to a character."""
    n, height, breadth, _ = pixels.shape
    shown = pixels[: max(1, min(n, width // (breadth + 1)))]
    text = Text()
    for y in range(0, height - 1, 2):
        for image in shown:
            for x in range(breadth):
                upper, lower = (f"#{r:02x}{g:02x}{b:02x}" for r, g, b in (image[y, x], image[y + 1, x]))
                text.append("▀", Style(color=upper, bgcolor=lower))
            text.append(" ")
        text.append("\n")
    return text


KEPT = " (record.old.json and checkpoint.old.pt keep what was finished)"


def _opening(plan: Plan) -> str:
    protocol, runs, finished = plan.protocol, plan.runs, len(runs_among(plan.finished))
    if runs:
        what = f"{plural(len(runs), 'run')} of {runs[0].protocol.training.budget_kimg:g} kimg"
    else:
        what = plural(len(plan.jobs), "yardstick")
    text = f"{protocol.name} ({protocol.digest}): {what} on {protocol.dataset}"
    if finished:
        text += f"; {finished} already finished (--force repeats them)"
    for version, number in plan.older.items():
        text += f"; {number} made by ganbench {version} are kept as results of that version"
    for change, number in plan.changes.items():
        text += f"; {_repeated(number)}, as {change}{KEPT if number else ''}"
    if plan.leftovers:
        text += "; what an earlier start under other rules left is replaced, as nothing was trained in it"
    return text


def _repeated(runs: int) -> str:
    return f"{runs} run{'s are' if runs > 1 else ' is'} repeated" if runs else "yardsticks are scored again"


def _closing(event: Done, columns: Sequence[str], seconds: float) -> str:
    if event.status != "ok":
        return f"{event.key}: {event.status}: {event.reason}"
    scores = {short_name(name): value for name, value in event.scores.items()}
    text = ", ".join(f"{name} {scores[name]:.4g}" for name in columns if name in scores)
    return f"{event.key}: {text} ({seconds:.0f} s)"


def _speed(event: Progress) -> str:
    return f"~{event.rate:,.0f} img/s"


def _losses(event: Progress) -> str:
    return "  ".join(f"{short} {event.losses[name]:.3g}" for name, short in LOSSES.items() if name in event.losses)
