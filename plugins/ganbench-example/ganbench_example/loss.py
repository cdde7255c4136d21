"""WGAN-LP, a Wasserstein GAN that penalises only gradient norms above 1 (Petzka et al. 2018)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from ganbench import Critic, hookimpl
from torch import Tensor
from torch.nn.functional import relu


@dataclass(frozen=True)
class WassersteinLP:
    """``weight`` is λ, the strength of the gradient penalty. ``--set loss.weight=1`` changes it."""

    weight: float = 10.0

    d_steps: ClassVar[int] = 5  # as in the paper; the budget counts what D sees, so G gets a fifth of the updates
    d_norm: ClassVar[str] = "none"  # a per-sample penalty: D must not mix samples
    recipe: ClassVar[Mapping[str, Any]] = {"betas": (0.0, 0.9)}

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """D minimises E D(x̃) - E D(x) + λ E max(0, ‖∇D(x̂)‖ - 1)².

        Here x̂ = ε x + (1 - ε) x̃, with one ε ~ U[0, 1] per sample.
        """
        epsilon = torch.rand(len(real), *[1] * (real.ndim - 1), dtype=real.dtype, device=real.device)
        x = torch.lerp(fake, real, epsilon).requires_grad_(True)
        (gradient,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
        slope = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return D(fake).mean() - D(real).mean() + self.weight * relu(slope - 1).square().mean()

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """G minimises -E D(x̃)."""
        return -D(fake).mean()


@hookimpl
def ganbench_loss() -> WassersteinLP:
    """Build the loss."""
    return WassersteinLP()
