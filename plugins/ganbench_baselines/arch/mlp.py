"""Fully connected GAN (Goodfellow et al. 2014), for points and small images."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import nn

from ganbench import GAN, DataSpec, Unsupported, hookimpl
from ganbench_baselines.arch.blocks import check_norm, weighted

IMAGE_HIDDEN = (256, 512, 1024)


def generator(data: DataSpec, hidden: tuple[int, ...], z_dim: int, batch_norm: bool) -> nn.Module:
    """``z[B, Z] -> x[B, *shape]`` through ReLU layers; ends in tanh if the data lie in [-1, 1]."""
    layers: list[nn.Module] = []
    for before, after in pairwise((z_dim, *hidden)):
        layers.append(nn.Linear(before, after, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm1d(after))
        layers.append(nn.ReLU(inplace=True))
    layers.append(nn.Linear(hidden[-1], math.prod(data.shape)))
    if data.bounded:
        layers.append(nn.Tanh())
    return nn.Sequential(*layers, nn.Unflatten(1, data.shape))


def discriminator(data: DataSpec, hidden: tuple[int, ...], norm: str, dropout: float) -> nn.Module:
    """``x[B, *shape] -> logit[B]`` through LeakyReLU 0.2 layers."""
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise((math.prod(data.shape), *hidden)):
        layers += [weighted(nn.Linear(before, after), norm), nn.LeakyReLU(0.2, inplace=True)]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, weighted(nn.Linear(hidden[-1], 1), norm), nn.Flatten(0))


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int) -> GAN:
    """Build three layers of ``width`` units for points; for images, 256-512-1024 units in G and the reverse in D.

    For images, D has dropout 0.3 and G has batch norm. Without batch norm, G learns only the mean image (non-saturating
    on digits-16-v1: FID 31 and no class covered).

    Raises:
        Unsupported: the data are neither points nor images, or the loss requires a normalisation that D does not
            support.
    """
    norm = check_norm(d_norm, "none")
    if len(data.shape) == 1:
        hidden = (width, width, width)
        return GAN(generator(data, hidden, z_dim, False), discriminator(data, hidden, norm, 0.0), z_dim)
    if len(data.shape) == 3:
        g, d = generator(data, IMAGE_HIDDEN, z_dim, True), discriminator(data, IMAGE_HIDDEN[::-1], norm, 0.3)
        return GAN(g, d, z_dim, recipe={"lr": 2e-4})  # DCGAN tolerates ten times this rate; these layers do not
    raise Unsupported(f"needs points or images, not {data}")
