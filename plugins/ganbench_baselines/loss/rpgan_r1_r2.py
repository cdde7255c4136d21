"""R3GAN's relativistic pairing loss with R1 and R2 penalties (Huang et al., 2024).

    D:  min  E softplus(-(D(x) - D(G(z)))) + γ/2 E ‖∇D(x)‖² + γ/2 E ‖∇D(G(z))‖²
    G:  min  E softplus(-(D(G(z)) - D(x)))             (section 2)

Real sample i is paired with fake i: D learns which of the two is real, not whether each one is. The game is from
Jolicoeur-Martineau (2018), the penalties from Mescheder et al. (2018). D(x) and D(G(z)) are computed once each, for
both the game and the penalties.

The paper anneals γ (its size depends on the data), the learning rate (from 2e-4) and beta2 (from 0.9 to
0.99) during training; here they stay constant.
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
class RelativisticR1R2:
    """``gamma``: γ, the strength of each of the two penalties (γ/2 multiplies the squared norm)."""

    gamma: float = 1.0

    d_norm: ClassVar[str] = "none"
    recipe: ClassVar[Mapping[str, Any]] = {"betas": (0.0, 0.99)}

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """D minimises E softplus(-(D(x) - D(G(z)))) + γ/2 E ‖∇D(x)‖² + γ/2 E ‖∇D(G(z))‖²."""
        x, x_fake = leaf(real), leaf(fake)
        d_real, d_fake = D(x), D(x_fake)
        R1, R2 = zero_centred(d_real, x), zero_centred(d_fake, x_fake)
        return softplus(-(d_real - d_fake)).mean() + self.gamma / 2 * (R1 + R2)

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """G minimises E softplus(-(D(G(z)) - D(x)))."""
        return softplus(-(D(fake) - D(real))).mean()


@hookimpl
def ganbench_loss() -> Loss:
    """Build the loss."""
    return RelativisticR1R2()
