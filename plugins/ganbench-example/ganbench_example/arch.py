"""Residual MLP for any data, without normalisation. Blocks start as the identity (Fixup; Zhang et al. 2019)."""

import math

from ganbench import GAN, DataSpec, Unsupported, hookimpl
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


def weighted(layer: nn.Module, spectral: bool) -> nn.Module:
    """Return the layer, with spectral normalisation if ``spectral`` is set."""
    return spectral_norm(layer) if spectral else layer


class Block(nn.Module):
    """``h[B, W] -> h + f(h)``."""

    def __init__(self, width: int, spectral: bool) -> None:
        super().__init__()
        first, last = nn.Linear(width, width), nn.Linear(width, width)
        if not spectral:  # spectral normalisation would divide by zero
            nn.init.zeros_(last.weight)
        leaky = nn.LeakyReLU(0.2)
        self.f = nn.Sequential(leaky, weighted(first, spectral), leaky, weighted(last, spectral))

    def forward(self, h: Tensor) -> Tensor:
        """Add the residual branch: ``h[B, W] -> [B, W]``."""
        change: Tensor = self.f(h)
        return h + change


def mlp(before: int, width: int, after: int, spectral: bool = False) -> nn.Module:
    """Return a network ``x[B, before] -> y[B, after]`` with three residual blocks."""
    first, last = (weighted(nn.Linear(*size), spectral) for size in ((before, width), (width, after)))
    return nn.Sequential(first, *(Block(width, spectral) for _ in range(3)), nn.LeakyReLU(0.2), last)


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int) -> GAN:
    """Build G and D for data of any shape, with layers of ``2 * width`` units."""
    if d_norm not in {None, "none", "spectral"}:
        raise Unsupported(f"cannot build D with {d_norm} normalisation, only none or spectral")
    size, units = math.prod(data.shape), 2 * width
    squash = nn.Tanh() if data.bounded else nn.Identity()
    return GAN(
        generator=nn.Sequential(mlp(z_dim, units, size), squash, nn.Unflatten(1, data.shape)),
        discriminator=nn.Sequential(nn.Flatten(), mlp(size, units, 1, d_norm == "spectral"), nn.Flatten(0)),
        z_dim=z_dim,
    )
