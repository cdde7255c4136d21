"""A table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from ganbench.errors import plural
from ganbench.leaderboards.cells import (
    EVALUATION_SD,
    SEED_SD,
    Key,
    ScoreOf,
    cells_of,
    footnotes_of,
    headings_of,
    is_number,
)
from ganbench.leaderboards.entries import PlayerUsed, RunEntry, YardstickEntry
from ganbench.leaderboards.rows import PARTS
from ganbench.leaderboards.table import KIMG_TO_TARGET, SECONDS_TO_TARGET, Table
from ganbench.plain import plain_line

if TYPE_CHECKING:
    from rich.table import Table as RichTable

NARROWEST = 10
"""Characters that a name keeps in a narrow terminal."""


def to_rich(table: Table, width: int | None = None, *, noises: bool = False) -> RichTable:
    """For the terminal: the parts of the table, divided by lines, and footnotes as the caption.

    If ``width`` characters are too few for every column, the least telling ones are dropped, and a footnote says so.
    """
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    cells = {row.key: cells_of(table, row) | {"here": "here" if row.here else ""} for row in table.rows}
    cells = {row: {key: plain_line(text) for key, text in texts.items()} for row, texts in cells.items()}
    mixed = {row.here for row in table.rows} == {True, False}
    headings = headings_of(table, "ranked", noises=noises) | ({"here": ""} if mixed else {})
    headings = {key: plain_line(text) for key, text in headings.items()}
    widths = {key: _narrowest(table, key, text, cells.values()) for key, text in headings.items()}
    dropped = _too_many(widths, width, table)
    for name in ("loss", "arch"):  # names fold before figures are cut off, and settings have what room is left
        longest = max(len(cell.get(name, "")) for cell in cells.values()) if cells else 0
        widths[name] = min(max(NARROWEST, widths[name] + _left(widths, dropped, width)), max(longest, len(name)))
    for name in ("ok", "rank"):
        if _left(widths, dropped, width) < 0:
            dropped.append(name)
    notes = [
        *footnotes_of(table, dropped, noises=noises),
        *table.failures,
        *table.collapses,
        *table.left_out,
        *table.notes,
    ]
    if dropped:
        gone = [text for key, text in headings.items() if key in dropped]
        notes.append(f"not shown for lack of width: {', '.join(gone)}")
    title = Text(plain_line(f"{table.name}, {plural(len(table.seeds), 'seed')}, digest {table.digest}"))
    caption = Text("\n".join(map(plain_line, notes)))
    shown = RichTable(title=title, caption=caption, title_justify="left", caption_justify="left")
    shown.box, shown.padding = box.SIMPLE_HEAD, (0, 1, 0, 0)
    keys = [key for key in headings if key not in dropped]
    for key in keys:
        side: Literal["left", "right"] = "right" if is_number(table, key) else "left"
        fits = all(len(texts.get(key, "")) <= widths[key] for texts in cells.values())
        # without upper limits, rich would shorten columns that cannot fold, and widen the caption beyond the terminal
        most = None if fits or width is None else max(widths[key], len(headings[key]))
        shown.add_column(
            Text(headings[key]), justify=side, min_width=widths[key], max_width=most, no_wrap=fits, overflow="fold"
        )
    ends = {part[-1].key for part in map(table.rows_of, PARTS) if part}
    for row in table.rows:
        style = "dim" if row.trouble else "italic" if isinstance(row.entry, YardstickEntry) else ""
        texts = [Text(cells[row.key].get(key, "")) for key in keys]
        shown.add_row(*texts, style=style, end_section=row.key in ends)
    return shown


def _narrowest(table: Table, key: Key, heading: str, cells: Iterable[Mapping[Key, str]]) -> int:
    """Characters that a column needs; long names, changes and reasons may wrap between words."""
    texts = [heading, *(cell.get(key, "") for cell in cells)]
    if key == "loss":
        changes = [word for text in texts for word in text.split()]
        entries = [row.entry for row in table.rows if isinstance(row.entry, RunEntry)]
        texts = [heading, *(table.component(PlayerUsed("loss", entry.loss)) for entry in entries), *changes]
    if key == "ok":
        texts = [word for text in texts for word in text.split()]
    longest = max(map(len, texts), default=0)
    return min(longest, 24) if key in ("arch", "loss", "device") else longest


def _too_many(widths: Mapping[Key, int], width: int | None, table: Table) -> list[Key]:
    """Columns to drop so that the others fit, the least telling first.

    What the user chose or sorted by goes last, and arch, loss, headline and ok always stay.
    """
    scores = [key for key in widths if isinstance(key, ScoreOf)][:0:-1]
    extras = [key for key in (SECONDS_TO_TARGET, KIMG_TO_TARGET, table.best_label) if key in widths]
    noises = [key for key in (EVALUATION_SD, SEED_SD) if key in widths]
    order: list[Key] = [
        "D norm",
        "params G/D",
        *extras,
        *noises,
        *([] if table.chosen else scores),
        "images/s",
        "device",
    ]
    order += scores if table.chosen else []
    # stable: the rest keep their order
    order.sort(key=lambda key: key in (table.sorted_by, ScoreOf(table.sorted_by)))
    dropped: list[Key] = []
    for key in order:
        if _left(widths, dropped, width) >= 0:
            break
        dropped += [key] if key in widths else []
    return dropped


def _left(widths: Mapping[Key, int], dropped: Sequence[Key], width: int | None) -> int:
    """How many characters the columns that are left leave of ``width``, with a blank on either side of each."""
    kept = [value for name, value in widths.items() if name not in dropped]
    return 0 if width is None else width - sum(kept) - 2 * len(kept) - 1
