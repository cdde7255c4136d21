"""Peak memory of one run: of the device on CUDA, of the process elsewhere (where the system lets it be reset)."""

from __future__ import annotations

import gc
from contextlib import suppress
from pathlib import Path

import torch

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def reset_peak(device: torch.device) -> None:
    """Start counting afresh: a worker carries out many runs."""
    if device.type == "cuda":
        torch.cuda.init()
        gc.collect()  # reference cycles left by the last run are not this run's
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        _CLEAR.write_text("5")  # Linux: sets the high-water mark back to what is in use now


def peak_mb(device: torch.device) -> float:
    """The peak since ``reset_peak`` in MiB; 0 where it is unknown."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    with suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    return 0.0
