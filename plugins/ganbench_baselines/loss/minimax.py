"""The saturating minimax game of the original GAN (Goodfellow et al., 2014).

    min_G max_D  E log σ(D(x)) + E log(1 - σ(D(G(z))))    (equation 1, D as a logit)

Written with softplus: ``log σ(t) = -softplus(-t)`` and ``log(1 - σ(t)) = -softplus(t)`` are exact and never
take the log of 0. G minimises the term that D maximises, so its gradient vanishes where D is confident. This is a
property of the game, not a defect of the code.

The paper names no learning rate; the momenta are DCGAN's (Radford et al., 2015: Adam at 2e-4).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from ganbench import Critic, Loss, hookimpl


class Minimax:
    """The minimax game: G minimises what D maximises."""

    recipe: ClassVar[Mapping[str, Any]] = {"betas": (0.5, 0.999)}

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """D minimises -E log σ(D(x)) - E log(1 - σ(D(G(z))))."""
        return softplus(-D(real)).mean() + softplus(D(fake)).mean()

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """G minimises E log(1 - σ(D(G(z))))."""
        return -softplus(D(fake)).mean()


@hookimpl
def ganbench_loss() -> Loss:
    """Build the loss."""
    return Minimax()
