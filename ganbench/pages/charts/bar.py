"""A row's score as a dot with its interval, all rows of a column on one scale."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from ganbench.leaderboards.ranking import centre_of
from ganbench.leaderboards.rows import Row, RowKey
from ganbench.leaderboards.statistics import Summary
from ganbench.leaderboards.table import Table
from ganbench.pages.charts.scale import scale_of
from ganbench.pages.charts.svg import dot, drawing, line

WIDTH, HEIGHT = 72.0, 16.0
"""The size at which it is shown, so that its marks do not shrink."""


def bars(table: Table, column: str) -> dict[RowKey, Markup]:
    """A bar for each row that has a score in the column.

    The complete rows set the scale; a row or a yardstick beyond it is drawn hollow at the edge.
    """
    scored: Mapping[RowKey, tuple[Row, Summary]] = {
        row.key: (row, row.scores[column]) for row in table.rows if column in row.scores
    }
    usual = [pair for pair in scored.values() if pair[0].rank] or list(scored.values())
    ends = [value for row, summary in usual for value in _ends(row, summary)]
    scale = scale_of(ends, 4, WIDTH - 4, log=column in table.logs)
    found = {}
    for key, (row, summary) in scored.items():
        low, high = _ends(row, summary)
        centre, middle = centre_of(row, summary), HEIGHT / 2
        kind = "yardstick" if row.kind in ("yardstick", "external") else "trouble" if row.trouble else "entry"
        beyond = "beyond" if not scale.low <= centre <= scale.high else "within"
        parts = [
            line(scale.at(low), middle, scale.at(high), middle, "whisker", kind),
            dot(scale.at(centre), middle, 3, "dot", kind, beyond),
        ]
        found[key] = drawing(WIDTH, HEIGHT, "", parts, "bar")  # the numbers are beside it
    return found


def _ends(row: Row, summary: Summary) -> tuple[float, float]:
    if row.trouble or summary.low is None or summary.high is None:
        return min(summary.values), max(summary.values)
    return summary.low, summary.high
