"""SNGAN with projection (Miyato and Koyama 2018): labels enter G's batch normalisation, and D as an inner product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from ganbench import GAN, DataSpec, hookimpl, settings_of
from ganbench_baselines.arch.conditional import ConditionalGAN, refuse_unlabelled
from ganbench_baselines.arch.resnet import ConditionalBatchNorm
from ganbench_baselines.arch.sngan import discriminator, generator, spectral_or_none


@dataclass(frozen=True)
class Settings:
    """User settings.

    Args:
        projection: False hides the label from D, so that only G sees it.
        spectral: False leaves spectral normalisation out of D, for losses that do not require it.
    """

    projection: bool = True
    spectral: bool = True


class SNGANProjection(ConditionalGAN):
    """SNGAN with projection. All classes of G start out equal, which other initial weights would undo."""

    own_init = True


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int, settings: Mapping[str, Any]) -> GAN:
    """Build SNGAN's players with conditional batch normalisation in G and projection in D.

    Raises:
        Unsupported: the data have fewer than two classes or a shape that ``sngan`` does not take, or the loss requires
            a normalisation that D does not support.
    """
    refuse_unlabelled(data)
    chosen = settings_of(Settings, settings)
    norm = partial(ConditionalBatchNorm, project=partial(per_class, data.classes))
    return SNGANProjection(
        generator(data, width, z_dim, norm),
        discriminator(data, width, spectral_or_none(d_norm, chosen.spectral), data.classes if chosen.projection else 0),
        z_dim,
        settings=chosen,
    )


def per_class(classes: int, channels: int) -> nn.Module:
    """``labels[B] -> [B, C]``: a row for each class, all 0 at first, so that all classes start out equal."""
    table = nn.Embedding(classes, channels)
    nn.init.zeros_(table.weight)
    return table
