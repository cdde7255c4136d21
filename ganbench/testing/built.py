"""A GAN under test, and helpers that checks share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.contracts.arch import GAN, Lazy, Terms
from ganbench.contracts.data import Batch, DataSpec
from ganbench.contracts.loss import Match
from ganbench.device.untouched import in_eval_mode
from ganbench.testing.randomness import rng

SAMPLES = 8


@dataclass(frozen=True)
class Built:
    """A GAN under test, the data it was built for, and how to build it again.

    ``asked`` is the requested normalisation of D, or None. ``judges_alone`` says whether a loss with a per-sample
    penalty would get this D. ``gan`` is never changed: checks that train or fill it use a ``copy``.
    """

    gan: GAN
    data: DataSpec
    asked: str | None
    judges_alone: bool
    again: Callable[[], GAN]

    def copy(self) -> GAN:
        """A copy of the players that may be changed."""
        return copy.deepcopy(self.gan)

    def batch(self, gan: GAN, n: int = SAMPLES, seed: int = 1) -> Batch:
        """A batch with noise as its ``n`` real samples, with latents, and with labels and sources if the data do."""
        noise = rng(seed)
        real = torch.rand(n, *self.data.shape, generator=noise) * 2 - 1
        labels = torch.arange(n) % self.data.classes if self.data.classes else None
        given = self.data.source
        source = None if given is None else torch.rand(n, *given, generator=noise) * 2 - 1
        return Batch(real, gan.sample_latent(n, rng(seed)), labels, source, 0)

    def matches(self, gan: GAN, seed: int = 1) -> Sequence[Match]:
        """The matches of a batch, with fakes without gradients."""
        batch = self.batch(gan, seed=seed)
        return gan.matches(batch, without_gradient(gan, batch))


def without_gradient(gan: GAN, batch: Batch) -> Any:
    """Fakes as D gets them in its own update."""
    with torch.no_grad():
        return gan.fake(batch)


def sampled(gan: GAN, batch: Batch) -> Tensor:
    """Samples, drawn as the core does."""
    with torch.inference_mode(), in_eval_mode(gan):
        return gan.sample(batch)


def first_of(batch: Batch, n: int) -> Batch:
    """The first ``n`` samples of a batch."""
    labels = None if batch.labels is None else batch.labels[:n]
    source = None if batch.source is None else batch.source[:n]
    return Batch(batch.real[:n], batch.z[:n], labels, source, batch.step)


def total_of(terms: Terms) -> Tensor:
    """A player's whole objective, including every lazy term."""
    return torch.stack([t.compute() if isinstance(t, Lazy) else t for t in terms.values()]).sum()


def gradients_of(terms: Terms, weights: list[nn.Parameter]) -> Sequence[Tensor | None]:
    """The gradient of the total with respect to each weight; None for a weight that it does not depend on."""
    if not weights:
        return ()
    return torch.autograd.grad(total_of(terms), weights, allow_unused=True, retain_graph=True)


def reaches(value: Tensor, inputs: Sequence[Tensor]) -> bool:
    """Whether a value, or the sum of several, has a nonzero gradient with respect to any of the inputs."""
    if not value.requires_grad:
        return False
    gradients = torch.autograd.grad(value.sum(), inputs, allow_unused=True)
    return any(g is not None and bool(g.any()) for g in gradients)


def flat(params: Any) -> list[nn.Parameter]:
    """Parameters as one list, from parameters or parameter groups."""
    return [p for item in params for p in (flat(item["params"]) if isinstance(item, dict) else [item])]


def same_values(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal; NaN equals NaN."""
    return torch.equal(one.nan_to_num(), other.nan_to_num()) if one.is_floating_point() else torch.equal(one, other)


def some(names: list[str]) -> str:
    """Up to three of the names, and the number of the others."""
    shown = ", ".join(sorted(names)[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
