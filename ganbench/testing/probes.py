"""Critics with prescribed logits, to analyse a loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganbench.contracts.loss import Loss
from ganbench.testing.findings import scalar
from ganbench.testing.randomness import seeded

LOGITS = (-80.0, -50.0, -5.0, -1.0, 0.0, 1.0, 5.0, 50.0, 80.0)
"""The logits at which losses are probed: D undecided, D sure, and D as sure as in a failing run."""

ROWS = 8
REAL, FAKE = 1.0, -1.0


class Told:
    """A critic of pairs ``x[B, 2]`` = (logit, role) that returns the first column.

    Each output has its own differentiable offset of zero, so that a loss can be differentiated with respect to D's
    logits of real samples (role 1) and of fakes (role -1), whatever the loss detaches. Its slope is 1 everywhere, so a
    gradient penalty adds a constant.
    """

    def __init__(self) -> None:
        self.said: list[tuple[Tensor, Tensor]] = []

    def __call__(self, x: Tensor) -> Tensor:
        """Return the first column, and keep the roles and the offsets."""
        offset = torch.zeros(len(x), dtype=x.dtype, requires_grad=True)
        self.said.append((x.detach()[:, 1], offset))
        return x[:, 0] + offset

    def slopes(self, value: Tensor) -> tuple[float, float]:
        """The derivatives of ``value`` with respect to a shift of all real logits, and of all fake logits."""
        if not value.requires_grad or not self.said:
            return 0.0, 0.0
        gradients = torch.autograd.grad(value, [offset for _, offset in self.said], allow_unused=True)
        by_role = {REAL: 0.0, FAKE: 0.0}
        for (role, _), gradient in zip(self.said, gradients, strict=True):
            for wanted in by_role if gradient is not None else ():
                by_role[wanted] += float(gradient[(role - wanted).abs() < 0.5].double().sum())
        return by_role[REAL], by_role[FAKE]


def carrying(logit: float, role: float, rows: int = ROWS) -> Tensor:
    """``x[rows, 2]`` for which ``Told`` returns ``logit``."""
    return torch.tensor([[logit, role]]).repeat(rows, 1)


class Sloped:
    """A critic that is undecided about everything, with a separate gradient for each row.

    The logit is 0; the gradient at row i is ``slope[i]`` times ``direction``, which has norm 1. So the norms are known
    wherever a loss evaluates its penalty.
    """

    def __init__(self, slope: Tensor, direction: Tensor) -> None:
        self.slope, self.direction = slope, direction

    def __call__(self, x: Tensor) -> Tensor:
        """Return logits of 0."""
        along = (x * self.direction).flatten(1).sum(1)
        return self.slope[torch.arange(len(x)) % len(self.slope)] * (along - along.detach())


class Spy:
    """Stores the samples that a critic is given."""

    def __init__(self, critic: Callable[[Tensor], Tensor]) -> None:
        self.critic, self.shown = critic, list[Tensor]()

    def __call__(self, x: Tensor) -> Tensor:
        """Store the samples, and return the critic's logits."""
        self.shown.append(x.detach())
        return self.critic(x)


def small_critic(features: int) -> nn.Module:
    """A smooth critic with a few weights, ``x[B, ...] -> logit[B]``."""
    hidden = nn.Linear(features, 7)
    return nn.Sequential(nn.Flatten(), hidden, nn.Tanh(), nn.Linear(7, 1), nn.Flatten(0))


class Slope(NamedTuple):
    """A loss's value, and its derivatives with respect to both logits, at D(x) = ``real`` and D(G(z)) = ``fake``."""

    real: float
    fake: float
    value: float
    by_real: float
    by_fake: float

    def __str__(self) -> str:
        return f"D(real) = {self.real:g}, D(fake) = {self.fake:g}"


@dataclass(frozen=True)
class LossCase:
    """A loss under test; ``like`` names the textbook loss that it claims to be, or is empty."""

    loss: Loss
    like: str = ""

    @cached_property
    def d_slopes(self) -> list[Slope]:
        """The slopes of ``d_loss`` at every pair of ``LOGITS``."""
        return self._slopes(self.loss.d_loss)

    @cached_property
    def g_slopes(self) -> list[Slope]:
        """The slopes of ``g_loss`` at every pair of ``LOGITS``."""
        return self._slopes(self.loss.g_loss)

    @staticmethod
    def _slopes(play: Callable[..., Tensor]) -> list[Slope]:
        table = []
        for real in LOGITS:
            for fake in LOGITS:
                critic = Told()
                with seeded(0):
                    value = play(critic, carrying(real, REAL), carrying(fake, FAKE))
                table.append(Slope(real, fake, scalar(value), *critic.slopes(value)))
        return table

    def penalty(self, slope: Tensor, direction: Tensor) -> Tensor:
        """``d_loss`` for an undecided critic with these slopes, one per row.

        Uses the same random numbers each time.
        """
        samples = torch.zeros(len(slope), *direction.shape)
        with seeded(0):
            samples += torch.randn(samples.shape)
            return self.loss.d_loss(Sloped(slope, direction), samples, samples.flip(0))

    @cached_property
    def penalised(self) -> bool:
        """Whether ``d_loss`` depends on the slope of D at equal logits."""
        values = {round(scalar(self.penalty(torch.full((4,), k), along(6))), 5) for k in (0.2, 1.0, 3.0)}
        return len(values) > 1


def along(*shape: int, evenly: bool = False) -> Tensor:
    """A direction of norm 1: the first coordinate, or all of them evenly."""
    if evenly:
        return torch.full(shape, math.prod(shape) ** -0.5)
    direction = torch.zeros(shape)
    direction.view(-1)[0] = 1.0
    return direction
