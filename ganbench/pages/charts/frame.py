"""The frame of a chart with two axes: grid lines, tick labels and axis names."""

from __future__ import annotations

from typing import NamedTuple

from markupsafe import Markup

from ganbench.pages.charts.scale import Scale, mark_of
from ganbench.pages.charts.svg import line, text


class Frame(NamedTuple):
    """Two scales, ``y`` from the bottom up, and their names."""

    x: Scale
    y: Scale
    across: str
    up: str

    def drawn(self, about: int = 5) -> list[Markup]:
        """Grid lines with numbers on the left and below, and the names of the axes."""
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        parts = [line(left, bottom, right, bottom, "axis")]
        for value in self.y.ticks(about):
            parts.append(line(left, self.y.at(value), right, self.y.at(value), "grid"))
            parts.append(text(left - 6, self.y.at(value) + 4, mark_of(value), "tick", anchor="end"))
        for value in self.x.ticks(about):
            parts.append(line(self.x.at(value), bottom, self.x.at(value), bottom + 4, "axis"))
            parts.append(text(self.x.at(value), bottom + 17, mark_of(value), "tick", anchor="middle"))
        parts.append(text((left + right) / 2, bottom + 34, self.across, "name", anchor="middle"))
        return [*parts, text(left, top - 12, self.up, "name")]
