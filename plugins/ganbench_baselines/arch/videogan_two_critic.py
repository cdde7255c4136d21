"""VideoGAN's generator against a frame critic and a clip critic (Tulyakov et al. 2018, section 3.2).

The frame critic sees one frame of every clip, drawn anew each time. Both critics use the same loss and the same fakes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ganbench import GAN, Batch, DataSpec, Match, hookimpl, settings_of
from ganbench_baselines.arch.blocks import strided_discriminator
from ganbench_baselines.arch.video_layers import Parts, clip_critic, frame_spec, init_video
from ganbench_baselines.arch.videogan import Settings, VideoGAN, built_generator


class TwoCriticVideoGAN(VideoGAN):
    """VideoGAN with two critics; ``discriminator`` holds them, named ``"frame"`` and ``"clip"``."""

    discriminator: nn.ModuleDict

    def matches(self, batch: Batch, fake: Parts) -> Sequence[Match]:
        """One match on frames, and one on clips."""
        n, frames = batch.real.shape[0], batch.real.shape[2]
        at = torch.randint(frames, (n,), device=batch.real.device)
        frame = Match(self.discriminator["frame"], frames_at(batch.real, at), frames_at(fake.x, at))
        return [frame, Match(self.discriminator["clip"], batch.real, fake.x)]


def frames_at(x: Tensor, at: Tensor) -> Tensor:
    """``x[B, C, T, H, W], at[B] -> [B, C, H, W]``: frame ``at[i]`` of clip i."""
    return x[torch.arange(len(x), device=x.device), :, at]


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int, settings: Mapping[str, Any]) -> GAN:
    """Build VideoGAN's G, a critic of single frames and a critic of whole clips.

    Raises:
        Unsupported: the data are not clips whose sides and frames can be halved equally often.
    """
    chosen = settings_of(Settings, settings)
    critics = {
        "frame": init_video(strided_discriminator(frame_spec(data), width, d_norm)),
        "clip": init_video(clip_critic(data, width, d_norm)),
    }
    return TwoCriticVideoGAN(
        generator=built_generator(data, width, z_dim, chosen),
        discriminator=nn.ModuleDict(critics),
        z_dim=z_dim,
        settings=chosen,
    )
