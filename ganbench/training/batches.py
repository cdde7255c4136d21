"""Training batches, drawn on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.contracts.data import Split, to_signal


class Stream:
    """Training batches, drawn with replacement by their own RNG, so that other draws do not change the data order.

    Images come in ``memory_format``, torch's term for the order of their axes in memory.
    """

    def __init__(
        self,
        split: Split,
        batch: int,
        seed: int,
        device: torch.device,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self.split, self.batch, self.device = split.to(device), batch, device
        self.memory_format = memory_format if split.x.ndim == 4 else torch.contiguous_format
        self.rng = torch.Generator(device).manual_seed(seed)

    def draw(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Draw ``real[B, *shape]`` in model range, ``labels[B]`` or None, and ``source[B, ...]`` or None."""
        index = self._index(len(self.split))
        labels = None if self.split.labels is None else self.split.labels[index]
        source = None
        if self.split.source is not None:
            given = index if self.split.paired else self._index(len(self.split.source))
            source = to_signal(self.split.source[given])
        real = to_signal(self.split.x[index]).contiguous(memory_format=self.memory_format)
        return real, labels, source

    def _index(self, n: int) -> Tensor:
        return torch.randint(n, (self.batch,), generator=self.rng, device=self.device)
