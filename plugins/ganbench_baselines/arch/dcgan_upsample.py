"""DCGAN with nearest-neighbour upsampling and 3x3 convolutions in G (Odena et al. 2016: no checkerboard)."""

from __future__ import annotations

from torch import nn

from ganbench.data import DataSpec
from ganbench.gan import GAN
from ganbench.hookspecs import hookimpl
from ganbench_baselines.arch.blocks import image_plan, init_dcgan, strided_discriminator


def generator(data: DataSpec, width: int, z_dim: int) -> nn.Module:
    """``z[B, Z] -> x[B, C, H, W]`` in [-1, 1]: from a 4x4 map, doubling with nearest x2, conv 3x3, batch norm, ReLU."""
    channels, (height, breadth), stages = image_plan(data)
    before = width * 2 ** (stages - 1)
    layers: list[nn.Module] = [
        nn.Linear(z_dim, before * height * breadth, bias=False),
        nn.Unflatten(1, (before, height, breadth)),
        nn.BatchNorm2d(before),
        nn.ReLU(inplace=True),
    ]
    for stage in reversed(range(stages - 1)):
        after = width * 2**stage
        layers += [
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(before, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
        before = after
    layers += [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(before, channels, 3, 1, 1), nn.Tanh()]
    return nn.Sequential(*layers)


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int) -> GAN:
    return GAN(
        generator=init_dcgan(generator(data, width, z_dim)),
        discriminator=init_dcgan(strided_discriminator(data, width, d_norm)),
        z_dim=z_dim,
    )
