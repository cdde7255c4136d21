"""BigGAN (Brock et al. 2019) scaled down to small images: every component of the paper, with fewer blocks.

These are a shared class embedding, a latent split among the blocks of G, class-conditional batch normalisation,
projection in D (Miyato and Koyama 2018), self-attention (Zhang et al. 2019), spectral normalisation in both players,
and orthogonal initialisation and regularisation. At 128 px, width 96 and Z = 120, the networks are those of appendix B.
Latent truncation is left out, because it is not part of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Annotated, Any

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from ganbench import GAN, Batch, DataSpec, Terms, Unsupported, hookimpl, settings_of
from ganbench_baselines.arch.blocks import check_norm, weighted
from ganbench_baselines.arch.conditional import ConditionalGAN, refuse_unlabelled
from ganbench_baselines.arch.resnet import (
    SIDES,
    BatchNorm,
    ConditionalBatchNorm,
    Discriminator,
    DownBlock,
    Layer,
    UpBlock,
    square_plan,
)

SHARED = 128  # dimensions of the class embedding, at any width


@dataclass(frozen=True)
class Settings:
    """User settings.

    Args:
        attention: self-attention in both players, on the map with half the image's side (as in the paper at 128 px).
        orthogonal: β, the weight of the orthogonal regularisation of G; 0 for none.
    """

    attention: bool = True
    orthogonal: Annotated[float, Meta(ge=0)] = 1e-4


class SelfAttention(nn.Module):
    """``x[B, C, S, S] -> x + γ o(...)``: each position attends to all positions of the map at half resolution.

    γ starts at 0, which leaves x unchanged (Zhang et al. 2019, section 3; the halving is from their code).
    """

    def __init__(self, channels: int, conv: partial[nn.Module]) -> None:
        super().__init__()
        narrow, half = max(channels // 8, 1), max(channels // 2, 1)
        self.query, self.key = conv(nn.Conv2d, channels, narrow, 1), conv(nn.Conv2d, channels, narrow, 1)
        self.value, self.out = conv(nn.Conv2d, channels, half, 1), conv(nn.Conv2d, half, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Add the attention output: ``[B, C, S, S] -> [B, C, S, S]``."""
        query = self.query(x).flatten(2)  # [B, C/8, SS]
        key, value = (max_pool2d(part(x), 2).flatten(2) for part in (self.key, self.value))
        seen = (query.transpose(1, 2) @ key).softmax(dim=2)  # [B, SS, SS/4]
        mixed = (value @ seen.transpose(1, 2)).view(len(x), -1, *x.shape[2:])
        return x + self.gamma * self.out(mixed)


