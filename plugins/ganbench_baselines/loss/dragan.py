"""DRAGAN: the non-saturating game with a gradient penalty around the real data (Kodali et al., 2017).

    D:  min  -E log σ(D(x)) - E log(1 - σ(D(G(z)))) + λ E (‖∇D(x + δ)‖ - 1)²
    G:  min  -E log σ(D(G(z)))                         (the penalty: equation 1)

The paper's last version draws δ ~ N(0, c I), with c about 10, on the scale of its pixels. The δ here is that of the
authors' code (kodalinaveen3/DRAGAN), which scales with the data and so suits any data:

    δ = α · ½ std(x) · u,  u ~ U[0, 1] for every element,  α ~ U[0, 1] for every sample

with std over the whole batch. α comes from their interpolation between x and the perturbed x. As in the authors' code,
δ is never negative, and x + δ may leave [-1, 1].

The authors' code uses Adam at 1e-4 with (0.5, 0.9). The momenta here are DCGAN's, so that this loss differs from the
non-saturating one only in the penalty and the normalisation of D that it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ganbench import Critic, Loss, hookimpl
from ganbench_baselines.loss.penalties import one_centred, uniform_per_sample


@dataclass(frozen=True)
class Dragan:
    """User settings.

    Args:
        weight: λ, the strength of the penalty.
        reach: the largest perturbation, in standard deviations of the batch.
    """

    weight: float = 10.0
    reach: float = 0.5

    d_norm: ClassVar[str] = "none"
    recipe: ClassVar[Mapping[str, Any]] = {"betas": (0.5, 0.999)}

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """D minimises -E log σ(D(x)) - E log(1 - σ(D(G(z)))) + λ E (‖∇D(x + δ)‖ - 1)²."""
        alpha, u = uniform_per_sample(real), torch.rand_like(real)
        delta = alpha * self.reach * real.std(correction=0) * u
        game = softplus(-D(real)).mean() + softplus(D(fake)).mean()
        return game + self.weight * one_centred(D, real + delta)

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """G minimises -E log σ(D(G(z)))."""
        return softplus(-D(fake)).mean()


@hookimpl
def ganbench_loss() -> Loss:
    """Build the loss."""
    return Dragan()
