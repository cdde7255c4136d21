"""Energy used by a GPU, from the driver's counter (NVML); None if there is no counter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ganbench.device.nvml import Reading, energy_counter, library, uuid_of


class Energy:
    """Joules that a whole device used inside ``watched`` blocks, for all processes.

    ``joules`` is None as soon as part of the total is unknown.
    """

    def __init__(self, counter: Reading | None) -> None:
        self._counter = counter
        self.joules: float | None = 0.0 if counter else None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Add the joules used inside the block."""
        before = self._read()
        yield
        after = self._read()
        if self.joules is None or before is None or after is None:
            self.joules = None
        else:
            self.joules += after - before

    def resume(self, joules: float | None) -> None:
        """Continue from the total of an earlier process."""
        self.joules = joules if self._counter else None

    def _read(self) -> float | None:
        return self._counter() if self._counter else None


def counter_of(device: torch.device) -> Reading | None:
    """The driver's counter of an NVIDIA GPU; None for anything else."""
    uuid, nvml = uuid_of(device), library()
    return energy_counter(nvml, uuid) if uuid and nvml is not None else None
