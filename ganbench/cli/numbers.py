"""Numbers on the command line: ASCII digits, a decimal point and an exponent, within limits.

Python alone would also accept ``1_000``, digits of other scripts, and ``inf``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import typer


def digits(text: str) -> int | None:
    """A whole number written in digits, or None."""
    # Python takes quadratic time to parse longer ones
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text.strip()) else None


def whole(least: int, most: int) -> Callable[[str | int], int]:
    """For ``typer.Option(parser=...)``: a whole number from ``least`` to ``most``."""

    def number(text: str | int) -> int:
        value = digits(str(text))
        if value is None or not least <= value <= most:
            raise typer.BadParameter(f"expected a whole number from {least} to {most}, not {str(text)[:40]!r}")
        return value

    return number


def real(least: float, most: float) -> Callable[[str | float], float]:
    """For ``typer.Option(parser=...)``: a number from ``least`` to ``most``."""

    def number(text: str | float) -> float:
        plain = re.fullmatch(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", str(text).strip(), re.IGNORECASE)
        value = float(plain[0]) if plain else math.nan
        if not least <= value <= most:
            raise typer.BadParameter(f"expected a number from {least:g} to {most:g}, not {str(text)[:40]!r}")
        return value

    return number
