"""Quality against cost: what each row costs, and which rows nobody beats in both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ganbench.contracts.metric import Goal
from ganbench.leaderboards.ranking import centre_of
from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.table import Table


class Cost(NamedTuple):
    """Something that a row costs, its unit, and where to find it; None where it is not known."""

    name: str
    title: str
    unit: str
    of: Callable[[Row], float | None]


class Offer(NamedTuple):
    """A row's cost and its headline; ``best`` if no complete row is at least as good in both and better in one."""

    row: Row
    cost: float
    score: float
    best: bool


def _seconds(row: Row) -> float | None:
    """The time of one seed's training: by the row's timing, else by the runs' own clock."""
    kimg = row.costs.get("kimg")
    if row.timing and kimg:
        return kimg * 1000 / row.timing.train
    return row.costs.get("cpu_s")


def _flops(row: Row) -> float | None:
    kimg, each = row.costs.get("kimg"), row.costs.get("flops")
    return kimg * 1000 * each if kimg and each else None


def _parameters(row: Row) -> float | None:
    known = [row.costs[name] for name in ("params_g", "params_d") if name in row.costs]
    return sum(known) if known else None


COSTS = (
    Cost("seconds", "seconds of training", "seconds of training, one seed", _seconds),
    Cost("flops", "FLOPs of training", "floating-point operations of training, one seed", _flops),
    Cost("parameters", "parameters", "parameters of G and D", _parameters),
)


def offers_of(table: Table, cost: Cost) -> list[Offer]:
    """Every scored row that was trained and whose cost is known, in the order of the table."""
    found = [
        (row, spent, centre_of(row, row.scores[table.headline]))
        for row in table.rows
        if row.kind != "yardstick" and table.headline in row.scores and (spent := cost.of(row))
    ]
    complete = [(spent, score) for row, spent, score in found if row.kind == "entry" and row.part == "ranked"]
    return [
        Offer(row, spent, score, (spent, score) in complete and _unbeaten((spent, score), complete, table.goal))
        for row, spent, score in found
    ]


def _unbeaten(offer: tuple[float, float], others: Sequence[tuple[float, float]], goal: Goal) -> bool:
    sign = -1 if goal == "max" else 1
    cost, score = offer[0], sign * offer[1]
    return not any(
        spent <= cost and sign * reached <= score and (spent, sign * reached) != (cost, score)
        for spent, reached in others
    )
