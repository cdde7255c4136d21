"""Two time-scale update rule: D learns faster than G (Heusel et al. 2017; 4:1 as in Zhang et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganbench import Recipe, Trick, hookimpl
from ganbench_baselines.trick.arguments import number


class TTUR(Trick):
    """``ratio``: D's learning rate divided by G's, which stays unchanged."""

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio

    def recipe(self, recipe: Recipe) -> Mapping[str, Any]:
        """D's learning rate: ``ratio`` times the recipe's."""
        return {"d_lr": recipe.lr * self.ratio}


@hookimpl
def ganbench_trick(argument: str) -> Trick:
    """Build the trick; the argument is the ratio, 4 by default."""
    return TTUR(number(argument, 4.0, 1e-3, 1e3))
