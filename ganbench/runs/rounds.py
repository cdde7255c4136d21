"""Which rounds of a timing are good. A round in which something disturbed the machine is off, and is repeated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from ganbench.errors import GanbenchError, listed
from ganbench.records.timing import Round

TOLERANCE = 0.05
"""In a good round, the matrix product deviates by at most this share from the median of all products, the step from the
median of its row, and a GPU's clock from its own median. On a CPU, at most this share of the step was spent waiting for
a core.

On an otherwise idle virtual machine with two cores, products vary by 1 to 4 % and steps by 3 to 10 %, so a third of the
rounds may be off; a second program on the same core takes 30 to 50 % of its time.

The median, not the fastest round, is the measure: where the clock rises now and then, only 1 to 6 of 24 rounds of a row
came within 5 % of its fastest tenth, but 12 to 17 within 5 % of the medians."""
ATTEMPTS = 3
"""Rounds allowed for each good round needed: if two out of three are off, the machine is not idle."""


class Unsteady(GanbenchError):
    """Too many rounds were off, so nothing that was measured may be published."""


class Deviation(NamedTuple):
    """How far a round deviates from what is expected, as shares.

    Args:
        product: its product from the median.
        step: its step from the median.
        waited: the share of the step in which the process did not compute.
        clock: a GPU's clock from its median in this row, since rows that draw more power run at a lower clock.
    """

    product: float
    step: float
    waited: float
    clock: float = 0.0

    def off(self, tolerance: float) -> bool:
        """Whether the round has to be repeated."""
        return max(map(abs, self)) > tolerance


def deviations(
    attempts: Mapping[str, Sequence[Round]], tolerance: float, *, on_cpu: bool
) -> dict[str, list[Deviation]]:
    """How far each round of each row deviates.

    The median step of a row is taken over the rounds whose product is good, if there are any, because half of its
    rounds may have been disturbed.

    Args:
        attempts: row -> its rounds so far.
        tolerance: the share up to which a product is good.
        on_cpu: whether the process itself computes, so that it should never wait.
    """
    products = [one.product_ms for rounds in attempts.values() for one in rounds]
    product = median(products) if products else 0.0
    found = {}
    for row, rounds in attempts.items():
        quiet = [one.step_ms for one in rounds if abs(one.product_ms / product - 1) <= tolerance]
        step = median(quiet or [one.step_ms for one in rounds]) if rounds else 0.0
        clocks = [one.clock_mhz for one in rounds if one.clock_mhz]
        clock = median(clocks) if clocks else 0.0
        found[row] = [
            Deviation(
                one.product_ms / product - 1,
                one.step_ms / step - 1,
                max(0.0, 1 - one.step_cpu_ms / one.step_ms) if on_cpu else 0.0,
                one.clock_mhz / clock - 1 if clock and one.clock_mhz else 0.0,
            )
            for one in rounds
        ]
    return found


def unsteady(row: str, found: Iterable[Deviation], tolerance: float, needed: int) -> Unsteady:
    """The error that says how many of a row's rounds were off, by how much, and what helps."""
    found = list(found)
    bad = [far for far in found if far.off(tolerance)]
    worst = {
        "its matrix product": max((abs(far.product) for far in bad), default=0.0),
        "its step": max((abs(far.step) for far in bad), default=0.0),
        "the time it waited for a core": max((far.waited for far in bad), default=0.0),
        "the GPU's clock": max((abs(far.clock) for far in bad), default=0.0),
    }
    far = listed([f"{what} by up to {share:.0%}" for what, share in worst.items() if share > tolerance])
    return Unsteady(
        f"{len(bad)} of {len(found)} rounds of {row} were off by more than {tolerance:.0%} ({far}), so fewer than "
        f"{needed} are left and nothing was written",
        "stop other work on this machine and time again, or raise --rounds",
    )
