"""How somebody wants samples to be read."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Asked:
    """The wishes of a user, and the arguments of programs that make samples.

    Args:
        count: how many samples a program is to make.
        labels: the classes to make them for, ``[count]``; None if the data have none.
        seed: of a program's random numbers.
        trusted: whether programs may be run.
        z_dim: the number of latents of a generator whose file does not state it; 0: not given.
        device: where a generator runs.
        batch: samples that a generator makes at a time.
    """

    count: int
    labels: Tensor | None = None
    seed: int = 0
    trusted: bool = False
    z_dim: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    batch: int = 100
