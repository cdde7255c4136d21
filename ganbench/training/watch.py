"""Finds the first iteration in which a loss or a weight was not finite, without waiting for the device."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

NEVER = torch.iinfo(torch.int64).max


class Fault(NamedTuple):
    """The name of what is not finite, and the first iteration in which it was not."""

    name: str
    step: int


class Watch:
    """Keeps, on the device, the first iteration in which each loss term and each weight was not finite.

    ``note`` enqueues work and never waits. ``first`` waits, but may be called as rarely as desired: it always names the
    first fault and its iteration.

    Args:
        weights: (name, parameter) pairs.
        at_once: the host does the computation, so ``note`` may first check whether anything is wrong at all.
    """

    def __init__(self, weights: Iterable[tuple[str, Tensor]], *, at_once: bool = False) -> None:
        self._at_once = at_once
        named = [(name, weight.detach()) for name, weight in weights if weight.numel()]
        self._names = tuple(f"weight {name}" for name, _ in named)
        self._weights = [weight for _, weight in named]
        self._since: dict[tuple[str, ...], Tensor] = {}  # lazy terms come and go: one tensor for each set of terms
        self._step = torch.zeros((), dtype=torch.int64, device=named[0][1].device if named else None)

    def go_to(self, step: int) -> None:
        """Set the number of iterations done."""
        self._step.fill_(step)

    def memory(self) -> list[Tensor]:
        """Every tensor that ``note`` changes."""
        return [self._step, *self._since.values()]

    @torch.no_grad()
    def note(self, terms: Mapping[str, Tensor]) -> None:
        """Check the loss terms (scalars) and the weights after an iteration; the first is number 1."""
        self._step.add_(1)
        norms = torch._foreach_norm(self._weights)  # not finite if one weight is not (or exceeds 1e19)
        values = torch.stack([value.float() for value in (*terms.values(), *norms)])
        if self._at_once and math.isfinite(values.sum().item()):
            return  # if the sum is not finite, each number is checked
        faulty = torch.where(values.isfinite(), NEVER, self._step)
        names = tuple(terms)
        if names not in self._since:
            self._since[names] = torch.full_like(faulty, NEVER)
        torch.minimum(self._since[names], faulty, out=self._since[names])

    def first(self) -> Fault | None:
        """The earliest fault, if any; within one iteration, losses come before weights."""
        earliest: Fault | None = None
        for terms, since in self._since.items():
            step = int(since.min())
            if step != NEVER and (earliest is None or step < earliest.step):
                earliest = Fault((*terms, *self._names)[int(since.argmin())], step)
        return earliest
