"""Whether a run collapsed, derived from its scores without torch or any plugin."""

from __future__ import annotations

from typing import NamedTuple

from ganbench.contracts.metric import Goal
from ganbench.contracts.score_name import short_name
from ganbench.records.record import Column, Record, SelfChecks, YardstickRecord

ALIKE = 0.02
"""Samples are all alike if their variance, both in the features and of the samples themselves, is at most this share of
the real data's. In the published records, trained generators of a single sample lie below .01 and the next one at .048;
the docs list them. Features alone are not enough: those of a digit classifier hardly vary over noise (.013 to .019)."""
ONE_WAY, NARROW = 0.02, 0.2
"""Samples are also all alike if they all lie in one direction from the centre of the real data: their effective samples
exceed 1 by at most the share ``ONE_WAY`` of the excess of the real data, and their variance is at most the share
``NARROW`` of the real data's. Without the second condition, two opposite clusters would qualify, because the cosine of
opposite directions is as far from 0."""
VARIED = 1.5
"""If the real data have fewer effective samples, as on a line, directions carry no information."""
SPREAD, EFFECTIVE = "spread", "effective samples"


class Collapse(NamedTuple):
    """One way in which a run collapsed: ``column`` is a score's name in full, or names a number of the self-checks."""

    column: str
    score: float
    limit: float
    goal: Goal = "max"

    @property
    def way(self) -> str:
        """What happened: ``samples all alike (spread at most 0.02 of the reals')``, ``modes_hit at most 1``."""
        limit = f"{self._side} {self.limit:.3g}"
        if self.column == SPREAD:
            return f"samples all alike (spread {limit} of the reals')"
        if self.column == EFFECTIVE:
            return f"samples all alike (effective samples {limit})"
        return f"{short_name(self.column)} {limit}"

    @property
    def told(self) -> str:
        """The score and its limit: ``modes_hit 0 (collapsed: at most 1)``."""
        return f"{short_name(self.column)} {self.score:.3g} (collapsed: {self._side} {self.limit:g})"

    @property
    def _side(self) -> str:
        return "at least" if self.goal == "min" else "at most"


def collapses_of(record: Record) -> tuple[Collapse, ...]:
    """The ways in which a trained run collapsed, ``()`` if it did not. A yardstick never collapses."""
    if isinstance(record, YardstickRecord) or record.status != "ok":
        return ()
    alike = _alike(record.self_checks) if record.self_checks is not None else None
    fallen = [
        Collapse(name, record.scores[name], column.collapsed_at, column.goal)
        for name, column in record.columns.items()
        if column.collapsed_at is not None and name in record.scores and _fallen(column, record.scores[name])
    ]
    return (*([alike] if alike else []), *fallen)


def _alike(checks: SelfChecks) -> Collapse | None:
    if checks.spread is None:
        return None
    widest = checks.spread if checks.raw_spread is None else max(checks.spread, checks.raw_spread)
    if widest <= ALIKE:
        return Collapse(SPREAD, widest, ALIKE)
    most = 1 + ONE_WAY * (checks.real_effective - 1)
    if checks.real_effective >= VARIED and checks.effective_samples <= most and widest <= NARROW:
        return Collapse(EFFECTIVE, checks.effective_samples, most)
    return None


def _fallen(column: Column, score: float) -> bool:
    limit = column.collapsed_at
    return limit is not None and (score >= limit if column.goal == "min" else score <= limit)
