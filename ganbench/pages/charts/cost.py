"""Quality against cost, with the rows on the Pareto front joined and labelled."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import hypot
from typing import NamedTuple

from markupsafe import Markup

from ganbench.leaderboards.cells import count, number
from ganbench.leaderboards.footnotes import DIRECTION
from ganbench.leaderboards.frontier import COSTS, Cost, Offer, offers_of
from ganbench.leaderboards.table import Table
from ganbench.pages.anchors import anchor_of
from ganbench.pages.charts.frame import Frame
from ganbench.pages.charts.scale import Scale, scale_of
from ganbench.pages.charts.svg import CHARACTER, Chart, Tip, cut_to, dot, drawing, polyline, text, told

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760.0, 380.0, 56.0, 30.0, 120.0, 46.0


def costs(table: Table, *, linked: bool) -> list[Chart]:
    """A chart for each cost in which rows differ."""
    if table.goal == "info":
        return []
    found = ((cost, offers_of(table, cost)) for cost in COSTS)
    return [
        _chart(table, cost, offers, linked=linked)
        for cost, offers in found
        if len({offer.cost for offer in offers}) > 1
    ]


def _chart(table: Table, cost: Cost, offers: Sequence[Offer], *, linked: bool) -> Chart:
    label = table.label(table.headline)
    complete = [offer for offer in offers if offer.row.part == "ranked"] or offers
    x = scale_of([offer.cost for offer in offers], LEFT, WIDTH - RIGHT, log=True)
    y = scale_of([offer.score for offer in complete], HEIGHT - BOTTOM, TOP, log=table.log)
    front = sorted((offer for offer in offers if offer.best), key=lambda offer: offer.cost)
    parts = Frame(x, y, cost.unit, f"{label}, {DIRECTION[table.goal]}").drawn()
    parts.append(polyline([(x.at(offer.cost), y.at(offer.score)) for offer in front], "front"))
    for offer in sorted(offers, key=lambda offer: offer.best):
        parts.append(_mark(table, cost, offer, x, y, linked=linked))
    parts += _names(table, front, offers, x, y)
    title = f"{table.name}: {label} against {cost.title}"
    names = ", ".join(table.title(offer.row) for offer in front)
    about = (
        f"{label} of every trained row against its {cost.title}. No row beats these in both: {names}. Hollow dots: a "
        "seed failed or collapsed, or the row is not ranked. Rows beyond the scale are drawn at its edge."
    )
    return Chart(f"cost-{cost.name}", title, about, drawing(WIDTH, HEIGHT, title, parts))


def _mark(table: Table, cost: Cost, offer: Offer, x: Scale, y: Scale, *, linked: bool) -> Markup:
    steady = offer.row.kind == "entry" and offer.row.part == "ranked"
    classes = ("dot", "best") if offer.best else ("dot", "entry") if steady else ("dot", "hollow")
    score = f"{table.label(table.headline)} {number(offer.score)}"
    words = f"{table.title(offer.row)}: {score}, {count(offer.cost)} {cost.unit}"
    address = f"#{anchor_of(table, offer.row)}" if linked else ""
    return told([dot(x.at(offer.cost), y.at(offer.score), 5, *classes)], Tip(words, address))


def _names(table: Table, front: Sequence[Offer], offers: Sequence[Offer], x: Scale, y: Scale) -> list[Markup]:
    """Label each row of the front where the label covers the fewest dots, other labels and pieces of the line."""
    dots = [Box(x.at(offer.cost) - 5, y.at(offer.score) - 5, 10, 10) for offer in offers]
    pieces = _pieces([(x.at(offer.cost), y.at(offer.score)) for offer in front])
    taken: list[Box] = []
    parts = []
    for offer in front:
        words = cut_to(table.title(offer.row), 190)
        box = _place(Box(x.at(offer.cost), y.at(offer.score), len(words) * CHARACTER, 12), [*dots, *pieces], taken)
        taken.append(box)
        parts.append(text(box.left, box.top + 10, words, "label"))
    return parts


class Box(NamedTuple):
    """A rectangle of a drawing."""

    left: float
    top: float
    width: float
    height: float

    def meets(self, other: Box) -> bool:
        """Whether the two overlap."""
        across = self.left < other.left + other.width and other.left < self.left + self.width
        return across and self.top < other.top + other.height and other.top < self.top + self.height

    def within(self, left: float, top: float, right: float, bottom: float) -> bool:
        """Whether it lies between these edges."""
        return (
            left <= self.left
            and self.left + self.width <= right
            and top <= self.top
            and self.top + self.height <= bottom
        )


def _pieces(points: Sequence[tuple[float, float]]) -> list[Box]:
    """Small boxes along a line through points, which labels should avoid."""
    found = []
    for (left, top), (right, bottom) in pairwise(points):
        steps = max(1, round(hypot(right - left, bottom - top) / 12))
        for step in range(1, steps):
            part = step / steps
            found.append(Box(left + part * (right - left), top + part * (bottom - top), 1, 1))
    return found


def _place(at: Box, marks: Sequence[Box], taken: Sequence[Box]) -> Box:
    """The best position for a label around the dot whose centre is the upper left corner of ``at``."""
    right, left, middle = at.left + 8, at.left - 8 - at.width, at.left - at.width / 2
    tops = {"above": at.top - 17, "level": at.top - 6, "below": at.top + 6}
    candidates = [
        at._replace(left=across, top=tops[height])
        for across, height in (
            (right, "above"), (right, "level"), (right, "below"), (left, "level"), (left, "above"), (left, "below"),
            (middle, "above"), (middle, "below"),
        )
    ]  # fmt: skip
    inside = [box for box in candidates if box.within(LEFT, TOP - 8, WIDTH, HEIGHT - BOTTOM)] or candidates

    def cost(box: Box) -> int:
        return 5 * sum(box.meets(other) for other in taken) + sum(box.meets(other) for other in marks)

    return min(inside, key=cost)
