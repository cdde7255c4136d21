"""VideoGAN (Vondrick, Pirsiavash and Torralba 2016): moving foreground over a still background, 3-D convolutions in D.

    G(z) = m(z) f(z) + (1 - m(z)) b(z)          (equation 2)

G also minimises λ |m(z)|, with λ = 0.1 (section 3.2). As in the authors' code, |m| is the mean over all pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta
from torch import Tensor

from ganbench import GAN, Batch, DataSpec, Match, Terms, hookimpl, settings_of
from ganbench_baselines.arch.video_layers import OneStream, Parts, TwoStream, clip_critic, init_video


@dataclass(frozen=True)
class Settings:
    """User settings.

    Args:
        background: a mask and a background stream; False gives the paper's one-stream model.
        sparsity: λ of the L1 term on the mask, 0 for none.
    """

    background: bool = True
    sparsity: Annotated[float, Meta(ge=0)] = 0.1


class VideoGAN(GAN):
    """VideoGAN, whose fakes are ``Parts``: the clip, and the streams and the mask that it was made from."""

    generator: OneStream
    settings: Settings

    def fake(self, batch: Batch) -> Parts:
        """Clips with the streams that made them."""
        return self.generator.parts(batch.z)

    def sample(self, batch: Batch) -> Tensor:
        """Clips ``x[B, C, T, H, W]`` in [-1, 1]."""
        return self.generator(batch.z)

    def matches(self, batch: Batch, fake: Parts) -> Sequence[Match]:
        """D sees whole clips."""
        return [Match(self.discriminator, batch.real, fake.x)]

    def g_extra(self, batch: Batch, fake: Parts) -> Terms:
        """The L1 term on the mask, which leaves everything that does not move to the background."""
        return {} if fake.mask is None else {"mask": self.settings.sparsity * fake.mask.mean()}


def built_generator(data: DataSpec, width: int, z_dim: int, settings: Settings) -> OneStream:
    """An initialised G with two streams, or with one."""
    built = (TwoStream if settings.background else OneStream)(data, width, z_dim)
    init_video(built)
    return built


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int, settings: Mapping[str, Any]) -> GAN:
    """Build G with the streams that the settings select, and a D that judges whole clips.

    Raises:
        Unsupported: the data are not clips whose sides and frames can be halved equally often.
    """
    chosen = settings_of(Settings, settings)
    return VideoGAN(
        generator=built_generator(data, width, z_dim, chosen),
        discriminator=init_video(clip_critic(data, width, d_norm)),
        z_dim=z_dim,
        settings=chosen,
    )
