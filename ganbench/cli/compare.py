"""``ganbench compare``: compare two rows of a leaderboard, or two folders of runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.table import Table as RichTable
from rich.text import Text

from ganbench.cli import completion
from ganbench.cli.base import command, complain, console, echo
from ganbench.cli.options import Runs
from ganbench.errors import GanbenchError, PluginError, RecordError, meant
from ganbench.leaderboards.published import installed_source, rules_of
from ganbench.records.record import Record
from ganbench.records.store import read_all
from ganbench.runs.plan import DEFAULT_PROTOCOL

if TYPE_CHECKING:
    from ganbench.leaderboards.comparison import Comparison
    from ganbench.leaderboards.gathering import Gathered
    from ganbench.leaderboards.ranking import Standing
    from ganbench.leaderboards.rows import Row
    from ganbench.leaderboards.table import Table


@command("compare")
def compare(
    a: Annotated[
        str,
        typer.Argument(metavar="A", help="A row, e.g. dcgan+r1, or a folder of runs.", autocompletion=completion.rows),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="Another row or folder.", autocompletion=completion.rows)],
    protocol: Annotated[
        str,
        typer.Option(
            help=f"The rows' protocol. Default: {DEFAULT_PROTOCOL}, or the protocol of the folders' runs.",
            autocompletion=completion.protocols,
        ),
    ] = "",
    metric: Annotated[str, typer.Option(help="The column to compare by. Default: the headline.")] = "",
    runs: Runs = Path("runs"),
    published: Annotated[bool, typer.Option(help="Search published rows too.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print every number as JSON.")] = False,
) -> None:
    """Say which of two rows is better, by how much, how certain that is, and how many seeds would settle it."""
    from ganbench.leaderboards.comparison import Contender
    from ganbench.leaderboards.comparison import compare as compare_rows

    lost = list[RecordError]()
    folders = [_records_of(text, lost) for text in (a, b)]
    among = _gathered(protocol, [record for folder in folders for record in folder or ()], runs, published)
    (first, table), (other, _) = (_row(text, folder, among) for text, folder in zip((a, b), folders, strict=True))
    if first.records == other.records:
        raise GanbenchError(f"'{a}' and '{b}' are the same row", "give two different ones")
    column = table.column(metric) if metric else table.headline
    if column not in table.columns:
        raise GanbenchError(f"no run of {a} has a score", "see `ganbench leaderboard`")
    label, standing = table.label(column), _standing((first, other), column, among)
    found = compare_rows(Contender(first, a), Contender(other, b), column, table.columns[column], label, standing)
    if as_json:
        echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    else:
        _print(found)
    for error in lost:
        complain(error)
    if lost:
        raise typer.Exit(2)


def _records_of(text: str, lost: list[RecordError]) -> list[Record] | None:
    """The records in a run's folder, or in the folder above its seeds; None if ``text`` names a row.

    The errors of unreadable records are appended to ``lost``.

    Raises:
        GanbenchError: there are no records, or none can be read.
    """
    path = Path(text)
    files = [path] if path.is_file() else [*path.glob("record.json"), *path.glob("*/record.json")]
    if not files and (path.is_absolute() or "/" in text or os.sep in text):
        what = "holds no runs" if path.is_dir() else "does not exist"
        raise GanbenchError(f"{text} {what}", "give a row, or a folder like runs/digits-16-v2/dcgan+wgan-gp")
    records, errors = read_all(files)
    if errors and not records:
        raise errors[0]
    lost += errors
    return records or None


def _gathered(protocol: str, given: Iterable[Record], runs: Path, published: bool) -> Gathered:
    """The records in which rows are looked up by name. Unreadable ones are reported."""
    from ganbench.leaderboards.gathering import gather_records

    name = protocol or next((record.protocol for record in given), DEFAULT_PROTOCOL)
    try:
        rules = rules_of(name, runs)
    except PluginError:
        if protocol or name == DEFAULT_PROTOCOL:
            raise
        rules = None  # the folders hold everything needed
    found = gather_records(name, rules, runs, published=published)
    for error in found.errors:
        complain(error)
    return found


def _standing(rows: tuple[Row, Row], column: str, among: Gathered) -> Standing | None:
    """The ranking that contains both rows: that of the whole table, or else that of the local runs alone."""
    for table in (_whole(among), _whole(among._replace(published=[]))):
        standing = table.standing(column) if table is not None else None
        ranked = [row.records for row in standing.rows] if standing is not None else []
        if all(row.records in ranked for row in rows):
            return standing
    return None


def _whole(among: Gathered) -> Table | None:
    """The table that `ganbench leaderboard` prints; None if there are no records."""
    from ganbench.leaderboards.table import build

    if not among.local and not among.published:
        return None
    return build(among.local, among.rules, published=among.published, installed=installed_source)


def _row(text: str, folder: list[Record] | None, among: Gathered) -> tuple[Row, Table]:
    """The row that ``text`` names, and its table.

    Raises:
        GanbenchError: there is no such row, or the folder holds several.
    """
    from ganbench.leaderboards.admission import judged_by
    from ganbench.leaderboards.table import build

    if folder is None:
        whole = _whole(among)
        if whole is None:
            raise RecordError(f"there are no records, so there is no row '{text}'", "see `ganbench leaderboard`")
        return _named(text, whole), whole
    same = among.rules is not None and all(record.digest == among.rules.digest for record in folder)
    alike = [record for record in among.published if judged_by(record) == judged_by(folder[0])]
    rules, published = (among.rules, alike) if same else (None, [])
    table = build(folder, rules, published=published, installed=installed_source)
    mine = [row for row in table.rows if row.here]
    if len(mine) != 1:
        titles = ", ".join(table.title(row) for row in mine)
        why = f"holds {len(mine)} rows: {titles}" if mine else f"has nothing to compare: {'; '.join(table.left_out)}"
        raise GanbenchError(f"{text} {why}", "give the folder of one row, e.g. runs/digits-16-v2/dcgan+wgan-gp")
    return mine[0], table


def _named(text: str, table: Table) -> Row:
    """The row with that title. If a published row and a local one share it, the row that the leaderboard ranks."""
    titles = {table.title(row): row for row in reversed(table.rows)}  # reversed so that the ranked row, the first, wins
    for title, row in titles.items():
        if text.replace(" ", "+") == title.replace(" ", "+"):
            return row
    known = ", ".join(dict.fromkeys(table.title(row) for row in table.rows))
    hint = "; ".join([f"rows: {known or 'none'}", *table.left_out])
    raise GanbenchError(f"no row of {table.name} is called '{text}'{meant(text, titles)}", hint)


# -- what is printed -----------------------------------------------------------------------------------------


def _print(found: Comparison) -> None:
    terminal = console()
    better = "lower is better" if found.goal == "min" else "higher is better"
    terminal.print(Text(f"{found.protocol}, {found.label} ({better})\n", style="bold"))
    terminal.print(_methods(found))
    terminal.print(_answers(found))
    terminal.print(Text(found.verdict, style="bold"))
    for note in found.notes:
        terminal.print(Text(f"* {note}", style="dim"))


def _methods(found: Comparison) -> RichTable:
    """A table of both summaries and of every run's score."""
    from ganbench.leaderboards.cells import DASH, extremes, interval
    from ganbench.leaderboards.comparison import precise

    def known(value: float | None) -> str:
        return DASH if value is None else precise(value)

    sides = found.a, found.b
    table = _plain("", *(side.name for side in sides))
    mean = "geometric mean" if found.a.summary.log and found.b.summary.log else "mean"
    centres = (f"median {extremes(side.summary)}" if side.trouble else interval(side.summary) for side in sides)
    told = "score" if any(side.trouble for side in sides) else f"{mean} [95 % interval]"
    table.add_row(told, *centres)
    if found.in_table and found.in_table.ranks:
        table.add_row("rank", *(f"{rank} of {found.in_table.entries}" for rank in found.in_table.ranks))
    table.add_row("sd between seeds", *(known(side.summary.sd) for side in sides))
    table.add_row("sd of one evaluation", *(f"{known(side.noise)} ({side.draws} per run)" for side in sides))
    table.add_row("runs", *(side.runs for side in sides))
    for seed in sorted({*found.a.values, *found.b.values}):
        table.add_row(f"seed {seed}", *(known(side.values.get(seed)) for side in sides))
    table.add_row("")
    return table


