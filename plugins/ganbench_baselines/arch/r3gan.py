"""R3GAN (Huang, Gokaslan, Kuleshov and Tompkin 2024), config E: modern ResNets without any normalisation.

G and D mirror each other. Each resolution has two residual blocks (inverted bottlenecks with a grouped convolution) and
a transition to the next one (bilinear resampling and a 1x1 convolution). G begins with a learned map whose channels are
scaled by z; D ends with a learned weighting of its last map. The matching loss is ``rpgan-r1-r2``, which also sets the
paper's momenta. The paper's learning rate, 2e-4 falling to 5e-5, is meant for networks of 20 million parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ganbench import GAN, Batch, DataSpec, Unsupported, hookimpl, settings_of
from ganbench_baselines.arch.blocks import image_plan

WIDEST = 768
"""The most channels that a map may have (appendix D, table 9)."""
EXPANSION, GROUP = 2, 16
"""A block's 3x3 convolution has twice the channels of its input, in groups of 16 (section 3, config E)."""
SLOPE = 0.2
Sides = tuple[int, int]
"""(height, width) of a map"""


@dataclass(frozen=True)
class Settings:
    """``blocks``: residual blocks at each resolution."""

    blocks: int = 2


@dataclass(frozen=True)
class Plan:
    """The layout that G and D share.

    Args:
        channels: at each resolution, finest first.
        sides: (height, width) at each resolution, finest first.
        blocks: the number of residual blocks at each resolution.
        colours: the image's number of channels.
    """

    channels: Sequence[int]
    sides: Sequence[Sides]
    blocks: int
    colours: int

    def stage(self, place: int) -> list[nn.Module]:
        """The residual blocks of a resolution."""
        depth = self.blocks * len(self.channels)
        return [Block(self.channels[place], depth) for _ in range(self.blocks)]


