"""The cores of this machine that this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The number of cores, less those that the system withholds from this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
