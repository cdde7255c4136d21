"""Wasserstein GAN with a gradient penalty between real and fake samples (Gulrajani et al., 2017).

    D:  min  E D(x̃) - E D(x) + λ E (‖∇D(x̂)‖ - 1)²,  x̂ = ε x + (1 - ε) x̃,  ε ~ U[0, 1]
    G:  min  -E D(x̃)                                   (equation 3, algorithm 1)

Each sample has its own ε and its own gradient norm, so D has no batch normalisation. There are five D updates per G
update; the paper uses Adam at 1e-4 with the momenta (0, 0.9).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ganbench import Critic, Loss, hookimpl
from ganbench_baselines.loss.penalties import one_centred, uniform_per_sample


@dataclass(frozen=True)
class WassersteinGP:
    """``weight``: λ, the strength of the penalty."""

    weight: float = 10.0

    d_steps: ClassVar[int] = 5
    d_norm: ClassVar[str] = "none"
    recipe: ClassVar[Mapping[str, Any]] = {"betas": (0.0, 0.9)}

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """D minimises E D(x̃) - E D(x) + λ E (‖∇D(x̂)‖ - 1)²."""
        epsilon = uniform_per_sample(real)
        x_hat = epsilon * real + (1 - epsilon) * fake
        return D(fake).mean() - D(real).mean() + self.weight * one_centred(D, x_hat)

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """G minimises -E D(x̃)."""
        return -D(fake).mean()


@hookimpl
def ganbench_loss() -> Loss:
    """Build the loss."""
    return WassersteinGP()
