"""Show runs in progress in a notebook: one output of the cell is redrawn, with or without ipywidgets."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from rich.console import Console

from ganbench.contracts.executor import Event, Progress
from ganbench.plain import as_html, plain_line
from ganbench.runs.ongoing import Line, OngoingDisplay
from ganbench.runs.plan import Plan

EVERY = 0.5
"""Seconds between updates of the bars, since browsers and networks need time."""

LEFT = "<td style='text-align: left'>"


class NotebookDisplay(OngoingDisplay):
    """Shows the lines that stay and, below them, bars and samples while there is work."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self.said: list[str] = []
        self.shown = 0.0
        self.handle: Any = None  # IPython's, of the output that is redrawn
        super().__init__(console, plan)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._draw(log_of(self.said))

    def say(self, text: str) -> None:
        """Add a line that stays."""
        self.said.append(plain_line(text))
        self._draw(self.view())

    def show(self, event: Event) -> None:
        """Show an executor's event; bars are updated only now and then."""
        due = not isinstance(event, Progress) or time.monotonic() - self.shown >= EVERY
        super().show(event)
        if due:
            self._draw(self.view())

    def view(self) -> str:
        """Everything, as HTML."""
        samples = ""
        if self.pictures:
            from ganbench.report.canvas import grid  # imports Pillow, which plain lines do not need
            from ganbench.report.inline import picture_pixels

            rows = [grid(pixels, columns=len(pixels)) for pixels in self.pictures.values()]
            samples = "".join(f'<div><img src="{picture_pixels(row)}" alt="samples"></div>' for row in rows)
        return log_of(self.said) + bars_of(self.lines(roomy=True)) + samples

    def _draw(self, html: str) -> None:
        from IPython.display import display

        bundle = {"text/html": f"<div>{html}</div>", "text/plain": "\n".join(self.said)}
        self.shown = time.monotonic()
        if self.handle is None:
            self.handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # IPython has no annotations here
        else:
            self.handle.update(bundle, raw=True)


def log_of(lines: Iterable[str]) -> str:
    """The lines verbatim, scrolled to the last ones."""
    text = "\n".join(map(as_html, lines))
    style = "display: flex; flex-direction: column-reverse; max-height: 16em; overflow-y: auto; margin: 0"
    return f'<div style="{style}"><pre style="white-space: pre-wrap; margin: 0">{text}</pre></div>'


def bars_of(lines: Iterable[Line]) -> str:
    """A bar for each line, between its name and its facts."""
    rows = (
        f"<tr>{LEFT}{as_html(line.name)}</td>"
        f"<td><progress max='1' value='{line.share:.3f}'></progress></td><td>{line.share:.0%}</td>"
        f"{LEFT}{as_html(line.facts)}</td></tr>"
        for line in lines
    )
    return f"<table>{''.join(rows)}</table>"
