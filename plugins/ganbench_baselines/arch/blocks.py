"""Building blocks shared by most baselines: D's normalisation, and DCGAN's layers and initialisation."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganbench import DataSpec, Unsupported


def weighted(layer: nn.Module, d_norm: str | None) -> nn.Module:
    """The layer, with spectral normalisation (Miyato et al. 2018) if ``d_norm`` is "spectral"."""
    return spectral_norm(layer) if d_norm == "spectral" else layer


def check_norm(d_norm: str | None, own: str) -> str:
    """The normalisation of D: the one that the loss requires, or else the architecture's own.

    Raises:
        Unsupported: the loss requires something other than ``"none"``, ``"spectral"`` or the architecture's own.
    """
    wish = own if d_norm is None else d_norm
    if wish not in {"none", "spectral", own}:
        raise Unsupported(f"cannot build D with {wish} normalisation, only none, spectral or {own}")
    return wish


def image_plan(data: DataSpec, smallest: int = 4) -> tuple[int, tuple[int, int], int]:
    """(channels, (height, width) of the coarsest map, number of doublings) for an image of ``data.shape``.

    Raises:
        Unsupported: the data are not images, or a side cannot be halved down to about ``smallest``.
    """
    if len(data.shape) != 3:
        raise Unsupported(f"needs 2-D images, not {data}")
    channels, height, width = data.shape
    stages = 0
    while min(height, width) >= 2 * smallest and height % 2 == 0 and width % 2 == 0:
        height, width, stages = height // 2, width // 2, stages + 1
    if stages == 0 or max(height, width) >= 2 * smallest:
        raise Unsupported(f"needs images whose sides can be halved down to {smallest}-{2 * smallest - 1}, not {data}")
    return channels, (height, width), stages


def grown(data: DataSpec, width: int, z_dim: int, doubled: Callable[[int, int, bool], list[nn.Module]]) -> nn.Module:
    """DCGAN's G, ``z[B, Z] -> x[B, C, H, W]`` in [-1, 1]: a small map, then doublings, batch norm and ReLU.

    The first layer is a Linear and a reshape. It is the same map as the paper's transposed convolution of a 1x1 image,
    and several times faster on a CPU.

    Args:
        data: spec of the images; their sides are those of the smallest map, doubled several times.
        width: channels of the last map before the image; each map before it has twice as many.
        z_dim: Z.
        doubled: (channels before, channels after, with bias) -> layers that double the map.
    """
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
        layers += [*doubled(before, after, False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        before = after
    return nn.Sequential(*layers, *doubled(before, channels, True), nn.Tanh())


def init_dcgan(network: nn.Module) -> nn.Module:
    """Weights N(0, 0.02), batch-norm gains N(1, 0.02), biases 0 (Radford et al. 2015, section 4)."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return network


def strided_discriminator(data: DataSpec, width: int, d_norm: str | None) -> nn.Module:
    """DCGAN's D, ``x[B, C, H, W] -> logit[B]``: convolutions 4x4 of stride 2, each with LeakyReLU 0.2.

    All layers but the first have batch norm, unless the loss requires another normalisation.
    """
    channels, (height, breadth), stages = image_plan(data)
    norm = check_norm(d_norm, "batch")
    layers: list[nn.Module] = []
    before = channels
    for stage in range(stages):
        after = width * 2**stage
        batch_norm = norm == "batch" and stage > 0
        layers.append(weighted(nn.Conv2d(before, after, 4, 2, 1, bias=not batch_norm), norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        before = after
    layers += [nn.Flatten(), weighted(nn.Linear(before * height * breadth, 1), norm), nn.Flatten(0)]
    return nn.Sequential(*layers)
