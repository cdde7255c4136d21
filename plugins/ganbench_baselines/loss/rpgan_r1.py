"""Relativistic pairing loss with R1 only: R3GAN's loss (Huang et al., 2024) without its penalty on fakes.

    D:  min  E softplus(-(D(x) - D(G(z)))) + γ/2 E ‖∇D(x)‖²
    G:  min  E softplus(-(D(G(z)) - D(x)))

Section 2 of the paper finds that this game may diverge where ``rpgan-r1-r2`` converges: the penalty constrains D on
real data, and nothing constrains it on fakes. The loss is included for comparison.
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
class RelativisticR1:
    """``gamma``: γ, the strength of the penalty (γ/2 multiplies the squared norm)."""

    gamma: float = 1.0

    d_norm: ClassVar[str] = "none"
    recipe: ClassVar[Mapping[str, Any]] = {"betas": (0.0, 0.99)}  # those of rpgan-r1-r2

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """D minimises E softplus(-(D(x) - D(G(z)))) + γ/2 E ‖∇D(x)‖²."""
        x = leaf(real)
        d_real = D(x)
        return softplus(-(d_real - D(fake))).mean() + self.gamma / 2 * zero_centred(d_real, x)

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """G minimises E softplus(-(D(G(z)) - D(x)))."""
        return softplus(-(D(fake) - D(real))).mean()


@hookimpl
def ganbench_loss() -> Loss:
    """Build the loss."""
    return RelativisticR1()
