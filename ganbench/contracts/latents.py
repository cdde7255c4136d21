"""The laws from which latents are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Draw = Callable[[int, int, torch.Generator], Tensor]
"""``(n, Z, rng) -> z[n, Z]`` in float32, on the device of ``rng``."""


def normal(n: int, z_dim: int, rng: torch.Generator) -> Tensor:
    """Standard normal."""
    return torch.randn(n, z_dim, generator=rng, device=rng.device)


def uniform(n: int, z_dim: int, rng: torch.Generator) -> Tensor:
    """Uniform in [-1, 1), as in DCGAN (Radford et al. 2015)."""
    return 2 * torch.rand(n, z_dim, generator=rng, device=rng.device) - 1


def sphere(n: int, z_dim: int, rng: torch.Generator) -> Tensor:
    """Uniform on the sphere of radius sqrt(Z), where a normal z lies on average (White 2016)."""
    z = normal(n, z_dim, rng)
    length: Tensor = z.norm(dim=1, keepdim=True)
    return z * (math.sqrt(z_dim) / length.clamp(min=1e-12))


def bernoulli(n: int, z_dim: int, rng: torch.Generator) -> Tensor:
    """0 or 1 with equal probability (Brock et al. 2019, appendix E)."""
    return torch.rand(n, z_dim, generator=rng, device=rng.device).round()


def censored_normal(n: int, z_dim: int, rng: torch.Generator) -> Tensor:
    """max(0, standard normal) (Brock et al. 2019, appendix E)."""
    return normal(n, z_dim, rng).clamp(min=0)


LAWS: dict[str, Draw] = {
    "normal": normal,
    "uniform": uniform,
    "sphere": sphere,
    "bernoulli": bernoulli,
    "censored-normal": censored_normal,
}
"""By the name that ``Recipe.latent`` has."""
