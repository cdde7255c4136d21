"""``ganbench status``: how far the runs of another terminal are."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ganbench.cli.base import command, console, echo
from ganbench.cli.options import Runs
from ganbench.errors import GanbenchError, plural
from ganbench.plain import plain_line
from ganbench.runs.board import OVER, Board, RunState, State, boards_in
from ganbench.runs.estimate import duration
from ganbench.runs.executors.log import LOG

BAR = 20
COLOURS: dict[State, str] = {
    "error": "red",
    "lost": "red",
    "refused": "yellow",
    "timeout": "yellow",
    "diverged": "yellow",
}
UNDER_WAY: tuple[State, ...] = ("running", "judging")


@command("status")
def status(
    runs: Runs = Path("runs"),
    watch: Annotated[bool, typer.Option("--watch", help="Keep updating until all runs have ended.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which runs are in progress, how far they are, which failed and why, and how long the rest will take."""
    boards = boards_in(runs)
    if not boards:
        raise GanbenchError(
            f"no runs were started in {runs}", "give the folder of `ganbench run --out`: ganbench status --runs DIR"
        )
    if as_json:
        echo(msgspec.json.format(msgspec.json.encode(boards), indent=1).decode())
        return
    terminal = console()
    if not watch or not terminal.is_terminal:
        terminal.print(_view(boards))
        return
    with Live(_view(boards), console=terminal, refresh_per_second=2) as live:
        while any(board.is_alive for board in boards):
            time.sleep(1)
            boards = boards_in(runs)
            live.update(_view(boards))


def _view(boards: list[Board]) -> RenderableType:
    parts: list[RenderableType] = []
    for board in boards:
        parts += [_heading(board), _runs(board), *_failures(board)]
    return Group(*parts)


def _heading(board: Board) -> Text:
    """One line: how many runs are done, what the others do, and the time left."""
    count = Counter(run.state for run in board.runs)
    done = count["ok"]
    states: tuple[State, ...] = (*UNDER_WAY, *COLOURS, "interrupted", "waiting")
    others = [f"{count[state]} {state}" for state in states if count[state]]
    line = Text.assemble((board.protocol, "bold"), f": {done} of {plural(len(board.runs), 'run')} done")
    line.append(f", {', '.join(others)}" if others else "")
    if not board.is_alive:
        line.append(
            "" if board.ended and all(run.state in OVER for run in board.runs) else _how_it_stopped(board), "yellow"
        )
    elif board.left is not None:
        line.append(f"; {duration(board.left)} left, {board.workers} at a time")
    return line


def _how_it_stopped(board: Board) -> str:
    if board.ended:
        return "; the command has ended: the same command runs what is left"
    where = f"process {board.process} on {plain_line(board.machine)}"
    return f"; {where} is gone: the same command resumes the rest"


def _runs(board: Board) -> Table:
    """A line for each run that is under way."""
    table = Table.grid(padding=(0, 1, 0, 0))
    for run in board.runs if board.is_alive else ():
        if run.state in UNDER_WAY:
            score = "" if run.score is None else f"{run.headline} {run.score:.3g}"
            bar = ProgressBar(total=1.0, completed=run.share, width=BAR)
            facts = run.state if run.state == "judging" else run.reason
            table.add_row(
                Text(f"  {plain_line(run.key)}"), bar, f"{run.share:.0%}", score, Text(plain_line(facts), "dim")
            )
    return table


def _failures(board: Board) -> list[Text]:
    """A line for each run that did not end well, with the place of its log."""
    return [
        Text.assemble((f"  {run.state}: ", COLOURS[run.state]), plain_line(f"{run.key}: {run.reason}"), _log_of(run))
        for run in board.runs
        if run.state in COLOURS
    ]


def _log_of(run: RunState) -> str:
    log = Path(run.folder, LOG)
    return f" ({plain_line(str(log))})" if log.exists() else ""
