"""Minibatch standard deviation: D sees how much the samples of a group differ (Karras et al. 2018, section 3)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganbench import GAN, DataSpec, Loss, Trick, hookimpl
from ganbench_baselines.trick.arguments import whole
from ganbench_baselines.trick.last_layer import refuse_per_sample, widen


class StandardDeviation(nn.Module):
    """``f[B, F] -> [B, F + 1]``: the mean over features of the standard deviation within a group of ``group`` samples.

    If ``group`` does not divide the batch size, the group is the whole batch.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, f: Tensor) -> Tensor:
        """Append the deviation of each sample's group: ``f[B, F] -> [B, F + 1]``."""
        size = self.group if len(f) % self.group == 0 else len(f)
        groups = f.view(size, -1, f.shape[1])  # sample i is in group i modulo B/size
        spread = (groups.var(0, unbiased=False) + 1e-8).sqrt().mean(1)
        return torch.cat([f, spread.repeat(size)[:, None]], 1)


class MinibatchStddev(Trick):
    """``group``: the number of samples that are compared with each other."""

    def __init__(self, group: int) -> None:
        self.group = group

    def loss(self, loss: Loss) -> Loss:
        """The loss, unchanged.

        Raises:
            Unsupported: it penalises D's per-sample gradient.
        """
        refuse_per_sample(loss)
        return loss

    def players(self, build: Callable[[DataSpec], GAN], data: DataSpec) -> GAN:
        """The players, with ``StandardDeviation`` before the last layer of each D."""
        return widen(build(data), lambda features: (StandardDeviation(self.group), 1))


@hookimpl
def ganbench_trick(argument: str) -> Trick:
    """Build the trick; the argument is the size of a group, 4 by default."""
    return MinibatchStddev(whole(argument, 4, 2))