def _answers(found: Comparison) -> RichTable:
    from ganbench.leaderboards.cells import number
    from ganbench.leaderboards.comparison import apart_text, p_value
    from ganbench.leaderboards.differences import MOST_SEEDS

    def bare(p: float) -> str:
        return p_value(p).removeprefix("p ").removeprefix("= ")

    apart, chance = found.difference, found.chance
    table = _plain("", "A against B")
    if apart is not None:
        what, _, ends = apart_text(apart).partition(" ")
        table.add_row(f"{what.replace('ratio', 'ratio of geometric means')} [95 % interval]", ends)
    table.add_row("test", found.test)
    if apart is not None:
        table.add_row("p of this pair alone", bare(apart.p))
    if found.in_table:
        table.add_row(f"p adjusted for {found.in_table.family}", bare(found.in_table.adjusted))
    table.add_row(
        "chance that a run of A beats one of B", f"{chance.estimate:.2f} [{chance.low:.2f}, {chance.high:.2f}]"
    )
    if apart is not None:
        more = {0: "none: it is settled", None: f"more than {MOST_SEEDS}: call it a tie"}.get(found.more_seeds)
        effect = (
            "none: no spread" if apart.effect is None else f"{number(apart.effect)} standard deviations (Hedges' g)"
        )
        table.add_row("size of the difference", effect)
        table.add_row("seeds still needed, each", more or str(found.more_seeds))
    table.add_row("")
    return table


def _plain(*headings: str) -> RichTable:
    table = RichTable(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in headings:
        table.add_column(Text(heading), overflow="fold")
    return table
