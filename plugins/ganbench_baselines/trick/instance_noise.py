"""Instance noise: Gaussian noise on all of D's inputs, which decays to 0 over training (Sønderby et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench import Match, Trick, Turn, hookimpl
from ganbench_baselines.trick.arguments import number


class InstanceNoise(Trick):
    """``sigma``: the initial standard deviation; it falls linearly to 0 at the end of the budget."""

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    def match(self, match: Match, turn: Turn) -> Match:
        """Add noise of the current standard deviation to D's inputs, drawn anew for each call."""
        sigma = self.sigma * (1 - turn.progress)

        def noisy_d(x: Tensor) -> Tensor:
            return match.D(x + sigma * torch.randn_like(x))

        return match._replace(D=noisy_d)


@hookimpl
def ganbench_trick(argument: str) -> Trick:
    """Build the trick; the argument is the initial standard deviation, 0.1 by default."""
    return InstanceNoise(number(argument, 0.1, 0.0))
