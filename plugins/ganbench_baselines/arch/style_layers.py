"""Layers of StyleGAN2 (Karras et al. 2020): equalised learning rate, modulated convolution, resampling by [1, 3, 3, 1].

Every activation is LeakyReLU with slope 0.2, times √2 to keep the variance. Since LeakyReLU(c u) = c LeakyReLU(u) for
c > 0, the factor is built into the layer before it (``scale``), where it costs nothing.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, linear

ACTIVATED = math.sqrt(2)
"""``scale`` of a layer before an activation."""


def activate(u: Tensor) -> Tensor:
    """LeakyReLU, in place; ``u`` already contains the factor √2."""
    return leaky_relu(u, 0.2, inplace=True)


# -- equalised learning rate (Karras et al. 2018, section 4.1) ---------------------------------------------------------


class Equalised(nn.Module):
    """A layer whose stored weights are N(0, 1) and are multiplied by 1/√fan_in whenever they are used.

    Adam's steps do not depend on the size of the gradient, so weights stored at the same scale learn equally fast.

    Args:
        shape: of the weight; all but the first axis are the fan-in.
        bias: its initial value, or None for no bias.
        scale: multiplies the layer's output, its bias included.
        lr_multiplier: factor on the learning rate of weights and bias (Karras et al. 2019, appendix C).
    """

    def __init__(
        self, shape: tuple[int, ...], bias: float | None = 0.0, scale: float = 1.0, lr_multiplier: float = 1.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape) / lr_multiplier)
        self.bias = None if bias is None else nn.Parameter(torch.full(shape[:1], bias / lr_multiplier))
        self.gain = scale * lr_multiplier / math.sqrt(math.prod(shape[1:]))
        self.bias_gain = scale * lr_multiplier

    def scaled(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias as used in the forward pass."""
        return self.weight * self.gain, None if self.bias is None else self.bias * self.bias_gain


class EqualisedLinear(Equalised):
    """``x[B, before] -> [B, after]``; the arguments are those of ``Equalised``."""

    def __init__(
        self, before: int, after: int, bias: float = 0.0, scale: float = 1.0, lr_multiplier: float = 1.0
    ) -> None:
        super().__init__((after, before), bias, scale, lr_multiplier)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the scaled weight and bias: ``x[B, before] -> [B, after]``."""
        return linear(x, *self.scaled())


class EqualisedConv(Equalised):
    """``x[B, before, H, W] -> [B, after, H, W]``; ``down`` halves the sides by a blur and then stride 2."""

    def __init__(
        self, before: int, after: int, kernel: int, *, down: bool = False, bias: bool = True, scale: float = 1.0
    ) -> None:
        super().__init__((after, before, kernel, kernel), 0.0 if bias else None, scale)
        self.padding = kernel // 2
        self.filter = Filter() if down else None

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with the scaled weight: ``x[B, before, H, W] -> [B, after, H, W]``; ``down`` halves the sides."""
        weight, bias = self.scaled()
        if self.filter is None:
            return conv2d(x, weight, bias, padding=self.padding)
        if self.padding == 0:  # a 1x1 convolution needs none of the pixels that its stride would drop
            return conv2d(self.filter.down(x), weight, bias)
        return conv2d(self.filter.blur(x, 2), weight, bias, stride=2)


# -- resampling (Karras et al. 2020, appendix B; Zhang 2019) -----------------------------------------------------------


