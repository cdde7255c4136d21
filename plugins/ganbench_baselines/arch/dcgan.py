"""DCGAN (Radford, Metz and Chintala 2015): G of transposed 4x4 convolutions, D of strided convolutions."""

from __future__ import annotations

from torch import nn

from ganbench import GAN, DataSpec, hookimpl
from ganbench_baselines.arch.blocks import grown, init_dcgan, strided_discriminator


def doubled(before: int, after: int, bias: bool) -> list[nn.Module]:
    """A transposed 4x4 convolution of stride 2."""
    return [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias)]


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int) -> GAN:
    """Build DCGAN's players with transposed convolutions in G; labels are not used.

    Raises:
        Unsupported: the data are not images whose sides can be halved down to 4-7 pixels, or the loss requires a
            normalisation that D does not support.
    """
    return GAN(
        generator=init_dcgan(grown(data, width, z_dim, doubled)),
        discriminator=init_dcgan(strided_discriminator(data, width, d_norm)),
        z_dim=z_dim,
    )
