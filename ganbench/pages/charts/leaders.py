"""Who leads at every budget: all complete rows during training, those that lead at some time in colour."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from ganbench.leaderboards.leaders import Race, Reign, race_of
from ganbench.leaderboards.rows import RowKey
from ganbench.leaderboards.table import Table
from ganbench.pages.charts.frame import Frame
from ganbench.pages.charts.scale import Scale, scale_of
from ganbench.pages.charts.svg import Chart, Tip, cut_to, drawing, polyline, rect, text, told

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760.0, 400.0, 56.0, 26.0, 190.0, 66.0
LINE = 14.0
"""Pixels between the names of two rows."""
COLOURS = 8
"""Rows beyond the first eight that lead share colours with these."""


def leaders(table: Table) -> Chart | None:
    """The chart; None where rows were not looked at together."""
    race = race_of(table)
    if race is None:
        return None
    marks = [mark for found in race.marks.values() for mark in found]
    x = scale_of([mark.kimg for mark in marks], LEFT, WIDTH - RIGHT, zero=True)
    y = scale_of([mark.centre for mark in marks], HEIGHT - BOTTOM, TOP, log=table.log)
    label = table.label(table.headline)
    colours = {key: f"c{i % COLOURS}" for i, key in enumerate(dict.fromkeys(r.row.key for r in race.reigns))}
    names = {row.key: table.title(row) for row in table.rows}
    parts = Frame(x, y, "thousand real samples shown to D", f"{label}, mean over seeds, on the selection split").drawn()
    parts += _lines(race, x, y, colours, names)
    parts += _strip(race, x, colours, names)
    title = f"{table.name}: who leads at every budget"
    about = f"{label} during training, a line for each complete row. " + _in_words(race, names)
    return Chart("leaders", title, about, drawing(WIDTH, HEIGHT, title, parts))


def _lines(race: Race, x: Scale, y: Scale, colours: Mapping[RowKey, str], names: Mapping[RowKey, str]) -> list[Markup]:
    """Rows that never lead below the others."""
    parts = []
    for key in sorted(race.marks, key=lambda key: key in colours):
        points = [(x.at(mark.kimg), y.at(mark.centre)) for mark in race.marks[key]]
        classes = ("line", colours[key], "lead") if key in colours else ("line", "other")
        parts.append(told([polyline(points, *classes)], Tip(names[key])))
    heights = _apart({key: y.at(race.marks[key][-1].centre) for key in colours}, y.start)
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
    """Heights of the names, near those wanted, and a line apart."""
    found: dict[RowKey, float] = {}
    at = TOP - LINE
    for key in sorted(wanted, key=lambda one: wanted[one]):
        at = found[key] = max(at + LINE, wanted[key])
    over = max(0.0, at - lowest)
    for i, key in enumerate(reversed(list(found))):
        found[key] = min(found[key], at - over - i * LINE)
    return found
