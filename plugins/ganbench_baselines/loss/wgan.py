"""Wasserstein GAN with weight clipping (Arjovsky et al., 2017).

    D:  max  E D(x) - E D(G(z)),  then  w <- clip(w, -c, c)
    G:  max  E D(G(z))                                     (algorithm 1)

There are five D updates per G update, and the optimiser is RMSprop (at 5e-5 in the paper), because momentum made the
critic unstable. Every parameter of the critic is clipped, biases included. The authors' code also trains the critic 100
times before some of the G updates; algorithm 1 does not, and neither does this loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganbench import Critic, Loss, hookimpl


@dataclass(frozen=True)
class Wasserstein:
    """``clip``: c, the largest absolute value of a weight of the critic."""

    clip: float = 0.01

    d_steps: ClassVar[int] = 5
    recipe: ClassVar[Mapping[str, Any]] = {"optimizer": "rmsprop"}

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """D minimises E D(G(z)) - E D(x)."""
        return D(fake).mean() - D(real).mean()

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """G minimises -E D(G(z))."""
        return -D(fake).mean()

    @torch.no_grad()
    def after_d_step(self, discriminators: Sequence[nn.Module]) -> None:
        """Clip every weight of the critic: w <- clip(w, -c, c)."""
        for w in (w for D in discriminators for w in D.parameters()):
            # Clipping alone would make an infinite weight finite and hide that the run has diverged.
            zero_or_nan = w * 0
            w.clamp_(-self.clip, self.clip).add_(zero_or_nan)


@hookimpl
def ganbench_loss() -> Loss:
    """Build the loss."""
    return Wasserstein()
