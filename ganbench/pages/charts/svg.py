"""SVG elements. ``Markup`` escapes all text formatted into it, so a name from a record is never read as a tag."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import NamedTuple

from markupsafe import Markup

from ganbench.plain import plain_line

CHARACTER = 6.8
"""Approximate width in pixels of a character in a label, set in an 11-pixel sans-serif font."""


class Chart(NamedTuple):
    """A drawing: its name as a file, a title, what it shows in a sentence, and the SVG."""

    name: str
    title: str
    about: str
    svg: Markup


class Tip(NamedTuple):
    """The tooltip of a mark, and the URL that the mark links to ("" for none)."""

    text: str
    address: str = ""


def text(x: float, y: float, words: str, *classes: str, anchor: str = "start") -> Markup:
    """A line of text."""
    mark = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>')
    return mark.format(x, y, anchor, " ".join(classes), plain_line(words))


def line(x1: float, y1: float, x2: float, y2: float, *classes: str) -> Markup:
    """A straight line."""
    mark = Markup('<path d="M{:.1f} {:.1f}L{:.1f} {:.1f}" class="{}"/>')
    return mark.format(x1, y1, x2, y2, " ".join(classes))


def polyline(points: Iterable[tuple[float, float]], *classes: str) -> Markup:
    """A line through points."""
    return Markup('<polyline points="{}" class="{}"/>').format(_joined(points), " ".join(classes))


def polygon(points: Iterable[tuple[float, float]], *classes: str) -> Markup:
    """An area between points."""
    return Markup('<polygon points="{}" class="{}"/>').format(_joined(points), " ".join(classes))


def rect(x: float, y: float, width: float, height: float, *classes: str) -> Markup:
    """A rectangle."""
    mark = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="{}"/>')
    return mark.format(x, y, width, height, " ".join(classes))


def dot(x: float, y: float, radius: float, *classes: str) -> Markup:
    """A disc."""
    return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{}" class="{}"/>').format(x, y, radius, " ".join(classes))


def told(parts: Iterable[Markup], tip: Tip) -> Markup:
    """A group of marks with a tooltip, and a link if the tip has an address."""
    inside = Markup("<title>{}</title>{}").format(plain_line(tip.text), Markup("").join(parts))
    if not tip.address:
        return Markup("<g>{}</g>").format(inside)
    return Markup('<a href="{}" aria-label="{}">{}</a>').format(tip.address, plain_line(tip.text), inside)


def drawing(width: float, height: float, title: str, parts: Sequence[Markup], *classes: str) -> Markup:
    """The whole drawing; one with links has the role of a group, because links inside an image are lost.

    Without a title, screen readers skip it.
    """
    role = "group" if any("<a " in part for part in parts) else "img"
    said = Markup('role="{}" aria-label="{}"').format(role, plain_line(title)) if title else _UNSAID
    mark = Markup('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {:.0f} {:.0f}" {} class="{}">{}</svg>')
    return mark.format(width, height, said, " ".join(("chart", *classes)), Markup("\n").join(parts))


_UNSAID = Markup('aria-hidden="true"')


def as_file(chart: Chart) -> str:
    """A chart as a standalone file with its own style."""
    style = files("ganbench.pages").joinpath("assets", "charts.css").read_text("utf-8")
    head, _, rest = str(chart.svg).partition(">")
    paper = '<rect width="100%" height="100%" class="paper"/>'
    return (
        f"{head}>\n<title>{Markup.escape(plain_line(chart.title))}</title>\n<style>{style}</style>\n{paper}\n{rest}\n"
    )


def cut_to(words: str, pixels: float) -> str:
    """Text truncated to a width in pixels, with an ellipsis if characters are lost."""
    words, room = plain_line(words), int(pixels / CHARACTER)
    return words if len(words) <= room else f"{words[: max(1, room - 1)]}…"


def _joined(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
