"""What ``ganbench show`` prints about a row: a line for each seed, and a summary."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ganbench.contracts.protocol import Protocol
from ganbench.contracts.score_name import short_name
from ganbench.errors import GanbenchError
from ganbench.leaderboards.cells import DASH, ScoreOf, cells_of, number
from ganbench.leaderboards.layout import fold
from ganbench.leaderboards.table import build
from ganbench.plain import plain_line
from ganbench.plugins.protocols import load_protocol
from ganbench.records.collapse import collapses_of
from ganbench.records.record import Record, TrainingRecord
from ganbench.runs.ongoing import sparkline

SCORES = 4
"""Score columns; ``--all`` prints the others."""
HEADING = 12
"""In characters; longer headings are folded."""


def print_summary(records: Sequence[Record], terminal: Console) -> None:
    """Print the seeds of one row."""
    first = records[0]
    table = build(records, _rules(first))
    (row, *_) = table.rows
    names = table.shown[:SCORES]
    title = Text.assemble((plain_line(table.title(row)), "bold"), f" on {plain_line(first.protocol)}: ")
    terminal.print(title.append(row.verdict, "red" if row.trouble else "green"))
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("seed", justify="right")
    for name in names:
        shown.add_column("\n".join(fold(table.label(name), HEADING)), justify="right", no_wrap=True)
    shown.add_column("during training", no_wrap=True)
    shown.add_column("", overflow="fold")
    for record in sorted(records, key=lambda record: record.seed):
        scores = [number(record.scores[name]) if name in record.scores else DASH for name in names]
        shown.add_row(str(record.seed), *scores, _curve(record), _trouble(record), end_section=record is records[-1])
    cells = cells_of(table, row, intervals=False)
    shown.add_row("all", *(cells[ScoreOf(name)] for name in names), "", "", style="bold")
    terminal.print(shown)
    headline = cells_of(table, row)[ScoreOf(table.headline)]
    what = "median (smallest to largest)" if row.trouble else "mean over seeds [95 % interval]"
    terminal.print(f"{table.label(table.headline)} {headline}: {what}")
    for line in _costs(records):
        terminal.print(line)
    terminal.print("--all prints every score, recipe, cost and hash of each seed", style="dim")


def _rules(record: Record) -> Protocol | None:
    """The record's rules, if they are installed."""
    with suppress(GanbenchError):
        rules = load_protocol(record.protocol)
        return rules if rules.digest == record.digest else None
    return None


def _curve(record: Record) -> str:
    looks = [look.score for look in record.curve] if isinstance(record, TrainingRecord) else []
    return f"{short_name(record.headline)} {sparkline(looks)}" if looks else ""


def _trouble(record: Record) -> str:
    if record.status != "ok":
        return f"{record.status}: {record.reason}"
    return "; ".join(way.told for way in collapses_of(record))


def _costs(records: Sequence[Record]) -> list[str]:
    """Lines on what the runs cost and where they ran."""
    trained = [record for record in records if isinstance(record, TrainingRecord) and record.cost.images]
    if not trained:
        return []
    seconds = [record.cost.train_cpu_seconds or record.cost.train_seconds for record in trained]
    kind = "CPU s" if all(record.cost.train_cpu_seconds for record in trained) else "s"
    parameters = ", ".join(f"{who} {count:,}" for who, count in trained[0].parameters.items())
    machines = ", ".join(dict.fromkeys(record.environment.machine for record in trained))
    return [
        f"training: {min(seconds):.0f} to {max(seconds):.0f} {kind} per seed, {trained[0].cost.images:,} samples each",
        f"parameters: {parameters}; D normalisation: {trained[0].d_norm}",
        plain_line(f"on {machines}"),
    ]
