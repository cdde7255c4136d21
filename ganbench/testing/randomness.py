"""The random generators of the process: seeds them, and detects draws from them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch

Value = TypeVar("Value")

TORCH = "torch's default generator"
PYTHON = "Python's random module"


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the process-wide generators of torch, numpy and Python inside the block, then restore them."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        try:
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)


class Replay(NamedTuple, Generic[Value]):
    """What an action returned, the generators it ``drew`` from, and the state of torch's default one afterwards."""

    value: Value
    drew: str
    torch_state: bytes


def replay(act: Callable[[], Value], seed: int, torch_seed: int | None = None, allowed: str = "") -> Replay[Value]:
    """Run ``act`` under a seed, and detect draws from the process-wide generators, except the allowed one.

    ``torch_seed`` is a separate seed for torch's default generator.
    """
    with seeded(seed):
        if torch_seed is not None:
            torch.manual_seed(torch_seed)
        before = global_states()
        value = act()
        return Replay(value, moved(before, allowed), global_states()[TORCH])


def global_states() -> dict[str, bytes]:
    """The states of the process-wide generators, for comparison."""
    _, keys, *rest = np.random.get_state()
    return {
        TORCH: torch.get_rng_state().numpy().tobytes(),
        "numpy's global generator": np.asarray(keys).tobytes() + repr(rest).encode(),
        PYTHON: repr(random.getstate()).encode(),
    }


def moved(before: dict[str, bytes], allowed: str = "") -> str:
    """Names of the process-wide generators, except the allowed one, that were drawn from (or seeded) since."""
    return " and ".join(name for name, now in global_states().items() if now != before[name] and name != allowed)


def rng(seed: int = 0) -> torch.Generator:
    """A generator separate from the process-wide ones."""
    return torch.Generator().manual_seed(seed)
