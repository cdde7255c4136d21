"""A table's ``summary.json``: what the hub shows of each protocol, so that it need not read all records again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from ganbench.errors import RecordError
from ganbench.leaderboards.cells import interval
from ganbench.leaderboards.rows import Row, RowKey
from ganbench.leaderboards.table import Table
from ganbench.pages.anchors import anchor_of
from ganbench.pages.facts import Facts, facts_of
from ganbench.pages.places import Places
from ganbench.plain import plain

NAME = "summary.json"
MOST = 3
"""The number of best rows that the hub lists."""


class BestRow(Struct, frozen=True):
    """One of the best rows: its title, its anchor in its page, its rank and its headline, as text."""

    title: str
    anchor: str
    rank: str
    score: str


class TableSummary(Struct, frozen=True):
    """What the hub shows of a protocol; ``picture`` is a URL relative to the protocol's folder, "" for none."""

    name: str
    description: str
    digest: str
    headline: str
    goal: str
    facts: Facts
    best: tuple[BestRow, ...]
    picture: str = ""
    pictured: str = ""


def summary_of(table: Table, places: Mapping[RowKey, Places]) -> TableSummary:
    """The summary of a published table."""
    ranked = [row for row in table.rows if row.rank] or [row for row in table.rows if row.kind == "entry"]
    scored = [row for row in ranked if table.headline in row.scores]
    seen = next((row for row in scored if row.key in places and places[row.key].samples.picture), None)
    return TableSummary(
        name=table.name,
        description=table.protocol.description if table.protocol else "",
        digest=table.digest,
        headline=table.label(table.headline),
        goal=table.goal,
        facts=facts_of(table),
        best=tuple(_best(table, row) for row in scored[:MOST]),
        picture=places[seen.key].samples.picture if seen else "",
        pictured=table.title(seen) if seen else "",
    )


def _best(table: Table, row: Row) -> BestRow:
    return BestRow(table.title(row), anchor_of(table, row), str(row.rank or ""), interval(row.scores[table.headline]))


def to_text(summary: TableSummary) -> str:
    """As indented JSON."""
    return plain(msgspec.json.format(msgspec.json.encode(summary), indent=1).decode()) + "\n"


def read_summary(path: Path) -> TableSummary:
    """A summary that ``to_text`` wrote.

    Raises:
        RecordError: it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=TableSummary)
    except (OSError, msgspec.DecodeError) as error:
        raise RecordError(
            f"cannot read {path}: {error}", f"write it again: ganbench leaderboard {path.parent.name} --write"
        ) from error
