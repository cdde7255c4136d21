"""R1: the non-saturating game with a zero-centred gradient penalty on real samples (Mescheder et al., 2018).

    D:  min  -E log σ(D(x)) - E log(1 - σ(D(G(z)))) + γ/2 E ‖∇D(x)‖²
    G:  min  -E log σ(D(G(z)))                         (the penalty: equation 9)

D(x) is computed once, for both the game and the penalty. γ is 10 in the authors' image experiments; 1 suits small
images. They use RMSprop at 1e-4 with decay 0.99, which equals Adam with the momenta (0, 0.99) except for the bias
correction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from ganbench import Critic, Loss, hookimpl
from ganbench_baselines.loss.penalties import leaf, zero_centred


@dataclass(frozen=True)
class R1:
    """``gamma``: γ, the strength of the penalty (γ/2 multiplies the squared norm)."""

    gamma: float = 1.0

    d_norm: ClassVar[str] = "none"
    recipe: ClassVar[Mapping[str, Any]] = {"betas": (0.0, 0.99)}

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """D minimises -E log σ(D(x)) - E log(1 - σ(D(G(z)))) + γ/2 E ‖∇D(x)‖²."""
        x = leaf(real)
        d_real = D(x)
        game = softplus(-d_real).mean() + softplus(D(fake)).mean()
        return game + self.gamma / 2 * zero_centred(d_real, x)

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """G minimises -E log σ(D(G(z)))."""
        return softplus(-D(fake)).mean()


@hookimpl
def ganbench_loss() -> Loss:
    """Build the loss."""
    return R1()
