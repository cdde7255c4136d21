"""The averaged generator: an exponential moving average of G's weights, with warm-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ganbench.contracts.arch import GAN


class Average:
    """The average of a GAN's generators.

    Args:
        gan: the players, already on their device.
        decay: decay per G update, in [0, 1); 0 keeps a plain copy of the weights.
        in_memory: the device on which recorded iterations read the averaging weight; None if none are recorded.
    """

    def __init__(self, gan: GAN, decay: float, in_memory: torch.device | None = None) -> None:
        self.decay = decay
        self.gan = gan.averaged_copy()
        self._weight: float | Tensor = 1.0 if in_memory is None else torch.zeros((), device=in_memory)
        pairs = list(zip(self.gan.generators(), gan.generators(), strict=True))
        self._params: list[tuple[list[Tensor], list[Tensor]]] = [
            (list(ours.parameters()), list(theirs.parameters())) for ours, theirs in pairs
        ]
        self._buffers = [pair for a, b in pairs for pair in zip(a.buffers(), b.buffers(), strict=True)]

    def dial(self, step: int) -> None:
        """Set the weight of G in iteration ``step``; during warm-up, the average forgets faster."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        if isinstance(self._weight, Tensor):
            self._weight.fill_(1 - decay)
        else:
            self._weight = 1 - decay

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards G's weights, and copy G's buffers (batch-norm statistics)."""
        for ours, theirs in self._params:
            weight: Any = [self._weight] * len(ours) if isinstance(self._weight, Tensor) else self._weight
            torch._foreach_lerp_(ours, theirs, weight)
        for buffer, current in self._buffers:
            buffer.copy_(current)

    def values(self) -> list[Tensor]:
        """Every weight and buffer of the averaged generators."""
        return [value for module in self.gan.generators() for value in module.state_dict().values()]

    def state(self) -> list[dict[str, Any]]:
        """The state of each averaged generator, loadable with ``weights_only``."""
        return [module.state_dict() for module in self.gan.generators()]

    def restore(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Resume from ``state()``."""
        for module, weights in zip(self.gan.generators(), states, strict=True):
            module.load_state_dict(weights)
