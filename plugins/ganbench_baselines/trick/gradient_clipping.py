"""Gradient clipping: scales each player's gradient down to a norm of at most 1 (Pascanu et al. 2013)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from ganbench import Player, Trick, hookimpl
from ganbench_baselines.trick.arguments import number


class GradientClipping(Trick):
    """``norm``: the largest norm of a player's whole gradient."""

    def __init__(self, norm: float) -> None:
        self.norm = norm

    def gradients(self, params: Sequence[Tensor], player: Player) -> None:
        """Scale the gradient of a player, in place, to a norm of at most ``norm``."""
        total = get_total_norm([p.grad for p in params if p.grad is not None])
        clip_grads_with_norm_(list(params), self.norm, total)


@hookimpl
def ganbench_trick(argument: str) -> Trick:
    """Build the trick; the argument is the norm, 1 by default."""
    return GradientClipping(number(argument, 1.0, 1e-6))
