"""A leaderboard as a fragment of HTML, for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ganbench.leaderboards.cells import Key, cells_of, headings_of, is_number
from ganbench.leaderboards.entries import Entry, YardstickEntry
from ganbench.leaderboards.footnotes import footnotes_of
from ganbench.leaderboards.rows import PARTS, Part, Row
from ganbench.leaderboards.table import Table
from ganbench.plain import as_html

TITLES: dict[Part, str] = {
    "ranked": "Ranking",
    "unstable": "Rows with a failed or collapsed seed: by rule below all complete rows, not tested",
    "incomplete": "Rows with missing seeds: not ranked yet",
    "custom": "Custom runs: changed settings, never ranked",
    "edited": "Edited runs: code that differs from the known code of its version, never ranked",
    "external": "Samples from elsewhere: not trained under these rules, never ranked",
}
STYLE = """
.ganbench table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5em 0 1.5em; }
.ganbench th, .ganbench td { padding: .25em .7em; text-align: left; white-space: nowrap; }
.ganbench th, .ganbench td { border-bottom: 1px solid #8884; }
.ganbench th.number, .ganbench td.number { text-align: right; }
.ganbench thead th { border-bottom: 2px solid #8888; }
.ganbench tr.trouble { opacity: .7; }
.ganbench tr.yardstick { font-style: italic; background: #8881; }
.ganbench caption { text-align: left; font-weight: bold; padding: .3em 0; }
.ganbench li { max-width: 60em; }
"""
SMALL = "max-width: 200px; max-height: 80px"


class Sight(NamedTuple):
    """The URL of a row's picture, and its curve as SVG; "" for what a row lacks."""

    picture: str
    curve: str


def to_html(table: Table, sights: Mapping[Entry, Sight] | None = None) -> str:
    """An HTML fragment: one table for each part, with notes below; ``sights`` of rows get their own columns."""
    blocks = [_block(table, part, sights or {}) for part in PARTS if table.rows_of(part)]
    notes = [*footnotes_of(table), *table.failures, *table.collapses, *table.left_out, *table.notes]
    listing = "".join(f"<li>{as_html(note)}</li>" for note in notes)
    return f'<div class="ganbench"><style>{STYLE}</style>{"".join(blocks)}<ul>{listing}</ul></div>'


def _block(table: Table, part: Part, sights: Mapping[Entry, Sight]) -> str:
    headings = headings_of(table, part)
    head = {key: f"<th{_side(table, key)}>{as_html(text)}</th>" for key, text in headings.items()}
    if shown := [row for row in table.rows_of(part) if row.entry in sights]:
        head["loss"] += f"<th>samples</th><th>{as_html(table.label(table.headline))} by kimg</th>"
    rows = "\n".join(_row(table, row, headings, sights if shown else None) for row in table.rows_of(part))
    top = f"<caption>{TITLES[part]}</caption><thead><tr>{''.join(head.values())}</tr></thead>"
    return f"<table>{top}\n<tbody>{rows}</tbody></table>\n"


def _row(table: Table, row: Row, keys: Iterable[Key], sights: Mapping[Entry, Sight] | None) -> str:
    texts = cells_of(table, row)
    marked = "yardstick" if isinstance(row.entry, YardstickEntry) else "trouble" if row.trouble else ""
    cells = {key: f"<td{_side(table, key)}>{as_html(texts.get(key, ''))}</td>" for key in keys}
    if sights is not None:
        picture, curve = sights.get(row.entry, ("", ""))
        image = f'<img src="{as_html(picture)}" alt="samples" style="{SMALL}">' if picture else ""
        cells["loss"] += f"<td>{image}</td><td>{curve}</td>"
    shown = "".join(cells.values())
    return f'<tr class="{marked}">{shown}</tr>' if marked else f"<tr>{shown}</tr>"


def _side(table: Table, key: Key) -> str:
    return ' class="number"' if is_number(table, key) else ""
