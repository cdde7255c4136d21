"""Evaluation of players without side effects on training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.contracts.arch import GAN


def device_of(gan: GAN) -> torch.device:
    """The players' device."""
    return next(gan.parameters()).device


@contextmanager
def untouched(gan: GAN) -> Iterator[None]:
    """Put all players in eval mode inside the block, so that no statistics change.

    Afterwards, restores torch's default random generators and the mode of each module.
    """
    with preserved_rng(device_of(gan)), in_eval_mode(gan):
        yield


@contextmanager
def preserved_rng(device: torch.device) -> Iterator[None]:
    """Restore torch's default generators, the CPU's and the device's, after the block."""
    before = default_rng_states(device)
    try:
        yield
    finally:
        set_default_rng_states(before, device)


def default_rng_states(device: torch.device) -> list[Tensor]:
    """The states of the CPU's generator and, if different, of the device's; a plugin may draw from either."""
    states = [torch.get_rng_state()]
    return states if device.type == "cpu" else [*states, _rng_module(device).get_rng_state(*_index(device))]


def set_default_rng_states(states: list[Tensor], device: torch.device) -> None:
    """Restore ``default_rng_states(device)``."""
    torch.set_rng_state(states[0])
    if device.type != "cpu":
        _rng_module(device).set_rng_state(states[1], *_index(device))


def _rng_module(device: torch.device) -> Any:
    return torch.get_device_module(device)


def _index(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []  # other devices have a single one


@contextmanager
def in_eval_mode(*roots: nn.Module) -> Iterator[None]:
    """Evaluate in eval mode: no dropout, and no changes to batch-norm statistics."""
    before = {module: module.training for root in roots for module in root.modules()}
    try:
        for root in roots:
            root.eval()
        yield
    finally:
        for module, training in before.items():
            module.training = training
