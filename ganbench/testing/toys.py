"""Plain players and losses, known to be correct: the subjects for tricks, and the baseline for speed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganbench.contracts.arch import GAN, count_parameters
from ganbench.contracts.data import DataSpec
from ganbench.contracts.loss import Critic

Z_DIM = 8
WIDTH = 8
WIDEST = 1024


class Logistic:
    """The simplest loss that trains both players."""

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """Cross-entropy on real samples and on fakes."""
        return softplus(-D(real)).mean() + softplus(D(fake)).mean()

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """Cross-entropy on fakes that D should take for real samples."""
        return softplus(-D(fake)).mean()


class Demanding(Logistic):
    """The logistic loss with every trait that a loss can have."""

    d_steps = 3
    d_norm = "none"
    recipe: ClassVar[Mapping[str, Any]] = {"betas": (0.0, 0.9)}

    def after_d_step(self, discriminators: object) -> None:
        """Do nothing; a trick that wraps the loss must keep this method."""


class Penalised(Demanding):
    """A Wasserstein loss with a gradient penalty (Gulrajani et al. 2017)."""

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The estimated distance, negated, plus the penalty at random points between real samples and fakes."""
        share = torch.rand(len(real), *[1] * (real.dim() - 1), dtype=real.dtype, device=real.device)
        x = torch.lerp(real, fake, share).detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
        norm: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return D(fake).mean() - D(real).mean() + 10 * (norm - 1).square().mean()

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The part of the estimated distance that depends on G."""
        return -D(fake).mean()


def toy(data: DataSpec, width: int = WIDTH) -> GAN:
    """Two small networks: convolutional for arrays whose sides are multiples of 4, otherwise of two layers."""
    space = data.shape[1:]
    if not 1 <= len(space) <= 3 or any(side % 4 for side in space):
        return _flat(data, width)
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(space) - 1]
    back = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[len(space) - 1]
    small = tuple(side // 4 for side in space)
    features = 2 * width * math.prod(small)
    g = nn.Sequential(
        nn.Linear(Z_DIM, features),
        nn.Unflatten(1, (2 * width, *small)),
        nn.ReLU(),
        back(2 * width, width, 4, 2, 1),
        nn.ReLU(),
        back(width, data.shape[0], 4, 2, 1),
        *([nn.Tanh()] if data.bounded else []),
    )
    d = nn.Sequential(
        conv(data.shape[0], width, 4, 2, 1),
        nn.LeakyReLU(0.2),
        conv(width, 2 * width, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(features, 1),
        nn.Flatten(0),
    )
    return GAN(g, d, Z_DIM)


def _flat(data: DataSpec, width: int) -> GAN:
    size = math.prod(data.shape)
    end = [nn.Tanh()] if data.bounded else []
    g = nn.Sequential(
        nn.Linear(Z_DIM, 2 * width), nn.ReLU(), nn.Linear(2 * width, size), *end, nn.Unflatten(1, data.shape)
    )
    d = nn.Sequential(
        nn.Flatten(), nn.Linear(size, 2 * width), nn.LeakyReLU(0.2), nn.Linear(2 * width, 1), nn.Flatten(0)
    )
    return GAN(g, d, Z_DIM)


def toy_of_size(data: DataSpec, parameters: int) -> GAN:
    """The toy whose number of parameters is nearest to ``parameters``."""
    widths = [1]
    while widths[-1] < WIDEST:
        widths.append(max(widths[-1] + 1, widths[-1] * 5 // 4))
    with torch.device("meta"):  # only counted, never initialised
        sizes = {width: count_parameters([toy(data, width)]) for width in widths}
    return toy(data, min(widths, key=lambda width: abs(sizes[width] - parameters)))
