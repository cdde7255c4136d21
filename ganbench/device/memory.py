"""Peak memory of one run: of the device on CUDA, of the process elsewhere (if the system can reset it)."""

from __future__ import annotations

import gc
from contextlib import suppress
from pathlib import Path

import torch

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def reset_peak(device: torch.device) -> None:
    """Reset the peak, because a worker executes many runs."""
    if device.type == "cuda":
        torch.cuda.init()
        gc.collect()  # frees reference cycles of the last run
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        _CLEAR.write_text("5")  # Linux: resets the high-water mark to current use


def peak_mb(device: torch.device) -> float:
    """The peak since ``reset_peak`` in MiB; 0 if unknown."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    with suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    return 0.0
