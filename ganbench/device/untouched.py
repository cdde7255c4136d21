"""Looking does not touch: how players are asked something without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ganbench.contracts.arch import GAN
from ganbench.training.trainer import preserved_rng


def device_of(gan: GAN) -> torch.device:
    """Where the players are."""
    return next(gan.parameters()).device


@contextmanager
def untouched(gan: GAN) -> Iterator[None]:
    """All players are in eval mode meanwhile, so that no statistics move; the default generators of random numbers, and
    each module's mode, are left as they were found."""
    before = {module: module.training for module in gan.modules()}
    with preserved_rng(device_of(gan)):
        try:
            gan.eval()
            yield
        finally:
            for module, training in before.items():
                module.training = training
