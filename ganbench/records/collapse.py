"""Whether a run's samples collapsed, derived from its scores: no torch and no plugin is needed to tell."""

from __future__ import annotations

from typing import NamedTuple

from ganbench.contracts.metric import Goal
from ganbench.records.record import Column, Record

ALIKE = 0.05
"""Samples are all alike if their variance is at most this share of the reals'. In the published records, runs that make
a single sample lie below .01, runs with a fault of another kind above .1; the docs list them.

The number of effective samples, which stands beside the spread, does not decide: it is 1 for two opposite clusters, and
2 for a point on a plane."""
SPREAD = "spread"


class Collapse(NamedTuple):
    """One way in which a run collapsed: ``column`` is a score's name in full, or ``spread`` of the self-checks."""

    column: str
    score: float
    limit: float
    goal: Goal = "max"

    @property
    def way(self) -> str:
        """``samples all alike (spread at most 0.05 of the reals')``, ``modes_hit at most 1``"""
        side = "at least" if self.goal == "min" else "at most"
        if self.column == SPREAD:
            return f"samples all alike (spread {side} {self.limit:g} of the reals')"
        return f"{self.column.partition('@')[0]} {side} {self.limit:g}"

    @property
    def told(self) -> str:
        """``modes_hit 0 (collapsed: at most 1)``"""
        side = "at least" if self.goal == "min" else "at most"
        return f"{self.column.partition('@')[0]} {self.score:.3g} (collapsed: {side} {self.limit:g})"


def collapses_of(record: Record) -> tuple[Collapse, ...]:
    """The ways in which a trained run collapsed, ``()`` if it did not. A yardstick is what it is meant to be."""
    if record.yardstick or record.status != "ok":
        return ()
    checks = record.self_checks
    alike = [Collapse(SPREAD, checks.spread, ALIKE)] if checks is not None and checks.spread <= ALIKE else []
    fallen = [
        Collapse(name, record.scores[name], column.collapsed_at, column.goal)
        for name, column in record.columns.items()
        if column.collapsed_at is not None and name in record.scores and _fallen(column, record.scores[name])
    ]
    return (*alike, *fallen)


def _fallen(column: Column, score: float) -> bool:
    limit = column.collapsed_at
    return limit is not None and (score >= limit if column.goal == "min" else score <= limit)
