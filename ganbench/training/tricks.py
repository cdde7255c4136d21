"""Applies tricks to the loss, which is computed on each match as the tricks present it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ganbench.contracts.loss import Critic, Loss, Match
from ganbench.contracts.trick import LossAround, Trick, Turn

if TYPE_CHECKING:
    from torch import Tensor


class Shown(LossAround):
    """A loss that is computed on each match as the tricks present it."""

    def __init__(self, loss: Loss, tricks: Sequence[Trick], turn: Turn) -> None:
        super().__init__(loss)
        self.tricks, self.turn = tricks, turn

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The inner loss on the match as the tricks present it."""
        return self.inner.d_loss(*self.seen(Match(D, real, fake)))

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The inner loss on the match as the tricks present it."""
        return self.inner.g_loss(*self.seen(Match(D, real, fake)))

    def seen(self, match: Match) -> Match:
        """The match as all the tricks present it."""
        for trick in self.tricks:
            match = trick.match(match, self.turn)
        return match
