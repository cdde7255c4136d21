"""A table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from ganbench.errors import plural
from ganbench.leaderboards.cells import Key, ScoreOf, headings_of, is_number
from ganbench.leaderboards.entries import YardstickEntry
from ganbench.leaderboards.footnotes import footnotes_of, short_notes
from ganbench.leaderboards.layout import Layout, fold, lay_out
from ganbench.leaderboards.ranking import centre_of, sign_of
from ganbench.leaderboards.rows import PARTS, Row
from ganbench.leaderboards.table import Table
from ganbench.plain import plain_line

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

BEST, OWN_ROW, FAILED = "bold green", "cyan", "red"


def to_rich(table: Table, width: int | None = None, *, noises: bool = False, explain: bool = False) -> Group:
    """A table for the terminal: its parts, separated by lines, with notes below.

    If not every column fits into ``width`` characters, the least informative ones are left out, and a note names them.
    ``noises`` adds the columns of noise between seeds and between evaluations, ``explain`` the full footnotes.
    """
    from rich.console import Group
    from rich.text import Text

    layout = lay_out(table, width, noises=noises)
    title = Text(plain_line(f"{table.name}, {plural(len(table.seeds), 'seed')}, digest {table.digest}"), "bold")
    notes = _notes(table, layout, noises=noises, explain=explain)
    return Group(title, Text(), to_rich_table(table, layout), Text("\n".join(["", *map(plain_line, notes)])))


def to_rich_table(table: Table, layout: Layout) -> RichTable:
    """The table without its notes, in a given layout."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, width=layout.width)
    shown.padding = (0, layout.gap - 1, 0, 0)
    for key, heading in layout.headings.items():
        column = Text("\n".join(fold(heading, layout.widths[key])))
        side: Literal["left", "right"] = "right" if is_number(table, key) else "left"
        shown.add_column(column, justify=side, width=layout.widths[key], no_wrap=True, overflow="fold")
    ends = {part[-1].key for part in map(table.rows_of, PARTS) if part}
    best = {key: _best(table, key) for key in layout.headings}
    for row in table.rows:
        cells = layout.cells[row.key]
        texts = [_cell(table, row, key, cells, layout.widths[key], best[key]) for key in layout.headings]
        style = "dim" if row.trouble else "italic" if isinstance(row.entry, YardstickEntry) else ""
        shown.add_row(*texts, style=style, end_section=row.key in ends)
    return shown


def _cell(table: Table, row: Row, key: Key, cells: Mapping[Key, str], width: int, best: float | None) -> Text:
    from rich.text import Text

    style = ""
    if key == "ok" and row.trouble:
        style = FAILED
    elif key == "arch" and table.mixed and row.here:
        style = OWN_ROW
    elif best is not None and _may_be_best(row) and _value(row, key) == best:
        style = BEST
    return Text("\n".join(fold(cells.get(key, ""), width)), style)


def _may_be_best(row: Row) -> bool:
    return row.part == "ranked" and row.kind == "entry"


def _value(row: Row, key: Key) -> float | None:
    if isinstance(key, ScoreOf):
        return centre_of(row, row.scores[key.name]) if key.name in row.scores else None
    return row.costs.get(key) if row.timing else None


def _best(table: Table, key: Key) -> float | None:
    """The best value of a column among complete rows; None without two of them, or if no direction is better."""
    if isinstance(key, ScoreOf):
        column = table.columns.get(key.name)
        sign = sign_of(column) if column and column.goal != "info" else 0
    else:
        sign = -1 if key == "samples/s" else 0
    values = [value for row in table.rows if _may_be_best(row) and (value := _value(row, key)) is not None]
    return min(values, key=lambda value: sign * value) if sign and len(values) > 1 else None


def _notes(table: Table, layout: Layout, *, noises: bool, explain: bool) -> list[str]:
    """Notes on the cells, on failures, on records left out, and on columns that do not fit."""
    gone = [key for key in headings_of(table, "ranked", noises=noises) if key not in layout.headings]
    gone = [key for key in gone if not (key == "loss" and layout.shape.joined)]
    explained = (
        footnotes_of(table, gone, noises=noises)
        if explain
        else short_notes(table, layout.headings, intervals=layout.shape.intervals)
    )
    notes = [*explained, *table.failures, *table.collapses, *table.left_out, *table.notes]
    if gone:
        names = [key.name if isinstance(key, ScoreOf) else key for key in gone]
        names = [table.label(name) if name in table.columns else name for name in names]
        notes.append(f"not shown for lack of width: {', '.join(names)}")
    return notes
