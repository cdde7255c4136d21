"""A table as a page to look at, to search and to link to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ganbench.leaderboards.footnotes import footnotes_of
from ganbench.leaderboards.rows import RowKey
from ganbench.leaderboards.table import Table
from ganbench.pages.charts.all import charts_of
from ganbench.pages.facts import facts_of, machines_of
from ganbench.pages.grids import arch_by_loss, pairs
from ganbench.pages.places import Places
from ganbench.pages.rules import how_to_read, rules_in_words
from ganbench.pages.templating import Shared, inlined, rendered
from ganbench.pages.view import View


def to_page(
    table: Table,
    places: Mapping[RowKey, Places] | None = None,
    *,
    shared: Shared | None = None,
    folder: Path | None = None,
    downloads: bool = False,
) -> str:
    """The page.

    Args:
        table: with its rows in the order of the page.
        places: what rows have beside their figures.
        shared: where style and script are; by default, in the page itself.
        folder: the published folder that the page lies in; plugins of the same checkout are linked from there.
        downloads: whether CSV, JSON and BibTeX lie beside the page.
    """
    return rendered(
        "page.html",
        table=table,
        view=View(table, places or {}, folder),
        shared=shared or inlined(),
        downloads=downloads,
        facts=facts_of(table),
        rules=rules_in_words(table),
        reading=how_to_read(table, "in italics"),
        charts=charts_of(table, linked=True),
        heat=arch_by_loss(table),
        pairs=pairs(table),
        footnotes=footnotes_of(table),
        failures=[*table.failures, *table.collapses],
        notes=[*table.left_out, *table.notes],
        machines=machines_of(table),
    )
