"""The leader at every budget: the best row at each look that all complete rows share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ganbench.leaderboards.ranking import sign_of
from ganbench.leaderboards.rows import Row, RowKey
from ganbench.leaderboards.table import Table
from ganbench.leaderboards.trajectory import Mark, trajectory_of


class Reign(NamedTuple):
    """A row that leads from one budget to another, both in kimg and inclusive."""

    row: Row
    first: float
    last: float


class Race(NamedTuple):
    """The trajectories of complete rows, restricted to the looks they share, and the successive leaders."""

    marks: Mapping[RowKey, Sequence[Mark]]
    reigns: tuple[Reign, ...]


def race_of(table: Table) -> Race | None:
    """The race of a table; None with fewer than two rows or shared looks, or if the headline has no direction."""
    column = table.columns.get(table.headline)
    rows = {row.key: row for row in table.rows if row.kind == "entry" and row.part == "ranked"}
    found = {key: trajectory_of(table, row) for key, row in rows.items()}
    found = {key: marks for key, marks in found.items() if marks}
    if column is None or column.goal == "info" or len(found) < 2:
        return None
    common = sorted(set.intersection(*({mark.kimg for mark in marks} for marks in found.values())))
    if len(common) < 2:
        return None
    kept = {key: [mark for mark in marks if mark.kimg in set(common)] for key, marks in found.items()}
    sign = sign_of(column)
    reigns: list[Reign] = []
    for place, kimg in enumerate(common):
        leader = rows[min(kept, key=lambda key: sign * kept[key][place].centre)]
        if reigns and reigns[-1].row.key == leader.key:
            reigns[-1] = reigns[-1]._replace(last=kimg)
        else:
            reigns.append(Reign(leader, kimg, kimg))
    return Race(kept, tuple(reigns))
