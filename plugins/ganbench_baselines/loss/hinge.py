"""Hinge loss (Lim and Ye, 2017) on a spectrally normalised D (Miyato et al., 2018).

    D:  min  E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))
    G:  min  -E D(G(z))                                (Miyato et al., equations 16 and 17)

Spectral normalisation is part of the method: it bounds the slope of D, and with it the linear objective of G. The
momenta and the single D update per G update are setting C of Miyato et al.: Adam at 2e-4 with (0.5, 0.999). (Their
ResNets use (0, 0.9) and five D updates.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import relu

from ganbench import Critic, Loss, hookimpl


class Hinge:
    """Hinge loss; samples beyond the margin of 1 give D no gradient."""

    d_norm: ClassVar[str] = "spectral"
    recipe: ClassVar[Mapping[str, Any]] = {"betas": (0.5, 0.999)}

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """D minimises E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))."""
        return relu(1 - D(real)).mean() + relu(1 + D(fake)).mean()

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """G minimises -E D(G(z))."""
        return -D(fake).mean()


@hookimpl
def ganbench_loss() -> Loss:
    """Build the loss."""
    return Hinge()
