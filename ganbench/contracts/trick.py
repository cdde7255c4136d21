"""Tricks: options that act on any combination of architecture and loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ganbench.contracts.arch import GAN, Terms
from ganbench.contracts.data import Batch, DataSpec
from ganbench.contracts.loss import Critic, Loss, LossTraits, Match

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from ganbench.contracts.protocol import Recipe

Player = Literal["D", "G"]
"""Whose turn it is, or whose parameters they are."""


@dataclass(frozen=True)
class Turn:
    """Whose turn it is, and everything in play.

    ``progress`` is the share of the budget that is spent, 0 to 1. ``batch`` is what this update sees and ``fake`` the
    fakes made from it: without a gradient in D's turn, with G's in G's. ``optimizer_d`` and ``optimizer_g`` are for
    reading; a trick does not step them. ``d_objective()`` evaluates everything D minimises on this batch and these
    fakes, a scalar. ``after_d_step`` is the loss's change of D's weights after each update (clipping), if any.
    """

    player: Player
    progress: float
    batch: Batch
    fake: Any
    gan: GAN
    optimizer_d: Optimizer
    optimizer_g: Optimizer
    d_objective: Callable[[], Tensor]
    after_d_step: Callable[[Sequence[nn.Module]], None] | None = None


class Trick:
    """Acts on any combination. Override the methods you need; the others change nothing.

    Several tricks act in the order of their names. Random draws come from torch's default generator, which the core
    has seeded. A trick keeps no state between calls, as no checkpoint would hold it: anything that must last becomes a
    buffer of the networks, added by ``players``.
    """

    d_norm: str | None = None
    """The normalisation that D is built with, instead of the architecture's own: ``"spectral"`` or ``"none"``."""

    def recipe(self, recipe: Recipe) -> Mapping[str, Any]:
        """Settings laid over the recipe as protocol, arch and loss left it (``--set`` has the last word)."""
        return {}

    def players(self, build: Callable[[DataSpec], GAN], data: DataSpec) -> GAN:
        """Build the players, or change what was built: weights, layers, initialisation.

        Called once, before training, with torch's default generator seeded.

        Raises:
            Unsupported: the trick does not work with this architecture or these data.
        """
        return build(data)

    def loss(self, loss: Loss) -> Loss:
        """The objective to use instead; it keeps the traits (``d_steps`` and the like) of the one it is given.

        Raises:
            Unsupported: the trick has no meaning for this loss.
        """
        return loss

    def match(self, match: Match, turn: Turn) -> Match:
        """What the loss is played on: ``D``, ``real[B, *shape]`` and ``fake[B, *shape]``, in both players' turns."""
        return match

    def g_objective(self, objective: Callable[[], Terms], turn: Turn) -> Terms:
        """What G minimises; ``objective()`` is what it would be otherwise."""
        return objective()

    def gradients(self, params: Sequence[Tensor], player: Player) -> None:
        """Change ``p.grad`` in place, between the backward pass and the optimiser's step."""


class LossAround:
    """Wraps a loss and keeps its traits; override what should differ."""

    def __init__(self, loss: Loss) -> None:
        self.inner = loss
        for trait, value in vars(LossTraits(loss)).items():
            setattr(self, trait, value)

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The inner loss's ``d_loss``."""
        return self.inner.d_loss(D, real, fake)

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The inner loss's ``g_loss``."""
        return self.inner.g_loss(D, real, fake)
