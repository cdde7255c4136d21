"""The contract of observers of a training."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from ganbench.contracts.trick import Player


class Observer(Protocol):
    """Observes the updates of a training.

    It must have no side effects: no random draws, and no changes to tensors. It does not see the rehearsal and the
    recording of an iteration, in which waiting for the device is forbidden, or replays, which run no Python.
    """

    def update(self, player: Player, step: int) -> AbstractContextManager[object]:
        """A block around one update: its batch and latents, losses, gradients and the optimiser's step.

        Args:
            player: whose update it is.
            step: the number of the iteration, from 0.
        """
