"""The contract of whatever watches a training from outside."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from ganbench.contracts.trick import Player


class Observer(Protocol):
    """Sees the updates of a training as they are played.

    It must leave no trace: it draws no random number and changes no tensor within its reach. It sees neither the
    rehearsal and the recording of an iteration, where waiting for the device is forbidden, nor replays, which run no
    Python.
    """

    def update(self, player: Player, step: int) -> AbstractContextManager[object]:
        """A block around one update: its batch and latents, losses, gradients and the optimiser's step.

        Args:
            player: whose update it is.
            step: the number of the iteration, from 0.
        """
