"""The contract of a trick: a modification that works with any combination of architecture and loss."""

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
"""The player whose turn it is, or who owns the parameters."""


@dataclass(frozen=True)
class Turn:
    """One discriminator or generator step, and everything involved in it.

    Args:
        player: whose step it is.
        progress: the share of the budget spent so far, 0 to 1.
        batch: what this update sees.
        fake: the fakes made from the batch. They carry a gradient only in the generator step.
        gan: the players.
        optimizer_d: D's optimiser. Read it, but do not step it.
        optimizer_g: G's optimiser. Read it, but do not step it.
        d_objective: returns everything D minimises on this batch and these fakes, as a scalar.
        after_d_step: what the loss does to D's weights after each D update, such as clipping, or None.
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
    """Modifies training for any combination. Override the methods you need; the others change nothing.

    GANBench applies several tricks in the order of their names. Draw random numbers from torch's default generator,
    which the core has seeded. A trick keeps no state between calls, because checkpoints would not save it. For anything
    that must last, register a buffer in the networks, in ``players``.
    """

    d_norm: str | None = None
    """The normalisation that D is built with instead: ``"spectral"``, ``"none"``, or None for no change."""

    def recipe(self, recipe: Recipe) -> Mapping[str, Any]:
        """Return settings that override the recipe of protocol, arch and loss. ``--set`` overrides them in turn."""
        return {}

    def players(self, build: Callable[[DataSpec], GAN], data: DataSpec) -> GAN:
        """Build the players with ``build(data)``, and change their weights, layers or initialisation.

        Called once, before training, with torch's default generator seeded.

        Raises:
            Unsupported: the trick does not support this architecture or these data.
        """
        return build(data)

    def loss(self, loss: Loss) -> Loss:
        """Return the loss to use instead. It must keep the optional attributes of ``loss``, such as ``d_steps``.

        Raises:
            Unsupported: the trick does not apply to this loss.
        """
        return loss

    def match(self, match: Match, turn: Turn) -> Match:
        """Return the ``D``, ``real[B, *shape]`` and ``fake[B, *shape]`` to compute the loss on, in D and G steps."""
        return match

    def g_objective(self, objective: Callable[[], Terms], turn: Turn) -> Terms:
        """Return what G minimises. ``objective()`` returns the terms without this trick."""
        return objective()

    def gradients(self, params: Sequence[Tensor], player: Player) -> None:
        """Change ``p.grad`` in place, between the backward pass and the optimiser step."""


class LossAround:
    """Wraps a loss and keeps its optional attributes. Override what should differ."""

    def __init__(self, loss: Loss) -> None:
        self.inner = loss
        for trait, value in vars(LossTraits(loss)).items():
            setattr(self, trait, value)

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """Return the inner loss's ``d_loss``."""
        return self.inner.d_loss(D, real, fake)

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """Return the inner loss's ``g_loss``."""
        return self.inner.g_loss(D, real, fake)
