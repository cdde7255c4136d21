"""DCGAN with nearest-neighbour upsampling and 3x3 convolutions in G, to avoid checkerboards (Odena et al. 2016)."""

from __future__ import annotations

from torch import nn

from ganbench import GAN, DataSpec, hookimpl
from ganbench_baselines.arch.blocks import grown, init_dcgan, strided_discriminator


def doubled(before: int, after: int, bias: bool) -> list[nn.Module]:
    """Nearest-neighbour upsampling by 2, then a 3x3 convolution."""
    return [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(before, after, 3, 1, 1, bias=bias)]


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int) -> GAN:
    """Build DCGAN's players with nearest-neighbour upsampling in G; labels are not used.

    Raises:
        Unsupported: the data are not images whose sides can be halved down to 4-7 pixels, or the loss requires a
            normalisation that D does not support.
    """
    return GAN(
        generator=init_dcgan(grown(data, width, z_dim, doubled)),
        discriminator=init_dcgan(strided_discriminator(data, width, d_norm)),
        z_dim=z_dim,
    )
