"""One-sided label smoothing: D's target for real samples is 0.9 instead of 1 (Salimans et al. 2016, section 3.4).

For the sigmoid cross-entropy, target s instead of 1 adds (1 - s) E D(x) to the loss, since softplus(t) - softplus(-t)
= t; for least squares with targets 0 and 1 it adds the same plus a constant. So that term *is* the trick, for any loss
that has a target for D's logit. A loss that only compares logits (Wasserstein, relativistic) has no target to smooth;
the term would drive all its logits to minus infinity.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench import Critic, Loss, LossAround, Trick, Unsupported, hookimpl
from ganbench_baselines.trick.arguments import number


class Smoothed(LossAround):
    """The loss with target ``target`` for real samples."""

    def __init__(self, loss: Loss, target: float) -> None:
        super().__init__(loss)
        self.target = target

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """D minimises L(D) + (1 - s) E D(x)."""
        said = []

        def overheard(x: Tensor) -> Tensor:
            logit = D(x)
            if x is real:
                said.append(logit)
            return logit

        loss = self.inner.d_loss(overheard, real, fake)
        return loss + (1 - self.target) * (said or [D(real)])[0].mean()


class LabelSmoothing(Trick):
    """``target``: s, the probability that D should give a real sample."""

    def __init__(self, target: float) -> None:
        self.target = target

    def loss(self, loss: Loss) -> Loss:
        """The loss with its target for real samples smoothed.

        Raises:
            Unsupported: the loss has no target for D's logit.
        """
        smoothed = Smoothed(loss, self.target)
        if constant_d(smoothed, -1e4) < constant_d(smoothed, 0.0):
            raise Unsupported("it only compares D's logits of real and fake samples, so there is no target to smooth")
        return smoothed


def constant_d(loss: Loss, logit: float) -> float:
    """D's loss if D gives every sample this logit."""
    x = torch.zeros(2, 1, requires_grad=True)

    def D(x: Tensor) -> Tensor:
        return logit + 0 * x.flatten(1).sum(1)

    return loss.d_loss(D, x, x).item()


@hookimpl
def ganbench_trick(argument: str) -> Trick:
    """Build the trick; the argument is s, 0.9 by default."""
    return LabelSmoothing(number(argument, 0.9, 0.5, 1.0))
