"""Energy of a GPU, from its driver's counter (NVML); None where there is no counter."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

Counter = Callable[[], float | None]
"""Joules since some moment in the past, or None if the driver does not say."""


class Energy:
    """Joules that a whole device used while it was watched, for any process. ``joules`` is None once any part of the
    total is unknown."""

    def __init__(self, counter: Counter | None) -> None:
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
        """Continue from the joules that an earlier process watched."""
        self.joules = joules if self._counter else None

    def _read(self) -> float | None:
        return self._counter() if self._counter else None


def counter_of(device: torch.device) -> Counter | None:
    """The counter of an NVIDIA GPU (Volta or later), through its driver's library; None for anything else."""
    if device.type != "cuda" or torch.version.hip:
        return None
    with suppress(OSError, AttributeError):  # no such library; a GPU that has no UUID
        return nvml_counter(ctypes.CDLL("libnvidia-ml.so.1"), f"GPU-{torch.cuda.get_device_properties(device).uuid}")
    return None


def nvml_counter(nvml: Any, uuid: str) -> Counter | None:
    """``nvmlDeviceGetTotalEnergyConsumption`` of the GPU with this UUID, in joules; None where that is not supported.

    It calls the driver's library itself, without the package nvidia-ml-py; torch's own functions give momentary power
    only.
    """
    handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()

    def read() -> float | None:
        failed = nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules))
        return None if failed else millijoules.value / 1000

    with suppress(AttributeError):  # a library older than the counter
        if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)):
            return None
        return None if read() is None else read
    return None
