"""Latent tools for any G: interpolation between latents, and the labels or sources that samples are generated for.

Interpolation is linear or spherical (Shoemake 1985; White 2016, "Sampling generative networks"). White's argument: a
Gaussian in many dimensions lies near a sphere, and the chord between two of its points passes through regions that G
never saw in training. ``activation.py`` finds the latents that make a unit most active.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from ganbench.contracts.arch import GAN
from ganbench.contracts.data import Batch, Dataset, Split, quantise, to_signal
from ganbench.device.untouched import device_of, untouched
from ganbench.errors import DataError, Unsupported

Mode = Literal["slerp", "linear"]

BATCH = 256
"""Samples generated at a time."""
PARALLEL = 1e-4
"""Radians: latents whose angle is within this of 0 or pi are interpolated linearly."""


def linear(z0: Tensor, z1: Tensor, t: float | Tensor) -> Tensor:
    """``(1 - t) z0 + t z1``, of ``z[..., Z]``."""
    return (1 - t) * z0 + t * z1


def slerp(z0: Tensor, z1: Tensor, t: float | Tensor) -> Tensor:
    """Interpolate ``z[..., Z]`` along the sphere: ``sin((1 - t) w) / sin(w) z0 + sin(t w) / sin(w) z1``.

    w is the angle between the two. Between latents of equal norm, the norm stays constant. Parallel and opposite
    latents are interpolated by ``linear``.
    """
    cosine = nn.functional.cosine_similarity(z0.double(), z1.double(), dim=-1).clamp(-1, 1).unsqueeze(-1)
    angle = torch.arccos(cosine)
    curved = (angle > PARALLEL) & (math.pi - angle > PARALLEL)
    w = torch.where(curved, angle, torch.ones_like(angle))
    arc = (torch.sin((1 - t) * w) * z0 + torch.sin(t * w) * z1) / torch.sin(w)
    return torch.where(curved, arc, linear(z0.double(), z1.double(), t)).to(z0.dtype)


WAYS: dict[Mode, Callable[[Tensor, Tensor, float], Tensor]] = {"slerp": slerp, "linear": linear}


def interpolate(gan: GAN, like: Split, steps: int = 10, mode: Mode = "slerp", seed: int = 0) -> Tensor:
    """Samples along the path from one latent to another, ``x[P, steps, *shape]`` as stored.

    There is a pair of latents for each of the P real samples in ``like``, whose label is kept along the path.

    Args:
        gan: the players; they are not changed.
        like: real samples, one for each pair.
        steps: samples along each path, including both ends; 2 or more.
        mode: ``"slerp"`` or ``"linear"``.
        seed: the seed of the latents.

    Raises:
        Unsupported: the GAN translates, so it has no latent.
    """
    refuse_translators(like)
    pairs, device = len(like), device_of(gan)
    with untouched(gan):
        ends = gan.sample_latent(2 * pairs, torch.Generator(device).manual_seed(seed))
    way = torch.stack([WAYS[mode](ends[:pairs], ends[pairs:], i / (steps - 1)) for i in range(steps)], dim=1)
    rows = torch.arange(pairs).repeat_interleave(steps)
    made = made_of(gan, way.flatten(0, 1), like[rows])
    return made.view(pairs, steps, *made.shape[1:])


def made_of(gan: GAN, z: Tensor, like: Split) -> Tensor:
    """The samples ``x[N, *shape]`` for latents ``z[N, Z]`` and the labels of ``like``, as stored, on the CPU."""
    with untouched(gan), torch.no_grad():
        parts = [gan.sample(batch_of(z[i], like[i])) for i in torch.arange(len(z)).split(BATCH)]
    return torch.cat([quantise(part, like.x).cpu() for part in parts])


def batch_of(z: Tensor, like: Split) -> Batch:
    """The batch that a GAN generates samples from: latents, and the labels of ``like``."""
    labels = None if like.labels is None else like.labels.to(z.device)
    return Batch(to_signal(like.x.to(z.device)), z, labels)


def refuse_translators(data: Split) -> None:
    """Raise Unsupported if the GAN makes samples from other samples."""
    if data.source is not None:
        raise Unsupported(
            "this GAN translates samples, so it has no latent for these tools to use",
            "`ganbench sample` shows translations",
        )


def conditions(gan: GAN, dataset: Dataset, n: int, label: str = "") -> Split:
    """The labels to generate ``n`` samples for: those of the training data, or the class called ``label`` for all.

    Translators get sources that they were not trained on.

    Raises:
        Unsupported: a label is given, but the GAN takes none.
        DataError: the data have no such class, or no sample of it.
    """
    data = dataset.train if dataset.spec.source is None else dataset.test
    among = torch.arange(len(data))
    if label:
        if not gan.conditional or data.labels is None:
            raise Unsupported("this generator takes no labels", "leave out --label")
        among = (data.labels == dataset.class_called(label)).nonzero().flatten()
        if not len(among):
            raise DataError(f"'{dataset.name}' has no sample of the class '{label}'", "choose another --label")
    return data[among[torch.arange(n) % len(among)]]
