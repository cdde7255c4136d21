"""How tricks reach the loss: it is played on what they make of each match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ganbench.contracts.arch import Match
from ganbench.contracts.loss import Critic, Loss

if TYPE_CHECKING:
    from torch import Tensor

from ganbench.contracts.trick import Trick, Turn


class Shown:
    """A loss that is played on what tricks make of each match."""

    def __init__(self, loss: Loss, tricks: Sequence[Trick], turn: Turn) -> None:
        self.loss, self.tricks, self.turn = loss, tricks, turn

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The loss's own ``d_loss``."""
        return self.loss.d_loss(*self._seen(Match(D, real, fake)))

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The loss's own ``g_loss``."""
        return self.loss.g_loss(*self._seen(Match(D, real, fake)))

    def _seen(self, match: Match) -> Match:
        for trick in self.tricks:
            match = trick.match(match, self.turn)
        return match
