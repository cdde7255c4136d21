"""The leader at every budget: the rows of a table, or those of one arch, during training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from markupsafe import Markup

from ganbench.leaderboards.entries import RunEntry
from ganbench.leaderboards.leaders import Race, Reign, race_of
from ganbench.leaderboards.rows import Row, RowKey
from ganbench.leaderboards.table import Table
from ganbench.leaderboards.trajectory import Mark, trajectory_of
from ganbench.pages.anchors import safe
from ganbench.pages.charts.frame import Frame
from ganbench.pages.charts.scale import Scale, scale_of
from ganbench.pages.charts.svg import Chart, Tip, cut_to, drawing, polyline, rect, text, told

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760.0, 400.0, 56.0, 26.0, 190.0, 66.0
MOST_ARCHS = 12
"""The most archs that get a chart of their own, those of the best rows first."""
LINE = 14.0
"""Pixels between the names of two rows."""
COLOURS = FEW = 10
"""Up to this many rows, all are coloured; beyond it, only those that lead at some point."""


def leaders(table: Table) -> list[Chart]:
    """A chart of all rows and, if there are many, one for each arch with several. Empty without common looks."""
    charts = [_chart(table, "leaders", "")]
    plain = [row for row in table.rows if row.kind == "entry" and isinstance(row.entry, RunEntry)]
    if len(plain) > FEW:
        archs = dict.fromkeys(_arch(table, row) for row in plain)
        for arch in list(archs)[:MOST_ARCHS]:
            rows = tuple(row for row in plain if _arch(table, row) == arch)
            charts.append(_chart(replace(table, rows=rows), f"leaders-{safe(arch)}", arch))
    return [chart for chart in charts if chart is not None]


def _arch(table: Table, row: Row) -> str:
    return table.component(row.entry.players[0]) if isinstance(row.entry, RunEntry) else ""


def _chart(table: Table, name: str, arch: str) -> Chart | None:
    race = race_of(table)
    if race is None:
        return None
    unsteady = {row.key: trajectory_of(table, row) for row in table.rows_of("unstable")}
    lines = {**race.marks, **{key: marks for key, marks in unsteady.items() if len(marks) > 1}}
    marks = [mark for found in lines.values() for mark in found]
    x = scale_of([mark.kimg for mark in marks], LEFT, WIDTH - RIGHT, zero=True)
    y = scale_of([mark.centre for mark in marks], HEIGHT - BOTTOM, TOP, log=table.log)
    label, colours = table.label(table.headline), _colours(table, race, lines)
    names = {row.key: table.title(row).removeprefix(f"{arch}+") for row in table.rows}
    parts = Frame(x, y, "thousand real samples shown to D", f"{label}, mean over seeds, on the selection split").drawn()
    parts += _lines(race, lines, x, y, colours, names)
    parts += _strip(race, x, colours, names)
    title = f"{table.name}{f', {arch}' if arch else ''}: the leader at every budget"
    thin = " Dashed lines: a seed failed or collapsed." if unsteady else ""
    about = f"{label} during training, one line per row.{thin} {_in_words(race, names)}"
    return Chart(name, title, about, drawing(WIDTH, HEIGHT, title, parts))


def _colours(table: Table, race: Race, lines: Iterable[RowKey]) -> dict[RowKey, str]:
    """Row -> colour: all rows in the order of the table if there are few, else the leaders in order of their reigns."""
    keys = [row.key for row in table.rows if row.key in {*lines}]
    chosen = keys if len(keys) <= FEW else list(dict.fromkeys(reign.row.key for reign in race.reigns))
    return {key: f"c{place % COLOURS}" for place, key in enumerate(chosen)}


def _lines(
    race: Race,
    lines: Mapping[RowKey, Sequence[Mark]],
    x: Scale,
    y: Scale,
    colours: Mapping[RowKey, str],
    names: Mapping[RowKey, str],
) -> list[Markup]:
    """A line for each row; rows without a colour are drawn below the others."""
    parts = []
    for key in sorted(lines, key=lambda key: (key in colours, key in race.marks)):
        points = [(x.at(mark.kimg), y.at(mark.centre)) for mark in lines[key]]
        weight = "lead" if key in race.marks else "dashed"
        classes = ("line", colours[key], weight) if key in colours else ("line", "other", weight)
        parts.append(told([polyline(points, *classes)], Tip(names[key])))
    heights = _apart({key: y.at(lines[key][-1].centre) for key in colours}, y.start)
    for key, height in heights.items():
        words = cut_to(names[key], RIGHT - 14)
        parts.append(text(x.end + 8, height + 4, words, "label", f"ink-{colours[key]}"))
    return parts


def _strip(race: Race, x: Scale, colours: Mapping[RowKey, str], names: Mapping[RowKey, str]) -> list[Markup]:
    """A bar below the axis in the colour of the leader; a reign lasts until the next one begins."""
    ends = [*(reign.first for reign in race.reigns[1:]), race.reigns[-1].last]
    parts = [text(x.start - 6, HEIGHT - 10, "leads", "tick", anchor="end")]
    for reign, end in zip(race.reigns, ends, strict=True):
        left = x.at(reign.first)
        bar = rect(left, HEIGHT - 19, max(2.0, x.at(end) - left), 11, "fill", colours[reign.row.key])
        parts.append(told([bar], Tip(f"{names[reign.row.key]} leads {_span(reign)}")))
    return parts


def _in_words(race: Race, names: Mapping[RowKey, str]) -> str:
    told = [f"{names[reign.row.key]} ({_span(reign)})" for reign in race.reigns]
    return f"In the lead: {', then '.join(told)}."


def _span(reign: Reign) -> str:
    if reign.first == reign.last:
        return f"at {reign.first:g} kimg"
    return f"from {reign.first:g} to {reign.last:g} kimg"


def _apart(wanted: Mapping[RowKey, float], lowest: float) -> dict[RowKey, float]:
    """Heights of the labels, near those wanted and a line apart."""
    found: dict[RowKey, float] = {}
    at = TOP - LINE
    for key in sorted(wanted, key=lambda one: wanted[one]):
        at = found[key] = max(at + LINE, wanted[key])
    over = max(0.0, at - lowest)
    for i, key in enumerate(reversed(list(found))):
        found[key] = min(found[key], at - over - i * LINE)
    return found
