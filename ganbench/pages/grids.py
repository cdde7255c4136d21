"""Two grids of a page: arch by loss, and every pair of complete rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ganbench.leaderboards.cells import DASH, number
from ganbench.leaderboards.entries import RunEntry
from ganbench.leaderboards.ranking import centre_of, sign_of
from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.statistics import ALPHA
from ganbench.leaderboards.table import Table
from ganbench.pages.anchors import anchor_of

SHADES = 6
"""Steps of colour, 0 for the worst sixth of the rows."""
MOST_PAIRED = 40
"""The most rows in the grid of pairs; more do not fit on a screen."""


class Square(NamedTuple):
    """A cell: its text, the CSS class that colours it, its tooltip, and the anchor of the row it links to."""

    text: str
    shade: str = ""
    about: str = ""
    anchor: str = ""


class Line(NamedTuple):
    """A line of a grid with its name."""

    name: str
    anchor: str
    squares: Sequence[Square]


class Grid(NamedTuple):
    """Lines of squares below headings; ``note`` says how many rows were left out."""

    headings: Sequence[str]
    lines: Sequence[Line]
    note: str = ""


def arch_by_loss(table: Table) -> Grid | None:
    """The headline of every plain combination; None if the grid would have fewer than four cells.

    Combinations with a trick, a changed setting or edited code are left out.
    """
    found: dict[tuple[str, str], Row] = {}
    for row in table.rows:
        if row.kind == "entry" and isinstance(row.entry, RunEntry) and not row.entry.tricks and not row.missing:
            arch, loss = (table.component(player) for player in row.entry.players[:2])
            found.setdefault((arch, loss), row)
    archs, losses = ([*dict.fromkeys(pair[i] for pair in found)] for i in range(2))
    if len(archs) * len(losses) < 4:
        return None
    shades = _shades(table, list(found.values()))
    lines = [
        Line(arch, "", [_combination(table, found.get((arch, loss)), shades, f"{arch}+{loss}") for loss in losses])
        for arch in archs
    ]
    return Grid(losses, lines)


def _combination(table: Table, row: Row | None, shades: Mapping[str, int], name: str) -> Square:
    if row is None:
        return Square("", "", f"{name}: no row")
    summary = row.scores.get(table.headline)
    text = number(centre_of(row, summary)) if summary else DASH
    told = f"{name}: {table.label(table.headline)} {text}"
    if row.trouble:
        return Square(text, "trouble", f"{told} (median), {row.verdict}", anchor_of(table, row))
    return Square(text, f"h{shades.get(name, 0)}", f"{told}, rank {row.rank or DASH}", anchor_of(table, row))


def _shades(table: Table, rows: Sequence[Row]) -> dict[str, int]:
    """Title -> shade, by position among the complete rows, so that one bad row does not wash out the others."""
    column = table.columns.get(table.headline)
    steady = [row for row in rows if not row.trouble and table.headline in row.scores]
    if column is None or column.goal == "info":
        return {}
    order = sorted(steady, key=lambda row: -sign_of(column) * row.scores[table.headline].centre)
    return {table.title(row): place * SHADES // len(order) for place, row in enumerate(order)}


def pairs(table: Table) -> Grid | None:
    """The adjusted p-value of every pair of complete rows, better rows first; None with fewer than two rows."""
    standing = table.standing(table.headline)
    column = table.columns.get(table.headline)
    if standing is None or column is None or len(standing.rows) < 2:
        return None
    sign = sign_of(column)
    means = [sign * row.scores[table.headline].centre for row in standing.rows]
    order = sorted(range(len(means)), key=lambda place: means[place])[:MOST_PAIRED]
    lines = []
    for place, one in enumerate(order, 1):
        row = standing.rows[one]
        adjusted = standing.ranking.adjusted
        squares = [_pair(table, standing.rows, (one, other), float(adjusted[one, other]), means) for other in order]
        lines.append(Line(f"{place} {table.title(row)}", anchor_of(table, row), squares))
    left_out = len(means) - len(order)
    note = f"Only the first {len(order)} rows are shown; {left_out} more are in the table." if left_out else ""
    return Grid([str(place) for place in range(1, len(order) + 1)], lines, note)


def _pair(table: Table, rows: Sequence[Row], at: tuple[int, int], p: float, means: Sequence[float]) -> Square:
    one, other = at
    if one == other:
        return Square("", "same", "")
    names = table.title(rows[one]), table.title(rows[other])
    text = _short(p)
    if p > ALPHA:
        return Square(
            text, "unsure", f"no significant difference between {names[0]} and {names[1]} (adjusted p {text})"
        )
    better = means[one] < means[other]
    word = "better" if better else "worse"
    return Square(text, word, f"{names[0]} is {word} than {names[1]} (adjusted p {text})")


def _short(p: float) -> str:
    """A p-value short enough for a square: ``<.001``, ``.034``, ``.42``, ``1``."""
    if p < 0.001:
        return "<.001"
    return "1" if p >= 0.995 else f"{p:.{2 if p >= 0.0995 else 3}f}".lstrip("0")
