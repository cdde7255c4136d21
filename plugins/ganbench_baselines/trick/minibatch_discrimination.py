"""Minibatch discrimination: D sees how close a sample is to the others of its batch (Salimans et al. 2016, 3.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganbench import GAN, DataSpec, Loss, Trick, hookimpl
from ganbench_baselines.trick.arguments import whole
from ganbench_baselines.trick.last_layer import refuse_per_sample, widen

KERNEL_DIM = 5


class Closeness(nn.Module):
    """``f[B, F] -> [B, F + K]``: o_k(x_i) = sum over j of exp(-‖M_ik - M_jk‖₁), M_i = f(x_i) T, excluding j = i."""

    def __init__(self, features: int, kernels: int) -> None:
        super().__init__()
        self.T = nn.Parameter(torch.randn(features, kernels, KERNEL_DIM) * features**-0.5)

    def forward(self, f: Tensor) -> Tensor:
        """Append the K measures of closeness: ``f[B, F] -> [B, F + K]``."""
        M = torch.einsum("bf,fkd->bkd", f, self.T)
        distance = (M[:, None] - M[None]).abs().sum(-1)
        return torch.cat([f, (-distance).exp().sum(1) - 1], 1)


class MinibatchDiscrimination(Trick):
    """``kernels``: K, the number of measures of closeness."""

    def __init__(self, kernels: int) -> None:
        self.kernels = kernels

    def loss(self, loss: Loss) -> Loss:
        """The loss, unchanged.

        Raises:
            Unsupported: it penalises D's per-sample gradient.
        """
        refuse_per_sample(loss)
        return loss

    def players(self, build: Callable[[DataSpec], GAN], data: DataSpec) -> GAN:
        """The players, with ``Closeness`` before the last layer of each D."""
        return widen(build(data), lambda features: (Closeness(features, self.kernels), self.kernels))


@hookimpl
def ganbench_trick(argument: str) -> Trick:
    """Build the trick; the argument is the number of kernels, 16 by default."""
    return MinibatchDiscrimination(whole(argument, 16, 1))
