"""Best-so-far: the best generator during training, chosen on a split and latents that no reported score uses."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ganbench.contracts.arch import GAN
from ganbench.contracts.metric import Goal
from ganbench.records.record import Look


class BestSoFar:
    """The evaluations of the headline during a run, and the averaged generator's weights at the best of them.

    Reporting the best of several noisy evaluations by its own score makes every method look better than it is, and
    noisy methods most of all. So the generator is chosen here, and its score is computed on the reporting split
    afterwards. (If a protocol reports on all data, the selection split is the held-out part of them; the latents still
    differ.)

    Args:
        goal: the headline's direction.
    """

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.looks: list[Look] = []
        self.best: Look | None = None
        self._weights: list[dict[str, Any]] = []

    def add(self, look: Look, averaged: GAN) -> None:
        """Add an evaluation; keep a copy of the generator if it is the best so far (on a tie, the first)."""
        self.looks.append(look)
        if self.best is None or self._better(look.score, self.best.score):
            self.best = look
            self._weights = [copy.deepcopy(module.state_dict()) for module in averaged.generators()]

    def generator(self, averaged: GAN) -> GAN:
        """A copy of ``averaged`` with the best weights; needs at least one evaluation."""
        twin = averaged.averaged_copy()
        for module, weights in zip(twin.generators(), self._weights, strict=True):
            module.load_state_dict(weights)
        return twin

    def _better(self, one: float, other: float) -> bool:
        return one > other if self.goal == "max" else one < other

    # -- checkpoint and resume ---------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Plain values and tensors, loadable with ``weights_only``."""
        looks = [[look.kimg, look.seconds, look.score, look.cpu_seconds] for look in self.looks]
        best = self.looks.index(self.best) if self.best else None
        return {"looks": looks, "best": best, "weights": self._weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from ``state()``."""
        self.looks = [Look(*look) for look in state["looks"]]
        self.best = None if state["best"] is None else self.looks[state["best"]]
        self._weights = state["weights"]
