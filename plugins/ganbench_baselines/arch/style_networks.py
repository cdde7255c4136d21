"""StyleGAN2's networks (Karras et al. 2020, figures 2 and 7): mapping and synthesis with skips, a residual D."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ganbench import DataSpec, Unsupported
from ganbench_baselines.arch.blocks import weighted
from ganbench_baselines.arch.style_layers import (
    ACTIVATED,
    EqualisedConv,
    EqualisedLinear,
    Filter,
    StyledConv,
    ToImage,
    activate,
)

SMALLEST, LARGEST = 8, 1024
MOST_CHANNELS = 512
GROUP = 4


def channels_by_side(data: DataSpec, width: int) -> dict[int, int]:
    """Side of each map, from 4 on -> its number of channels.

    There are ``width`` channels at half the image's side, as in DCGAN, and twice as many at each halving, up to 512.
    The paper's networks for 1024 px have width 64.

    Raises:
        Unsupported: the data are not square images with a side of 8, 16, ... or 1024 pixels.
    """
    if len(data.shape) != 3:
        raise Unsupported(f"needs 2-D images, not {data}")
    _, side, other = data.shape
    if side != other or side & (side - 1) or not SMALLEST <= side <= LARGEST:
        raise Unsupported(
            f"needs square images with sides of {SMALLEST}, {2 * SMALLEST}, ... {LARGEST} pixels, not {data}",
            "set the protocol's `resolution` to a power of two",
        )
    sides = [2**k for k in range(2, side.bit_length())]
    return {s: max(1, min(MOST_CHANNELS, width * side // (2 * s))) for s in sides}


class Mapping(nn.Module):
    """``z[B, Z] -> w[B, Z]``: z is normalised, then passes through layers with 0.01 times the learning rate."""

    def __init__(self, z_dim: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EqualisedLinear(z_dim, z_dim, scale=ACTIVATED, lr_multiplier=0.01) for _ in range(layers)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Map latents to styles: ``z[B, Z] -> w[B, Z]``."""
        w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            w = activate(layer(w))
        return w


