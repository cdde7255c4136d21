"""A table as an HTML page that can be searched and linked to."""

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
    """Render the page of a table.

    Args:
        table: the table, with its rows in the order of the page.
        places: the records and samples of each row.
        shared: where style and script are; by default, in the page itself.
        folder: the published folder of the page; plugins in the same checkout are linked relative to it.
        downloads: whether the folder also has CSV, JSON and BibTeX to link to.
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