class Filter(nn.Module):
    """The binomial filter [1, 3, 3, 1] in both directions, for each channel; has no parameters."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(taps, taps), persistent=False)

    def blur(self, x: Tensor, padding: int, factor: float = 1.0) -> Tensor:
        """``[B, C, H, W] -> [B, C, H + 2 padding - 3, ...]``, times ``factor``; zero padding."""
        return conv2d(x, self._of(x, factor), padding=padding, groups=x.shape[1])

    def down(self, x: Tensor) -> Tensor:
        """Filter, and keep every second pixel: ``[B, C, H, W] -> [B, C, H/2, W/2]``."""
        return conv2d(x, self._of(x), stride=2, padding=1, groups=x.shape[1])

    def up(self, x: Tensor) -> Tensor:
        """``[B, C, H, W] -> [B, C, 2H, 2W]``: zeros between the pixels, then the filter, times 4 for those zeros."""
        return conv_transpose2d(x, self._of(x, 4.0), stride=2, padding=1, groups=x.shape[1])

    def _of(self, x: Tensor, factor: float = 1.0) -> Tensor:
        return (self.kernel * factor).expand(x.shape[1], 1, 4, 4)


# -- modulation and demodulation (Karras et al. 2020, section 2.2) -----------------------------------------------------


def modulated_conv(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    *,
    demodulate: bool = True,
    scale: float = 1.0,
    upsample: Filter | None = None,
) -> Tensor:
    """Convolve each sample with weights of its own: ``x[B, I, H, W], weight[O, I, K, K], style[B, I] -> [B, O, H, W]``.

        w'_oik = s_i w_oik                                (equation 1; k: positions in the kernel)
        w''_oik = w'_oik / √(Σ_ik w'_oik² + ε)            (equation 3)

    Convolution is linear, so no weights are built per sample: scale the input's channels by s, convolve
    all samples with the same w, and scale the output's channels by d_o = 1/√(Σ_i s_i² Σ_k w_oik² + ε).

    Args:
        x: the maps.
        weight: w, the same for all samples.
        style: s, for each sample.
        demodulate: whether to apply equation 3.
        scale: multiplies the output.
        upsample: if given, a transposed convolution followed by this filter doubles the sides.
    """
    x = x * style[:, :, None, None]
    kernel = weight if demodulate else weight * scale
    if upsample is None:
        x = conv2d(x, kernel, padding=weight.shape[-1] // 2)
    else:
        x = upsample.blur(conv_transpose2d(x, kernel.transpose(0, 1), stride=2), 1, 4.0)
    if not demodulate:
        return x
    d = scale * (linear(style.square(), weight.square().sum((2, 3))) + 1e-8).rsqrt()
    return x * d[:, :, None, None]


class StyledConv(nn.Module):
    """A layer of the synthesis network: modulated 3x3 convolution, noise, bias, activation.

    ``x[B, before, H, W], w[B, W] -> [B, after, side, side]``. The noise is one N(0, 1) map per sample, the same for all
    channels, times a learned strength that starts at 0. In train mode it is drawn from torch's default generator; in
    eval mode it is a constant map, so that a sample depends on its latent alone.
    """

    noise: Tensor | None

    def __init__(
        self, before: int, after: int, w_dim: int, side: int, *, up: bool, demodulation: bool, noise: bool
    ) -> None:
        super().__init__()
        self.style = EqualisedLinear(w_dim, before, bias=1.0)
        self.conv = Equalised((after, before, 3, 3), bias=0.0)
        self.filter = Filter() if up else None
        self.demodulation = demodulation
        self.strength = nn.Parameter(torch.zeros(())) if noise else None
        self.register_buffer("noise", torch.randn(1, 1, side, side) if noise else None)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Convolve, add noise and bias, activate: ``x[B, before, H, W], w[B, W] -> [B, after, side, side]``."""
        weight, bias = self.conv.scaled()
        x = modulated_conv(
            x, weight, self.style(w), demodulate=self.demodulation, scale=ACTIVATED, upsample=self.filter
        )
        shift = cast(Tensor, bias)[:, None, None]
        if self.strength is not None:
            shift = shift + self.strength * self.noise_for(x)
        return activate(x + ACTIVATED * shift)

    def noise_for(self, x: Tensor) -> Tensor:
        """The maps added to ``x``: ``[B, 1, side, side]``, or ``[1, 1, side, side]`` in eval mode."""
        return torch.randn_like(x[:, :1]) if self.training else cast(Tensor, self.noise)


class ToImage(nn.Module):
    """A modulated 1x1 convolution to the image's channels, without demodulation (figure 7b).

    ``x[B, before, H, W], w[B, W] -> [B, channels, H, W]``, not bounded.
    """

    def __init__(self, before: int, channels: int, w_dim: int) -> None:
        super().__init__()
        self.style = EqualisedLinear(w_dim, before, bias=1.0)
        self.conv = Equalised((channels, before, 1, 1))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """What a resolution adds to the image: ``x[B, before, H, W], w[B, W] -> [B, channels, H, W]``."""
        weight, bias = self.conv.scaled()
        return modulated_conv(x, weight, self.style(w), demodulate=False) + cast(Tensor, bias)[:, None, None]
