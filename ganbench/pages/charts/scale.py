"""Map values to positions on a chart, with round numbers as ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from ganbench.report.axes import round_numbers

SPARE = 0.04
"""Share of a scale that stays empty at either end."""


class Scale(NamedTuple):
    """Maps ``low`` .. ``high`` to ``start`` .. ``end`` (which may run downwards), on a log scale if ``log``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The position of a value, clamped to the ends of the scale."""
        low, high, here = map(self._straight, (self.low, self.high, min(max(value, self.low), self.high)))
        return self.start + (self.end - self.start) * ((here - low) / (high - low))

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers within the scale."""
        if not self.log:
            return round_numbers(self.low, self.high, about)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for factors in ((1, 2, 5), (1, 3), (1,)):
            found = [k * 10.0**power for power in powers for k in factors if self.low <= k * 10.0**power <= self.high]
            if len(found) <= about + 2:
                break
        every = math.ceil(len(found) / (about + 2)) if found else 1
        return found[::every] if len(found) > 1 else round_numbers(self.low, self.high, about)

    def _straight(self, value: float) -> float:
        return math.log(value) if self.log else value


def scale_of(values: Iterable[float], start: float, end: float, *, log: bool = False, zero: bool = False) -> Scale:
    """The scale that covers all finite values with some margin; logarithmic only if all of them are positive.

    With ``zero``, a linear scale of values that are never negative begins at 0.
    """
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if log and low > 0:
        spare = (high / low) ** SPARE if high > low else 1.5
        return Scale(low / spare, high * spare, start, end, log=True)
    spare = SPARE * (high - low) or abs(high) / 2 or 1.0
    return Scale(0.0 if zero and low >= 0 else low - spare, high + spare, start, end)


def mark_of(value: float) -> str:
    """The label of a tick: ``0.05``, ``200``, ``50k``, ``2T``."""
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if 1e4 <= abs(value) < 1e16 and abs(value) >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"
