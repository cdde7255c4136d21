"""Penalties on the gradient of D with respect to its input, with one norm per sample, not per batch."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench import Critic


def leaf(x: Tensor) -> Tensor:
    """The same samples, not copied, as a leaf tensor at which to differentiate D; ``x`` itself stays unchanged."""
    return x.detach().requires_grad_(True)


def input_gradient(logit: Tensor, x: Tensor) -> Tensor:
    """``logit = D(x)[B], x[B, *shape] -> grad[B, F]``, differentiable with respect to D's parameters.

    The gradient of the *sum* contains the gradient of each sample if no sample affects the logit of another. That is
    why these losses require a D without batch normalisation.
    """
    (gradient,) = torch.autograd.grad(logit.sum(), x, create_graph=True)
    return gradient.flatten(1)


def zero_centred(logit: Tensor, x: Tensor) -> Tensor:
    """``E ‖∇D(x)‖²`` from the logits at ``x = leaf(...)``, computed without a square root."""
    return input_gradient(logit, x).square().sum(1).mean()


def one_centred(D: Critic, x: Tensor) -> Tensor:
    """``E (‖∇D(x)‖ - 1)²``.

    At a gradient of exactly zero the norm has no derivative, and ``sqrt`` would give NaN. ``vector_norm`` uses the
    subgradient 0 there, and, unlike an added epsilon, does not bias any other point.
    """
    x = leaf(x)
    norm = torch.linalg.vector_norm(input_gradient(D(x), x), dim=1)
    return (norm - 1).square().mean()


def uniform_per_sample(x: Tensor) -> Tensor:
    """``U[0, 1)`` of shape ``[B, 1, ..., 1]``: one draw for each sample of ``x[B, *shape]``."""
    return torch.rand(len(x), *[1] * (x.dim() - 1), dtype=x.dtype, device=x.device)
