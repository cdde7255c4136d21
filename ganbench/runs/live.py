"""Show runs in progress in a terminal that can redraw: a total bar, one bar per run, and the current samples."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ganbench.contracts.executor import Event
from ganbench.runs.display import Display, PlainDisplay
from ganbench.runs.notebook import NotebookDisplay
from ganbench.runs.ongoing import OngoingDisplay
from ganbench.runs.plan import Plan

if TYPE_CHECKING:
    from ganbench.report.pictures import Pixels

BAR, SHORT_BAR = 20, 8
WIDE_ENOUGH = 60
"""Width in characters from which samples are drawn."""
ROOMY = 100
"""Width in characters from which losses and speed are shown beside a run."""


def make_display(console: Console, plan: Plan, quiet: bool) -> Display:
    """The display that suits the output: none, a notebook's, a live view, or plain lines."""
    if quiet:
        return Display()
    if console.is_jupyter:
        return NotebookDisplay(console, plan)
    can_redraw = console.is_terminal and not console.is_dumb_terminal
    return LiveDisplay(console, plan) if can_redraw else PlainDisplay(console, plan)


class LiveDisplay(OngoingDisplay):
    """Shows the time left and, for each run, its share, headline so far, losses, and samples in half blocks."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self.live = Live(console=console, refresh_per_second=4, transient=True)
        super().__init__(console, plan)

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.live.stop()

    def show(self, event: Event) -> None:
        """Show an executor's event, redrawing in place."""
        super().show(event)
        self.live.update(self.view())

    def view(self) -> RenderableType:
        """Everything, no taller than the terminal."""
        width, room = self.console.width, max(1, self.console.height - 1)
        bar = BAR if width >= ROOMY else SHORT_BAR
        lines = Table.grid(padding=(0, 1, 0, 0))
        lines.add_column(no_wrap=True, overflow="ellipsis")
        lines.add_column(width=bar, no_wrap=True)
        lines.add_column(width=5, justify="right", no_wrap=True)
        lines.add_column(no_wrap=True, overflow="ellipsis", style="dim")
        whole, *runs = self.lines(roomy=width >= ROOMY)
        for line in [whole, *runs][:room]:
            name = Text(line.name, "bold" if line is whole else "")
            lines.add_row(
                name, ProgressBar(total=1.0, completed=line.share, width=bar), f"{line.share:.0%}", line.facts
            )
            room -= 1
        views: list[RenderableType] = [lines]
        for pixels in self.pictures.values() if width >= WIDE_ENOUGH else ():
            drawn = half_blocks(pixels, width)
            if (rows := drawn.plain.count("\n") + 1) > room:
                break
            views.append(drawn)
            room -= rows
        return Group(*views)


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
