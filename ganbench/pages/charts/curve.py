"""One row's headline during training, with the range of its seeds."""

from __future__ import annotations

from markupsafe import Markup

from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.table import Table
from ganbench.leaderboards.trajectory import trajectory_of
from ganbench.pages.charts.frame import Frame
from ganbench.pages.charts.scale import scale_of
from ganbench.pages.charts.svg import drawing, polygon, polyline

WIDTH, HEIGHT = 360.0, 190.0


def curve(table: Table, row: Row) -> Markup:
    """The curve; empty for a row with fewer than two looks during training."""
    marks = trajectory_of(table, row)
    if len(marks) < 2:
        return Markup("")
    x = scale_of([mark.kimg for mark in marks], 52, WIDTH - 12, zero=True)
    y = scale_of([end for mark in marks for end in (mark.low, mark.high)], HEIGHT - 42, 22, log=table.log)
    label = table.label(table.headline)
    band = [(x.at(m.kimg), y.at(m.high)) for m in marks] + [(x.at(m.kimg), y.at(m.low)) for m in reversed(marks)]
    parts = Frame(x, y, "thousand real samples shown to D", f"{label}, on the selection split").drawn()
    parts += [polygon(band, "band"), polyline([(x.at(m.kimg), y.at(m.centre)) for m in marks], "line", "one")]
    return drawing(WIDTH, HEIGHT, f"{label} of {table.title(row)} during training", parts)