class Synthesis(nn.Module):
    """``w[B, L, W] -> x[B, C, S, S]``: a learned 4x4 map, two layers per resolution, and an image.

    Each resolution adds to the image (output skips). The layer that makes the image shares its w with the first layer
    of the next resolution.
    """

    def __init__(self, channels: dict[int, int], image_channels: int, w_dim: int, *, demodulation: bool, noise: bool):
        super().__init__()
        before = channels[4]
        self.constant = nn.Parameter(torch.randn(before, 4, 4))
        self.layers, self.to_image = nn.ModuleList(), nn.ModuleList()
        for side, after in channels.items():
            for up in (True, False) if side > 4 else (False,):
                self.layers.append(
                    StyledConv(before, after, w_dim, side, up=up, demodulation=demodulation, noise=noise)
                )
                before = after
            self.to_image.append(ToImage(after, image_channels, w_dim))
        self.filter = Filter()

    @property
    def styles(self) -> int:
        """L, the number of styles: one per layer, and one for the last addition to the image."""
        return len(self.layers) + 1

    def forward(self, w: Tensor) -> Tensor:
        """Make images from a style for each layer: ``w[B, L, W] -> x[B, C, S, S]``, not bounded."""
        x = self.constant.expand(len(w), -1, -1, -1)
        image: Tensor | None = None
        for place, layer in enumerate(self.layers):
            x = layer(x, w[:, place])
            if place % 2 == 0:  # the last layer of its resolution
                more = self.to_image[place // 2](x, w[:, place + 1])
                image = more if image is None else self.filter.up(image) + more
        assert image is not None
        return image


class Generator(nn.Module):
    """``z[B, Z] -> x[B, C, S, S]``, not bounded: the layers that make the image are linear.

    Args:
        mixing: share of samples made from two latents in train mode (style mixing, Karras et al. 2019, section 3.1).
            From a random layer on, a second latent, drawn from torch's default generator, replaces the first.
    """

    def __init__(self, mapping: Mapping, synthesis: Synthesis, mixing: float) -> None:
        super().__init__()
        self.mapping, self.synthesis, self.mixing = mapping, synthesis, mixing

    def forward(self, z: Tensor) -> Tensor:
        """Make images: ``z[B, Z] -> x[B, C, S, S]``, not bounded."""
        return self.synthesis(self.styles(z))

    def styles(self, z: Tensor) -> Tensor:
        """``z[B, Z] -> w[B, L, Z]``, one for each layer."""
        w = self.mapping(z)[:, None].expand(-1, self.synthesis.styles, -1)
        if not self.training or not self.mixing:
            return w
        other = self.mapping(torch.randn_like(z))[:, None]
        layer = torch.arange(w.shape[1], device=z.device)
        crossing = torch.randint(1, w.shape[1], (len(z), 1), device=z.device)
        mixed = torch.rand(len(z), 1, device=z.device) < self.mixing
        return torch.where((mixed & (layer >= crossing))[:, :, None], other, w)


class Residual(nn.Module):
    """``x[B, before, H, W] -> [B, after, H/2, W/2]``: two convolutions and a linear shortcut.

    The sum of the two is divided by √2 to keep the variance; that factor is built into their last layers.
    """

    def __init__(self, before: int, after: int, norm: str | None) -> None:
        super().__init__()
        self.first = normed(EqualisedConv(before, before, 3, scale=ACTIVATED), norm)
        self.second = normed(EqualisedConv(before, after, 3, down=True, scale=ACTIVATED / math.sqrt(2)), norm)
        self.around = normed(EqualisedConv(before, after, 1, down=True, bias=False, scale=1 / math.sqrt(2)), norm)

    def forward(self, x: Tensor) -> Tensor:
        """The convolutions and the shortcut, added: ``x[B, before, H, W] -> [B, after, H/2, W/2]``."""
        return activate(self.second(activate(self.first(x)))) + self.around(x)


class MinibatchStd(nn.Module):
    """``x[B, C, H, W] -> [B, C + 1, H, W]``: adds a channel with the spread of the samples in a group.

    The value is the mean over all features of the standard deviation within a group of 4 samples, or within the whole
    batch if 4 does not divide its size (Karras et al. 2018, section 3).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Append the channel: ``x[B, C, H, W] -> [B, C + 1, H, W]``."""
        size = GROUP if len(x) % GROUP == 0 else len(x)
        groups = x.reshape(size, -1, *x.shape[1:])  # sample i is in group i modulo B/size
        centred = groups - groups.mean(0)  # var(0) is many times slower on a CPU
        spread = (centred.square().mean(0) + 1e-8).sqrt().mean((1, 2, 3))
        return torch.cat([x, spread.repeat(size)[:, None, None, None].expand(-1, 1, *x.shape[2:])], 1)


class Discriminator(nn.Module):
    """``x[B, C, S, S] -> logit[B]``: residual blocks down to a 4x4 map, a convolution and two linear layers.

    Args:
        channels: side of each map -> its number of channels.
        shape: of a sample, ``(C, S, S)``.
        minibatch_std: whether D sees how much the samples of a group differ.
        norm: ``"spectral"``; for any other value, layers are equalised instead.
    """

    def __init__(self, channels: dict[int, int], shape: tuple[int, ...], *, minibatch_std: bool, norm: str | None):
        super().__init__()
        self.shape = shape
        sides = sorted(channels, reverse=True)
        last = channels[4]
        self.from_image = normed(EqualisedConv(shape[0], channels[sides[0]], 1, scale=ACTIVATED), norm)
        self.blocks = nn.Sequential(
            *(Residual(channels[side], channels[side // 2], norm) for side in sides if side > 4)
        )
        self.minibatch_std = MinibatchStd() if minibatch_std else None
        self.conv = normed(EqualisedConv(last + minibatch_std, last, 3, scale=ACTIVATED), norm)
        self.hidden = normed(EqualisedLinear(last * 16, last, scale=ACTIVATED), norm)
        self.logit = normed(EqualisedLinear(last, 1), norm)

    def forward(self, x: Tensor) -> Tensor:
        """The logit of each image: ``x[B, C, S, S] -> logit[B]``."""
        x = self.blocks(activate(self.from_image(x)))
        if self.minibatch_std is not None:
            x = self.minibatch_std(x)
        x = activate(self.conv(x))
        return self.logit(activate(self.hidden(x.flatten(1)))).flatten()


def normed(layer: EqualisedConv | EqualisedLinear, norm: str | None) -> nn.Module:
    """The layer; under spectral normalisation, its scale comes from the norm instead of the fan-in."""
    if norm == "spectral":
        layer.gain = layer.bias_gain
    return weighted(layer, norm)
