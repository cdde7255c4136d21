"""Quality against cost: what each row costs, and which rows are on the Pareto front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ganbench.contracts.metric import Goal
from ganbench.leaderboards.ranking import centre_of
from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.table import Table


class Cost(NamedTuple):
    """A kind of cost: its title, its unit, and a function that gives a row's cost (None if unknown)."""

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
    """Seconds of training for one seed: from the row's timing, else from the runs' own clock."""
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
    Cost("seconds", "training time", "seconds of training per seed", _seconds),
    Cost("flops", "training FLOPs", "floating-point operations of training per seed", _flops),
    Cost("parameters", "parameters", "parameters of G and D", _parameters),
)


def offers_of(table: Table, cost: Cost) -> list[Offer]:
    """Every trained row with a score and a known cost, in the order of the table."""
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
