"""Parses the argument after the colon of a trick, as in ``pacgan:2`` or ``instance-noise:0.1``."""

from __future__ import annotations

import math

from ganbench import Unsupported


def number(argument: str, default: float, low: float, high: float = math.inf) -> float:
    """A number from ``low`` to ``high``; ``default`` if the argument is empty.

    Raises:
        Unsupported: the argument is not such a number.
    """
    try:
        value = float(argument or default)
    except ValueError:
        value = math.nan
    if not low <= value <= high or math.isinf(value):
        limits = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of {low:g} or more"
        raise Unsupported(f"'{argument}' is not a number {limits}", f"the default is {default:g}")
    return value


def whole(argument: str, default: int, low: int) -> int:
    """A whole number of ``low`` or more; ``default`` if the argument is empty.

    Raises:
        Unsupported: the argument is not such a number.
    """
    value = number(argument, default, low)
    if not value.is_integer():
        raise Unsupported(f"'{argument}' is not a whole number", f"the default is {default}")
    return int(value)
