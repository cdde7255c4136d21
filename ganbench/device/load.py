"""The load of the machine, from the counters of Linux; 0 if there are none."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

STAT, PRESSURE = Path("/proc/stat"), Path("/proc/pressure/cpu")
_TICKS = 8
"""user, nice, system, idle, iowait, irq, softirq and steal; the first two already include the guest ticks."""


@dataclass(frozen=True)
class Load:
    """The machine's counters at one time, or their increase over an interval.

    ``wall`` is wall-clock time in seconds. ``ticks`` is the time of all CPUs, idle or not, and ``stolen`` the part of
    it that a hypervisor gave to other machines; both are in kernel ticks. ``waiting`` is the number of seconds in which
    some task waited for a CPU.
    """

    wall: float = 0.0
    ticks: float = 0.0
    stolen: float = 0.0
    waiting: float = 0.0

    @classmethod
    def now(cls) -> Load:
        """Read the counters; takes about 50 microseconds."""
        ticks = _ticks()
        return cls(time.monotonic(), sum(ticks), ticks[-1] if ticks else 0.0, _waiting())

    def since(self, earlier: Load) -> Load:
        """The increase of the counters since ``earlier``."""
        return Load(*(now - then for now, then in zip(astuple(self), astuple(earlier), strict=True)))

    def plus(self, other: Load) -> Load:
        """The sum of two intervals."""
        return Load(*(one + another for one, another in zip(astuple(self), astuple(other), strict=True)))

    @property
    def steal(self) -> float:
        """The share of an interval's CPU time that a hypervisor gave to other machines."""
        return self.stolen / self.ticks if self.ticks > 0 else 0.0

    @property
    def pressure(self) -> float:
        """The share of an interval in which some task waited for a CPU."""
        return self.waiting / self.wall if self.wall > 0 else 0.0


def load_average() -> float:
    """The mean number of tasks that ran or waited in the last minute; 0 if the system does not count them."""
    with suppress(OSError, AttributeError):
        return os.getloadavg()[0]
    return 0.0


def _ticks() -> list[float]:
    with suppress(OSError, ValueError, IndexError):
        counts = [float(word) for word in STAT.read_text().splitlines()[0].split()[1 : _TICKS + 1]]
        return counts if len(counts) == _TICKS else []
    return []


def _waiting() -> float:
    with suppress(OSError, ValueError):
        for line in PRESSURE.read_text().splitlines():
            if line.startswith("some"):
                return float(line.rpartition("total=")[2]) / 1e6
    return 0.0
