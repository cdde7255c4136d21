"""Least-squares GAN: D regresses real and fake samples onto two targets (Mao et al., 2017).

    D:  min  ½ E (D(x) - b)² + ½ E (D(G(z)) - a)²
    G:  min  ½ E (D(G(z)) - c)²                        (equation 2)

The defaults are the 0-1 coding of equation 9; ``a = -1, b = 1, c = 0`` is equation 8, the Pearson χ²
divergence. The paper trains with Adam, beta1 = 0.5, at 2e-4 or 1e-3 depending on the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ganbench import Critic, Loss, hookimpl


@dataclass(frozen=True)
class LeastSquares:
    """User settings.

    Args:
        a: D's target for fakes.
        b: D's target for real samples.
        c: G's target for D on fakes.
    """

    a: float = 0.0
    b: float = 1.0
    c: float = 1.0

    recipe: ClassVar[Mapping[str, Any]] = {"betas": (0.5, 0.999)}
    scale: ClassVar[float] = 0.5  # CycleGAN and others weigh their terms against E (D(G(z)) - c)²

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """D minimises ½ E (D(x) - b)² + ½ E (D(G(z)) - a)²."""
        return 0.5 * (D(real) - self.b).square().mean() + 0.5 * (D(fake) - self.a).square().mean()

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """G minimises ½ E (D(G(z)) - c)²."""
        return 0.5 * (D(fake) - self.c).square().mean()


@hookimpl
def ganbench_loss() -> Loss:
    """Build the loss."""
    return LeastSquares()
