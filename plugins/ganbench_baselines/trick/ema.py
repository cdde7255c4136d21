"""Exponential moving average of G's weights (Yazici et al. 2019): sets the decay; 0 evaluates G without averaging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganbench import Recipe, Trick, hookimpl
from ganbench_baselines.trick.arguments import number


class EMA(Trick):
    """``decay``: decay of the average per G update."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def recipe(self, recipe: Recipe) -> Mapping[str, Any]:
        """The decay, which replaces the one in the recipe."""
        return {"ema": self.decay}


@hookimpl
def ganbench_trick(argument: str) -> Trick:
    """Build the trick; the argument is the decay, 0.999 by default."""
    return EMA(number(argument, 0.999, 0.0, 0.999999))
