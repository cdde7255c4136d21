"""NVIDIA's driver library (NVML), called without the package nvidia-ml-py; functions return None without an answer."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

Reading = Callable[[], float | None]
"""A number, or None if the driver does not say."""
SM_CLOCK = 1  # NVML_CLOCK_SM


def uuid_of(device: torch.device) -> str | None:
    """The UUID by which the driver identifies an NVIDIA GPU; None for other devices."""
    if device.type != "cuda" or torch.version.hip:
        return None
    with suppress(AttributeError):  # a GPU that has no UUID
        return f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    return None


def library() -> Any:
    """The driver library; None if there is none."""
    with suppress(OSError):
        return ctypes.CDLL("libnvidia-ml.so.1")
    return None


def energy_counter(nvml: Any, uuid: str) -> Reading | None:
    """The energy that a GPU (Volta or later) has used since an arbitrary moment in the past, in joules.

    It is ``nvmlDeviceGetTotalEnergyConsumption`` of the GPU with this UUID; None if not supported.
    """
    millijoules = ctypes.c_ulonglong()
    return _reading(nvml, uuid, "nvmlDeviceGetTotalEnergyConsumption", (), millijoules, 1 / 1000)


def sm_clock(nvml: Any, uuid: str) -> Reading | None:
    """The clock of a GPU's multiprocessors, in MHz.

    It is ``nvmlDeviceGetClockInfo`` of the GPU with this UUID; None if not supported.
    """
    return _reading(nvml, uuid, "nvmlDeviceGetClockInfo", (SM_CLOCK,), ctypes.c_uint(), 1.0)


def _reading(nvml: Any, uuid: str, function: str, arguments: tuple[int, ...], into: Any, unit: float) -> Reading | None:
    handle = ctypes.c_void_p()

    def read() -> float | None:
        failed = getattr(nvml, function)(handle, *arguments, ctypes.byref(into))
        return None if failed else into.value * unit

    with suppress(AttributeError):  # the library is older than the function
        if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)):
            return None
        return None if read() is None else read
    return None
