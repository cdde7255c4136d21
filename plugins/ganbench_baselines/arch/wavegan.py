"""WaveGAN (Donahue, McAuley and Puckette 2019): DCGAN on raw audio, with convolutions of length 25 and stride 4.

The layers are those of tables 2 and 3 for 16,384 samples, with one fewer for 4,096 and one more for 65,536. Transposed
convolutions leave artifacts at fixed frequencies and in a fixed phase, by which D could recognise fakes regardless of
how they sound. Phase shuffle (section 3.3) hides that phase from D.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganbench import GAN, DataSpec, Unsupported, hookimpl, settings_of
from ganbench_baselines.arch.blocks import check_norm, weighted

COARSEST, STRIDE, KERNEL = 16, 4, 25
STAGES_MIN = 3
Layer = nn.Conv1d | nn.ConvTranspose1d | nn.Linear


@dataclass(frozen=True)
class Settings:
    """``phase_shuffle``: the largest shift of a map in D, in samples in either direction; 0 for none."""

    phase_shuffle: int = 2


class PhaseShuffle(nn.Module):
    """``x[B, C, T] -> [B, C, T]``: shifts each sample by a random -n to n places, with reflection at the ends.

    Does nothing in eval mode.
    """

    def __init__(self, reach: int) -> None:
        super().__init__()
        self.reach = reach

    def forward(self, x: Tensor) -> Tensor:
        """Shift each sample by a random number of places, in train mode: ``[B, C, T] -> [B, C, T]``."""
        if not self.training:
            return x
        last = x.shape[-1] - 1
        shift = torch.randint(-self.reach, self.reach + 1, (len(x), 1, 1), device=x.device)
        place = (torch.arange(last + 1, device=x.device) + shift).abs()
        return x.gather(-1, (last - (last - place).abs()).expand_as(x))


class WaveGAN(GAN):
    """WaveGAN, whose latents are uniform in [-1, 1]."""

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        """``z[n, Z]``, uniform in [-1, 1), on the generator's device."""
        return 2 * torch.rand(n, self.z_dim, generator=rng, device=rng.device) - 1


def stages_of(data: DataSpec) -> int:
    """The number of layers, each lengthening the map fourfold, between 16 places and the length of the data.

    Raises:
        Unsupported: the data are not audio, or their length is not 16 x 4^k, at least 1,024.
    """
    if len(data.shape) != 2:
        raise Unsupported(f"needs audio, not {data}")
    stages, length = 0, COARSEST
    while length < data.shape[1]:
        stages, length = stages + 1, length * STRIDE
    if length != data.shape[1] or stages < STAGES_MIN:
        raise Unsupported(f"needs audio of 1024, 4096, 16384 ... samples (16 x 4^k), not {data}")
    return stages


def glorot(layer: Layer) -> nn.Module:
    """Uniform weights (Glorot and Bengio 2010) and zero biases, the default of the authors' framework."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def generator(data: DataSpec, width: int, z_dim: int) -> nn.Module:
    """``z[B, Z] -> x[B, C, T]`` in [-1, 1] (table 2)."""
    stages = stages_of(data)
    before = width * 2 ** (stages - 1)
    dense = glorot(nn.Linear(z_dim, COARSEST * before))
    layers: list[nn.Module] = [dense, nn.Unflatten(1, (before, COARSEST)), nn.ReLU()]
    for stage in reversed(range(stages)):
        after = width * 2 ** (stage - 1) if stage else data.shape[0]
        layers += [
            glorot(nn.ConvTranspose1d(before, after, KERNEL, STRIDE, padding=11, output_padding=1)),
            nn.ReLU() if stage else nn.Tanh(),
        ]
        before = after
    return nn.Sequential(*layers)


def discriminator(data: DataSpec, width: int, norm: str, phase_shuffle: int) -> nn.Module:
    """``x[B, C, T] -> logit[B]`` (table 3): phase shuffle follows every convolution but the last."""
    stages = stages_of(data)
    before, layers = data.shape[0], list[nn.Module]()
    for stage in range(stages):
        after = width * 2**stage
        layers += [weighted(glorot(nn.Conv1d(before, after, KERNEL, STRIDE, padding=11)), norm), nn.LeakyReLU(0.2)]
        if phase_shuffle and stage < stages - 1:
            layers.append(PhaseShuffle(phase_shuffle))
        before = after
    dense = weighted(glorot(nn.Linear(before * COARSEST, 1)), norm)
    return nn.Sequential(*layers, nn.Flatten(), dense, nn.Flatten(0))


@hookimpl
def ganbench_arch(data: DataSpec, d_norm: str | None, width: int, z_dim: int, settings: Mapping[str, Any]) -> GAN:
    """Build the players for sounds of 16 x 4^k samples; ``width`` is the paper's model size d (64 there).

    Raises:
        Unsupported: the data are not such sounds, or the phase would be shuffled by 16 places or more.
    """
    chosen = settings_of(Settings, settings)
    if not 0 <= chosen.phase_shuffle < COARSEST:
        raise Unsupported(
            f"cannot shuffle the phase by {chosen.phase_shuffle}", f"choose 0 (not at all) to {COARSEST - 1}"
        )
    norm = check_norm(d_norm, "none")
    return WaveGAN(
        generator=generator(data, width, z_dim),
        discriminator=discriminator(data, width, norm, chosen.phase_shuffle),
        z_dim=z_dim,
        settings=chosen,
    )