class Generator(nn.Module):
    """``z[B, Z], labels[B] -> x[B, C, S, S]`` in [-1, 1].

    z is split into one part for the first layer and one for each block. A block is conditioned on its part concatenated
    with the class embedding (section 3.1).
    """

    def __init__(self, data: DataSpec, width: int, z_dim: int, attention: bool) -> None:
        super().__init__()
        colours, doublings = square_plan(data)
        if z_dim <= doublings:
            raise Unsupported(f"splits z into {doublings + 1} parts, but z_dim is {z_dim}", "choose a larger z_dim")
        maps = [width * 2**left for left in reversed(range(doublings))]
        maps = [maps[0], *maps]
        first, *parts = (len(part) for part in torch.arange(z_dim).tensor_split(doublings + 1))
        self.embedding = nn.Embedding(data.classes, SHARED)
        nn.init.orthogonal_(self.embedding.weight)
        self.dense = linear(first, maps[0] * 16, "spectral")
        conv = partial(convolution, d_norm="spectral")
        self.blocks = nn.ModuleList()
        for (before, after), part in zip(pairwise(maps), parts, strict=True):
            project = partial(linear, SHARED + part, d_norm="spectral", bias=False)
            self.blocks.append(UpBlock(before, after, conv, partial(ConditionalBatchNorm, project=project)))
        self.attention = SelfAttention(maps[-2], partial(conv, bias=False)) if attention else nn.Identity()
        self.norm, self.last = BatchNorm(maps[-1]), conv(nn.Conv2d, maps[-1], colours, 3)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Make images of the given classes: ``z[B, Z], labels[B] -> x[B, C, S, S]`` in [-1, 1]."""
        first, *parts = z.tensor_split(len(self.blocks) + 1, dim=1)
        shared = self.embedding(labels)
        h = self.dense(first).view(len(z), -1, 4, 4)
        conditions = [torch.cat([shared, part], dim=1) for part in parts]
        for block, condition in zip(self.blocks[:-1], conditions[:-1], strict=True):
            h = block(h, condition)
        h = self.blocks[-1](self.attention(h), conditions[-1])
        return self.last(relu(self.norm(h), inplace=True)).tanh()


def discriminator(data: DataSpec, width: int, norm: str, attention: bool) -> Discriminator:
    """``x[B, C, S, S], labels[B] -> logit[B]``: blocks that halve the map down to 4x4, then one that keeps it."""
    colours, doublings = square_plan(data)
    maps = [width * 2**block for block in range(doublings)]
    conv = partial(convolution, d_norm=norm)
    blocks: list[nn.Module] = [DownBlock(colours, maps[0], maps[0], conv, first=True)]
    if attention:
        blocks.append(SelfAttention(maps[0], partial(conv, bias=False)))
    blocks += [DownBlock(before, after, after, conv) for before, after in pairwise(maps)]
    blocks.append(DownBlock(maps[-1], maps[-1], maps[-1], conv, down=False))
    embedding = weighted(orthogonal(nn.Embedding(data.classes, maps[-1])), norm)
    return Discriminator(nn.Sequential(*blocks), linear(maps[-1], 1, norm), embedding)


def convolution(
    kind: type[nn.Conv2d], before: int, after: int, side: int, d_norm: str = "spectral", bias: bool = True
) -> nn.Module:
    """A padded convolution with ``side`` x ``side`` kernels; only ``kind`` can change the size of the map."""
    return weighted(orthogonal(kind(before, after, side, padding=side // 2, bias=bias)), d_norm)


def linear(before: int, after: int, d_norm: str = "spectral", bias: bool = True) -> nn.Module:
    """``[B, before] -> [B, after]``."""
    return weighted(orthogonal(nn.Linear(before, after, bias=bias)), d_norm)


def orthogonal(layer: Layer) -> Layer:
    """Orthogonal weights (Saxe et al. 2014), biases 0."""
    nn.init.orthogonal_(layer.weight)
    if not isinstance(layer, nn.Embedding) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def overlap(weight: Tensor) -> Tensor:
    """‖WᵀW ⊙ (1 - I)‖² with a filter in each column of W (equation 3): the squared inner products of different filters.

    WWᵀ and WᵀW have the same norm, so the smaller one is computed: the paper's first layer has 24,576 columns.
    """
    filters = weight.flatten(1)  # [number, size]
    with torch.autocast(weight.device.type, enabled=False):  # a small difference of large numbers
        gram = filters @ filters.T if len(filters) <= filters.shape[1] else filters.T @ filters
        return gram.square().sum() - filters.square().sum(1).square().sum()


class BigGAN(ConditionalGAN):
    """BigGAN, with orthogonal regularisation of every weight matrix of G except the class embedding."""

    generator: Generator
    settings: Settings

    def g_extra(self, batch: Batch, fake: Any) -> Terms:
        """The orthogonal regularisation, β times the sum of ``overlap`` over the weight matrices; none at β = 0."""
        weight = self.settings.orthogonal
        return {"orthogonal": weight * torch.stack([overlap(w) for w in self.matrices()]).sum()} if weight else {}

    def matrices(self) -> list[Tensor]:
        """The regularised weights, as trained, before spectral normalisation."""
        embedding = self.generator.embedding.weight
        return [w for w in self.generator.parameters() if w.ndim > 1 and w is not embedding]


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int, settings: Mapping[str, Any]) -> GAN:
    """Build BigGAN's players for square images with a side of 16, 32, 64 or 128 pixels.

    Raises:
        Unsupported: the data have fewer than two classes or another shape, z is too short to split, or the loss
            requires a normalisation that D does not support.
    """
    refuse_unlabelled(data)
    chosen = settings_of(Settings, settings)
    generator = Generator(data, width, z_dim, chosen.attention)
    players = generator, discriminator(data, width, check_norm(d_norm, "spectral"), chosen.attention)
    # at 2e-3, which suits other GANs on digits-16, D cannot keep up: FID 2.3 instead of 1.2 at 20 kimg (hinge, seed 0)
    recipe = {"lr": 1e-3} if data.shape[1] == SIDES[0] else {}
    return BigGAN(*players, z_dim, recipe, settings=chosen)