def planned(data: DataSpec, width: int, blocks: int) -> Plan:
    """A quarter of ``width`` channels at the finest resolution, doubled with each halving up to ``WIDEST``.

    It is a quarter because each resolution has six convolutions here and one in DCGAN. The paper's 96 channels at 256
    px correspond to width 384, its 384 at 64 px to width 1536, and its 768 at 32 px to width 3072.

    Raises:
        Unsupported: the data are not images, or their sides cannot be halved.
    """
    colours, (height, breadth), doublings = image_plan(data)
    scales = [2 ** (doublings - place) for place in range(doublings + 1)]
    channels = [min(max(width // 4, 1) * 2**place, WIDEST) for place in range(doublings + 1)]
    return Plan(channels, [(height * scale, breadth * scale) for scale in scales], blocks, colours)


class Block(nn.Module):
    """``x[B, C, H, W] -> x + branch(x)``: 1x1, LeakyReLU, grouped 3x3, LeakyReLU, 1x1 without bias.

    Fixup initialisation (Zhang, Dauphin and Ma 2019) replaces normalisation: the last convolution starts at zero, which
    makes the block the identity, and the others start at He's scale times L^(-1/4).

    Args:
        channels: C.
        depth: L, the number of residual blocks in the network.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        between = EXPANSION * channels
        groups = between // math.gcd(between, GROUP)
        first = nn.Conv2d(channels, between, 1)
        grouped = nn.Conv2d(between, between, 3, padding=1, groups=groups)
        last = nn.Conv2d(between, channels, 1, bias=False)
        for layer in (first, grouped):
            initialised(layer, nn.init.calculate_gain("leaky_relu", SLOPE) * depth**-0.25)
        nn.init.zeros_(last.weight)
        self.branch = nn.Sequential(first, _activation(), grouped, _activation(), last)

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch: ``[B, C, H, W] -> [B, C, H, W]``."""
        return x + self.branch(x)


def _activation() -> nn.Module:
    return nn.LeakyReLU(SLOPE, inplace=True)


def initialised(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Module:
    """Weights N(0, gain²/fan_in), biases 0 (He et al. 2015); a gain of 1 where no activation follows."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def pointwise(before: int, after: int) -> nn.Module:
    """A 1x1 convolution without bias, or the identity where the number of channels stays the same."""
    return nn.Identity() if before == after else initialised(nn.Conv2d(before, after, 1, bias=False))


# -- bilinear resampling -----------------------------------------------------------------------------------------------


def halving(n: int) -> Tensor:
    """``[n/2, n]``: the filter [1, 3, 3, 1]/8 at every second pixel.

    Uses zero padding, as in the authors' code.
    """
    return doubling(n // 2).T / 2


def doubling(n: int) -> Tensor:
    """``[2n, n]``: every pixel twice, then the filter [1, 2, 1]/4, which is bilinear interpolation.

    Uses zero padding.
    """
    twice, beyond = torch.eye(n).repeat_interleave(2, dim=0), torch.zeros(1, n)
    before, after = torch.cat([beyond, twice[:-1]]), torch.cat([twice[1:], beyond])
    return (before + 2 * twice + after) / 4


class Resampled(nn.Module):
    """``x[B, C, H, W] -> rows x columnsᵀ``, for each channel; has no parameters.

    Uses two matrix products because PyTorch's interpolation takes about twice as long under a gradient penalty, which
    differentiates it twice, and because its gradient is not deterministic on a GPU.

    Args:
        rows, columns: ``[H', H]`` and ``[W', W]``.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, rows: Tensor, columns: Tensor) -> None:
        super().__init__()
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Resample each channel along both sides: ``[B, C, H, W] -> [B, C, H', W']``."""
        return self.rows @ x @ self.columns.T


# -- the players -------------------------------------------------------------------------------------------------------


class Basis(nn.Module):
    """``z[B, Z] -> x[B, C, H, W]``: a learned map, with each channel scaled by a linear function of z."""

    def __init__(self, z_dim: int, channels: int, sides: Sides) -> None:
        super().__init__()
        self.map = nn.Parameter(torch.randn(channels, *sides))
        self.scale = initialised(nn.Linear(z_dim, channels, bias=False))

    def forward(self, z: Tensor) -> Tensor:
        """Scale the learned map by the latents: ``z[B, Z] -> x[B, C, H, W]``."""
        return self.scale(z)[..., None, None] * self.map


class Head(nn.Module):
    """``x[B, C, H, W] -> logit[B]``: each channel times a learned map, summed, and a linear function of the sums.

    The first step is the paper's global depthwise convolution, which is slower in PyTorch.
    """

    def __init__(self, channels: int, sides: Sides) -> None:
        super().__init__()
        self.map = nn.Parameter(torch.randn(channels, *sides) / math.sqrt(math.prod(sides)))
        self.score = initialised(nn.Linear(channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """The logit of each map: ``x[B, C, H, W] -> logit[B]``."""
        return self.score((x * self.map).sum((2, 3))).flatten()


def generator(plan: Plan, z_dim: int) -> nn.Module:
    """``z[B, Z] -> x[B, colours, H, W]``, without tanh (section 3, e)."""
    coarsest = len(plan.channels) - 1
    layers = [Basis(z_dim, plan.channels[-1], plan.sides[-1]), *plan.stage(coarsest)]
    for place in reversed(range(coarsest)):
        height, width = plan.sides[place + 1]
        layers += [pointwise(plan.channels[place + 1], plan.channels[place])]
        layers += [Resampled(doubling(height), doubling(width)), *plan.stage(place)]
    to_image = initialised(nn.Conv2d(plan.channels[0], plan.colours, 1, bias=False))
    return nn.Sequential(*layers, to_image)


def discriminator(plan: Plan) -> nn.Module:
    """``x[B, colours, H, W] -> logit[B]``."""
    layers = [initialised(nn.Conv2d(plan.colours, plan.channels[0], 1, bias=False)), *plan.stage(0)]
    for place, (before, after) in enumerate(pairwise(plan.channels)):
        height, width = plan.sides[place]
        layers += [Resampled(halving(height), halving(width)), pointwise(before, after), *plan.stage(place + 1)]
    return nn.Sequential(*layers, Head(plan.channels[-1], plan.sides[-1]))


class R3GAN(GAN):
    """R3GAN, whose G has an unbounded output; samples are clipped to [-1, 1]."""

    own_init = True  # Fixup initialisation replaces normalisation

    def sample(self, batch: Batch) -> Tensor:
        """``x[B, *shape]``, the output of G clipped to [-1, 1]."""
        return self.fake(batch).clamp(-1, 1)


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int, settings: Mapping[str, Any]) -> GAN:
    """Build the players for images whose sides can be halved down to 4-7 pixels; labels are not used.

    Raises:
        Unsupported: the data are not such images, a resolution would have no block, or the loss requires a
            normalisation of D, which has none.
    """
    if d_norm not in {None, "none"}:
        raise Unsupported(
            f"cannot build D with {d_norm} normalisation: it has none, and its blocks start at zero",
            "choose a loss that does not ask for it, such as rpgan-r1-r2",
        )
    chosen = settings_of(Settings, settings)
    if chosen.blocks < 1:
        raise Unsupported(f"arch.blocks is {chosen.blocks}, but a resolution needs at least 1", "--set arch.blocks=1")
    plan = planned(data, width, chosen.blocks)
    return R3GAN(generator(plan, z_dim), discriminator(plan), z_dim, settings=chosen)
