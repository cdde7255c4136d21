"""Parts shared by ResNet GANs: residual blocks (Miyato et al. 2018, B.4) and projection (Miyato and Koyama 2018)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d, interpolate, relu

from ganbench import DataSpec, Unsupported

SIDES = (16, 32, 64, 128)

Conv = Callable[[type[nn.Conv2d], int, int, int], nn.Module]
"""(class, channels before, channels after, side of the kernel) -> a convolution of that class, initialised."""
Norm = Callable[[int], nn.Module]
"""Number of channels C -> a layer (``x[B, C, S, S]``, condition or None) -> ``[B, C, S, S]``."""

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d, nn.Embedding)


def square_plan(data: DataSpec) -> tuple[int, int]:
    """(channels, number of doublings from a 4x4 map) for images of ``data.shape``.

    Raises:
        Unsupported: the data are not square images with a side in ``SIDES``.
    """
    if len(data.shape) != 3 or data.shape[1] != data.shape[2] or data.shape[1] not in SIDES:
        raise Unsupported(f"needs square images with a side of 16, 32, 64 or 128 pixels, not {data}")
    return data.shape[0], SIDES.index(data.shape[1]) + 2


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that ignores the condition, if there is one."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Normalise each channel: ``x[B, C, S, S] -> [B, C, S, S]``."""
        return super().forward(x)


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose gain and bias depend on a condition (Dumoulin et al. 2017).

    Args:
        channels: C.
        project: makes a layer, condition -> ``[B, C]``; called once for the gain minus 1, and once for the bias.
    """

    def __init__(self, channels: int, project: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain, self.bias = project(channels), project(channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalise each channel, then scale and shift by the condition: ``x[B, C, S, S] -> [B, C, S, S]``."""
        gain, bias = (1 + self.gain(condition))[..., None, None], self.bias(condition)[..., None, None]
        return self.norm(x) * gain + bias


class DoublingConv(nn.Conv2d):
    """``x[B, C, S, S] -> [B, C', 2S, 2S]``: nearest-neighbour upsampling by 2, then a 3x3 convolution.

    Computed as one transposed 4x4 convolution of stride 2: the same result with 16 products per pixel instead of 36.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Double the sides and convolve: ``x[B, C, S, S] -> [B, C', 2S, 2S]``."""
        kernel = 4 * avg_pool2d(self.weight.flip(2, 3), 2, stride=1, padding=1)
        return conv_transpose2d(x, kernel.transpose(0, 1), self.bias, stride=2, padding=1)


class HalvingConv(nn.Conv2d):
    """``x[B, C, S, S] -> [B, C', S/2, S/2]``: a 3x3 convolution and a 2x2 mean, as one strided 4x4 convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and halve the sides: ``x[B, C, S, S] -> [B, C', S/2, S/2]``."""
        return conv2d(x, avg_pool2d(self.weight, 2, stride=1, padding=1), self.bias, stride=2, padding=1)


def doubled(x: Tensor) -> Tensor:
    """``x[B, C, S, S] -> [B, C, 2S, 2S]``, nearest neighbour."""
    return interpolate(x, scale_factor=2, mode="nearest")


class UpBlock(nn.Module):
    """``x[B, C, S, S] -> [B, C', 2S, 2S]``: norm, ReLU, upsampling by 2, convolution, norm, ReLU, convolution.

    The shortcut is upsampling and a 1x1 convolution.
    """

    def __init__(self, before: int, after: int, conv: Conv, norm: Norm) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(before), conv(DoublingConv, before, after, 3)
        self.norm2, self.conv2 = norm(after), conv(nn.Conv2d, after, after, 3)
        self.shortcut = conv(nn.Conv2d, before, after, 1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Main path plus shortcut, ``x[B, C, S, S] -> [B, C', 2S, 2S]``; the norms may depend on the condition."""
        h = self.conv1(relu(self.norm1(x, condition), inplace=True))
        h = self.conv2(relu(self.norm2(h, condition), inplace=True))
        return h + doubled(self.shortcut(x))  # the other order gives the same result at four times the cost


class DownBlock(nn.Module):
    """``x[B, C, S, S] -> [B, C', S/2, S/2]``: ReLU, convolution, ReLU, convolution, mean over 2x2.

    The shortcut is a 2x2 mean and a 1x1 convolution.

    Args:
        before, between, after: channels of the input, between the convolutions, and of the output.
        conv: makes the convolutions.
        down: False keeps the size; the shortcut then has a convolution only if the number of channels changes.
        first: True for a block whose input is an image, and which has no first ReLU.
    """

    def __init__(
        self, before: int, between: int, after: int, conv: Conv, *, down: bool = True, first: bool = False
    ) -> None:
        super().__init__()
        self.down, self.first = down, first
        self.conv1 = conv(nn.Conv2d, before, between, 3)
        self.conv2 = conv(HalvingConv if down else nn.Conv2d, between, after, 3)
        self.shortcut = conv(nn.Conv2d, before, after, 1) if down or before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Main path plus shortcut: ``x[B, C, S, S] -> [B, C', S/2, S/2]``."""
        h = self.conv2(relu(self.conv1(x if self.first else relu(x)), inplace=True))
        return h + self.shortcut(avg_pool2d(x, 2) if self.down else x)


class Generator(nn.Module):
    """``z[B, Z] -> x[B, C, S, S]`` in [-1, 1]: a 4x4 map, blocks that double it, norm, ReLU, convolution, tanh.

    If ``labels[B]`` are given, they condition every block.
    """

    def __init__(self, dense: nn.Linear, blocks: Sequence[nn.Module], last: nn.Conv2d) -> None:
        super().__init__()
        self.dense, self.blocks = dense, nn.ModuleList(blocks)
        self.norm, self.last = BatchNorm(last.in_channels), last

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Make images, of the given classes if any: ``z[B, Z], labels[B] -> x[B, C, S, S]`` in [-1, 1]."""
        h = self.dense(z).view(len(z), -1, 4, 4)
        for block in self.blocks:
            h = block(h, labels)
        return self.last(relu(self.norm(h), inplace=True)).tanh()


class Discriminator(nn.Module):
    """``x[B, C, S, S] -> logit[B]``: blocks, ReLU, a sum over the map that leaves features h[B, F], and a linear layer.

    Projection (Miyato and Koyama 2018, section 3): with an ``embedding`` V of the classes, the inner product of V(y)
    and h is added to the logit, where y[B] are the ``labels``.
    """

    def __init__(self, blocks: nn.Module, head: nn.Module, embedding: nn.Module | None = None) -> None:
        super().__init__()
        self.blocks, self.head, self.embedding = blocks, head, embedding

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The logit of each image, given its class if D projects: ``x[B, C, S, S], labels[B] -> logit[B]``."""
        h = relu(self.blocks(x)).sum(dim=(2, 3))
        logit = self.head(h).flatten()
        return logit if self.embedding is None else logit + (self.embedding(labels) * h).sum(1)
