"""SNGAN (Miyato et al. 2018): ResNets, with every layer of D spectrally normalised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from torch import nn

from ganbench import GAN, DataSpec, Unsupported, hookimpl, settings_of
from ganbench_baselines.arch.blocks import check_norm, weighted
from ganbench_baselines.arch.resnet import (
    BatchNorm,
    Discriminator,
    DownBlock,
    Generator,
    Layer,
    Norm,
    UpBlock,
    square_plan,
)

SMALL = 3  # doublings: up to 32 px, the networks are the CIFAR-10 ones, above that the ImageNet ones
WIDEST = 16


@dataclass(frozen=True)
class Settings:
    """``spectral``: False leaves spectral normalisation out of D, for losses that do not require it."""

    spectral: bool = True


def spectral_or_none(d_norm: str | None, wanted: bool) -> str:
    """The normalisation of D: the one that the loss requires, or else spectral normalisation if ``wanted``.

    Raises:
        Unsupported: the loss requires spectral normalisation, which the user has switched off.
    """
    if d_norm == "spectral" and not wanted:
        raise Unsupported(
            "the loss asks for spectral normalisation in D, but arch.spectral=false leaves it out",
            "choose a loss that does not ask for it: --loss non-saturating",
        )
    return check_norm(d_norm, "spectral" if wanted else "none")


def generator(data: DataSpec, width: int, z_dim: int, norm: Norm = BatchNorm) -> Generator:
    """``z[B, Z] -> x[B, C, S, S]`` in [-1, 1]; the paper's at Z = 128 and width 128 (32 px) or 64 (128 px).

    In appendix B.4, all maps for CIFAR-10 have 256 channels, twice the width; 16 px images get half as many. The blocks
    for ImageNet have 1024, 512, 256, 128 and 64 output channels; 64 px images get one block fewer.
    """
    colours, doublings = square_plan(data)
    if doublings <= SMALL:
        maps = [width * 2 ** (doublings - 2)] * (doublings + 1)
    else:
        maps = [width * min(2**left, WIDEST) for left in reversed(range(doublings + 1))]
    dense = initialised(nn.Linear(z_dim, maps[0] * 16), 1.0)
    blocks = [UpBlock(before, after, convolution, norm) for before, after in pairwise(maps)]
    return Generator(dense, blocks, initialised(nn.Conv2d(maps[-1], colours, 3, padding=1), 1.0))


def discriminator(data: DataSpec, width: int, norm: str, classes: int = 0) -> Discriminator:
    """``x[B, C, S, S] -> logit[B]``; with ``classes``, D also takes labels[B], by projection.

    For CIFAR-10 there are four blocks of 128 channels, of which the last two keep the map at 8x8; at 16 px the last
    three do. For ImageNet the blocks have 64, 128, 256, 512, 1024 and 1024 channels, and the last one keeps the map at
    4x4; 64 px images get one block fewer.
    """
    colours, doublings = square_plan(data)
    maps, halvings = [width] * 4, doublings - 1
    if doublings > SMALL:
        maps, halvings = [width * min(2**block, WIDEST) for block in range(doublings + 1)], doublings
    head = weighted(initialised(nn.Linear(maps[-1], 1), 1.0), norm)
    conv = partial(convolution, d_norm=norm)
    blocks = [DownBlock(colours, maps[0], maps[0], conv, first=True)]
    for index, (before, after) in enumerate(pairwise(maps), start=1):
        blocks.append(DownBlock(before, before, after, conv, down=index < halvings))
    embedding = weighted(initialised(nn.Embedding(classes, maps[-1]), 1.0), norm) if classes else None
    return Discriminator(nn.Sequential(*blocks), head, embedding)


def convolution(kind: type[nn.Conv2d], before: int, after: int, side: int, d_norm: str = "none") -> nn.Module:
    """A padded convolution; only ``kind`` changes the map's size. Shortcuts (1x1) have no ReLU, so their gain is 1."""
    conv = kind(before, after, side, padding=side // 2)
    return weighted(initialised(conv, math.sqrt(2) if side > 1 else 1.0), d_norm)


def initialised(layer: Layer, gain: float) -> Layer:
    """Uniform weights (Glorot and Bengio 2010) times ``gain``, biases 0."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if not isinstance(layer, nn.Embedding) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int, settings: Mapping[str, Any]) -> GAN:
    """Build the ResNets for square images with a side of 16, 32, 64 or 128 pixels; labels are not used.

    Raises:
        Unsupported: the data have another shape, or the loss requires a normalisation that D does not support.
    """
    chosen = settings_of(Settings, settings)
    norm = spectral_or_none(d_norm, chosen.spectral)
    return GAN(generator(data, width, z_dim), discriminator(data, width, norm), z_dim, settings=chosen)
