"""Bars for long work, such as preparations and downloads, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn

from ganbench.contracts.progress import shown_by
from ganbench.plain import plain_line


@contextmanager
def progress_on(terminal: Console, *counts: ProgressColumn) -> Iterator[None]:
    """Show a bar with the columns ``counts`` for each piece of long work in the block, if this is a terminal."""
    bars: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *counts, TimeRemainingColumn())
    with Progress(*columns, console=terminal, disable=not terminal.is_terminal, transient=True) as progress:

        def show(what: str, done: int, pieces: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(plain_line(what))
            progress.update(bars[what], completed=done, total=pieces or None)

        with shown_by(show):
            yield
