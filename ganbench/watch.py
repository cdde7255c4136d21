"""Finding the first iteration at which a loss or a weight left the finite numbers, without waiting for the device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

NEVER = torch.iinfo(torch.int64).max


class Fault(NamedTuple):
    """What is not finite, and since which iteration."""

    name: str
    step: int


class Watch:
    """Keeps, on the device, the first iteration at which each loss term and each weight was not finite.

    ``note`` enqueues work and never waits; ``first`` waits, and may be asked as seldom as one likes: whenever it is
    asked, it names the first fault and its iteration.

    Args:
        weights: (name, parameter) pairs.
    """

    def __init__(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        named = [(name, weight.detach()) for name, weight in weights if weight.numel()]
        self._names = tuple(f"weight {name}" for name, _ in named)
        self._weights = [weight for _, weight in named]
        self._since: dict[tuple[str, ...], Tensor] = {}  # lazy terms come and go: one tensor for each set of terms

    @torch.no_grad()
    def note(self, terms: Mapping[str, Tensor], step: int) -> None:
        """Look at the loss terms (scalars) and the weights after iteration ``step``."""
        norms = torch._foreach_norm(self._weights)  # not finite if one weight is not (or they are beyond 1e19)
        values = torch.stack([value.float() for value in (*terms.values(), *norms)])
        faulty = torch.where(values.isfinite(), NEVER, step)
        names = tuple(terms)
        self._since[names] = faulty if names not in self._since else torch.minimum(self._since[names], faulty)

    def first(self) -> Fault | None:
        """The earliest fault, if there was one; of several in one iteration a loss before a weight."""
        earliest: Fault | None = None
        for terms, since in self._since.items():
            step = int(since.min())
            if step != NEVER and (earliest is None or step < earliest.step):
                earliest = Fault((*terms, *self._names)[int(since.argmin())], step)
        return earliest
