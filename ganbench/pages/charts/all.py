"""Which charts a table has."""

from __future__ import annotations

from ganbench.leaderboards.table import Table
from ganbench.pages.charts.cost import costs
from ganbench.pages.charts.lanes import noises, ranks
from ganbench.pages.charts.leaders import leaders
from ganbench.pages.charts.svg import Chart


def charts_of(table: Table, *, linked: bool = False) -> dict[str, Chart]:
    """The charts that the table's records allow, by name; if ``linked``, marks link to rows of the same page."""
    found = [*costs(table, linked=linked), *leaders(table), ranks(table, linked=linked), noises(table, linked=linked)]
    return {chart.name: chart for chart in found if chart is not None}
