"""Parts shared by video GANs: a two-stream G and a 3-D D (Vondrick, Pirsiavash and Torralba 2016, section 3).

The paper's clips have 32 frames of 64x64. Four transposed convolutions, 4x4x4 with stride 2, make them from a map of
2x4x4 with 512 channels, and D mirrors them. For other clips, the number of steps follows from the side of a frame,
which grows from about 4 pixels; the frames of the first map follow from the number of steps.

Biases before batch norm, which would cancel them, are left out; the paper's code has them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganbench import DataSpec, Unsupported
from ganbench_baselines.arch.blocks import check_norm, grown, image_plan, weighted
from ganbench_baselines.arch.dcgan import doubled


class Parts(NamedTuple):
    """A clip and its parts; with a single stream, the last two are None.

    Args:
        x: the clip, ``[B, C, T, H, W]`` in [-1, 1].
        foreground: ``[B, C, T, H, W]`` in [-1, 1].
        mask: ``[B, 1, T, H, W]`` in [0, 1].
        background: ``[B, C, H, W]`` in [-1, 1].
    """

    x: Tensor
    foreground: Tensor
    mask: Tensor | None = None
    background: Tensor | None = None


def frame_spec(data: DataSpec) -> DataSpec:
    """The spec of one frame of a clip.

    Raises:
        Unsupported: the data are not clips.
    """
    if len(data.shape) != 4:
        raise Unsupported(f"needs clips of video, not {data}")
    channels, _, height, width = data.shape
    return DataSpec((channels, height, width), bounded=data.bounded)


def clip_plan(data: DataSpec) -> tuple[int, tuple[int, int, int], int]:
    """(channels, (frames, height, width) of the coarsest map, number of doublings).

    Raises:
        Unsupported: the data are not clips, the sides cannot be halved down to about 4, or the number of frames cannot
            be halved as often.
    """
    channels, (height, width), stages = image_plan(frame_spec(data))
    frames = data.shape[1]
    if frames % 2**stages:
        raise Unsupported(
            f"needs a number of frames that can be halved {stages} times, as often as their sides, not {frames}",
            f"clips of {2**stages} or {2 ** (stages + 1)} frames will do",
        )
    return channels, (frames // 2**stages, height, width), stages


class OneStream(nn.Module):
    """``z[B, Z] -> x[B, C, T, H, W]`` in [-1, 1]: 3-D transposed convolutions only (section 3.1)."""

    def __init__(self, data: DataSpec, width: int, z_dim: int, masks: int = 0) -> None:
        super().__init__()
        self.channels = data.shape[0]
        self.trunk = trunk(data, width, z_dim)
        self.head = nn.ConvTranspose3d(width, self.channels + masks, 4, 2, 1)

    def parts(self, z: Tensor) -> Parts:
        """The clip as its own foreground."""
        x = self.head(self.trunk(z)).tanh()
        return Parts(x, x)

    def forward(self, z: Tensor) -> Tensor:
        """Make clips: ``z[B, Z] -> x[B, C, T, H, W]`` in [-1, 1]."""
        return self.parts(z).x


class TwoStream(OneStream):
    """``x = m f + (1 - m) b`` (equation 2): a foreground f with its mask m, and a background b that cannot move.

    f and m are channels of one layer, which is equivalent to two layers and takes half the time.
    """

    def __init__(self, data: DataSpec, width: int, z_dim: int) -> None:
        super().__init__(data, width, z_dim, masks=1)
        self.background = grown(frame_spec(data), width, z_dim, doubled)

    def parts(self, z: Tensor) -> Parts:
        """The clip, both streams and the mask."""
        both = self.head(self.trunk(z))
        f, m = both[:, : self.channels].tanh(), both[:, self.channels :].sigmoid()
        b = self.background(z)
        return Parts(torch.lerp(b.unsqueeze(2), f, m), f, m, b)


def trunk(data: DataSpec, width: int, z_dim: int) -> nn.Module:
    """The foreground stream without its last layer: ``z[B, Z] -> h[B, width, T/2, H/2, W/2]``.

    The first layer is a Linear and a reshape, the same map as the paper's transposed convolution of a 1x1x1 clip.
    """
    _, coarsest, stages = clip_plan(data)
    before = width * 2 ** (stages - 1)
    size = coarsest[0] * coarsest[1] * coarsest[2]
    layers: list[nn.Module] = [
        nn.Linear(z_dim, before * size, bias=False),
        nn.Unflatten(1, (before, *coarsest)),
        nn.BatchNorm3d(before),
        nn.ReLU(inplace=True),
    ]
    for stage in reversed(range(stages - 1)):
        after = width * 2**stage
        layers += [nn.ConvTranspose3d(before, after, 4, 2, 1, bias=False), nn.BatchNorm3d(after), nn.ReLU(inplace=True)]
        before = after
    return nn.Sequential(*layers)


def clip_critic(data: DataSpec, width: int, d_norm: str | None) -> nn.Module:
    """``x[B, C, T, H, W] -> logit[B]`` (section 3.3): 3-D convolutions 4x4x4 of stride 2, each with LeakyReLU 0.2.

    All but the first have batch norm, unless the loss requires another normalisation. The last layer covers the whole
    remaining map.
    """
    before, coarsest, stages = clip_plan(data)
    norm = check_norm(d_norm, "batch")
    layers: list[nn.Module] = []
    for stage in range(stages):
        after = width * 2**stage
        batch_norm = norm == "batch" and stage > 0
        layers.append(weighted(nn.Conv3d(before, after, 4, 2, 1, bias=not batch_norm), norm))
        if batch_norm:
            layers.append(nn.BatchNorm3d(after))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        before = after
    size = coarsest[0] * coarsest[1] * coarsest[2]
    return nn.Sequential(*layers, nn.Flatten(), weighted(nn.Linear(before * size, 1), norm), nn.Flatten(0))


def init_video(network: nn.Module) -> nn.Module:
    """Weights N(0, 0.02), batch-norm gains N(1, 0.02), biases 0, as in DCGAN; VideoGAN's code uses N(0, 0.01)."""
    for module in network.modules():
        if isinstance(module, (nn.modules.conv._ConvNd, nn.Linear)):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return network
