"""The non-saturating game, in which G maximises log D(G(z)) (Goodfellow et al., 2014).

    D:  min  -E log σ(D(x)) - E log(1 - σ(D(G(z))))    (equation 1, D as a logit)
    G:  min  -E log σ(D(G(z)))                         (end of section 3)

Written with softplus: ``log σ(t) = -softplus(-t)`` is exact and never takes the log of 0, so G keeps
its full gradient where D is sure that a sample is fake. (``-log(σ(t) + 1e-8)`` would saturate there.)

The paper names no learning rate; the momenta are DCGAN's (Radford et al., 2015: Adam at 2e-4).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from ganbench import Critic, Loss, hookimpl


class NonSaturating:
    """The non-saturating game: D as in the minimax game, with a different objective for G."""

    recipe: ClassVar[Mapping[str, Any]] = {"betas": (0.5, 0.999)}

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """D minimises -E log σ(D(x)) - E log(1 - σ(D(G(z))))."""
        return softplus(-D(real)).mean() + softplus(D(fake)).mean()

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """G minimises -E log σ(D(G(z)))."""
        return softplus(-D(fake)).mean()


@hookimpl
def ganbench_loss() -> Loss:
    """Build the loss."""
    return NonSaturating()
