"""Timing records: how fast a row of a table trains and samples, timed alone. ``ganbench time`` writes them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from ganbench.contracts.executor import entry_name
from ganbench.contracts.protocol import Name
from ganbench.errors import RecordError
from ganbench.records.files import cut, write_atomically
from ganbench.records.record import Component, Environment
from ganbench.records.sealing import as_text, read_sealed, refuse_unreadable, sealed

TIMING_FORMAT = 1
_LONGEST = 120
"""In bytes, of a file's name before its hash."""


class Round(Struct, frozen=True):
    """One stretch of training and one of sampling, with what the machine did meanwhile.

    ``step_ms`` is one iteration (every D update and the G update), ``step_cpu_ms`` the process's CPU time for it,
    ``product_ms`` the product of two fixed matrices just before and after. ``steal`` is the share of all CPU time that
    a hypervisor gave to other machines, ``pressure`` the share of the time in which some task waited for a CPU.
    ``clock_mhz`` is the clock of a GPU's multiprocessors at the round's end (0: unknown). On a GPU, ``step_ms`` is
    measured by the device's own clock (CUDA events).
    """

    step_ms: float
    step_cpu_ms: float
    samples_per_second: float
    product_ms: float
    steal: float
    pressure: float
    clock_mhz: float = 0.0


class Timing(Struct, frozen=True, kw_only=True):
    """A row of a protocol's table, timed alone in several rounds.

    ``train`` is real images shown to D per second (the median over ``rounds``, with the interquartile range
    ``train_iqr``), ``train_cpu`` the same per second of the process's CPU time (0 where another device computes),
    ``sample`` generated images per second, ``step_ms`` one iteration. ``d_flops`` and ``g_flops`` are operations per
    real image shown to D; ``peak_share`` is their rate as a share of ``peak_flops_per_second``, the most that the
    device reached in a matrix product; 0 where they cannot be counted. ``peak_memory_mb`` is in MiB, of the process
    (CPU) or the device (CUDA). ``mode`` is how iterations were executed. ``rounds`` are the good ones;
    ``repeated`` counts the others, which were off.

    ``started`` is when the session began, the same for all its rows. Rows of one session were timed in turn and can be
    compared. Between two sessions, a machine whose memory or caches other programs or other virtual machines use may
    have become slower or faster for all of its rows, by much more than ``train_iqr``.
    """

    format: int
    protocol: Name
    digest: str
    arch: Component
    loss: Component
    tricks: tuple[Component, ...] = ()
    environment: Environment
    train: float
    train_iqr: float
    train_cpu: float
    sample: float
    step_ms: float
    d_flops: float
    g_flops: float
    peak_flops_per_second: float
    peak_share: float
    peak_memory_mb: float
    mode: str
    rounds: tuple[Round, ...]
    repeated: int
    started: str

    @property
    def entry(self) -> str:
        """The row that was timed: ``dcgan+wgan-gp``, with tricks."""
        return entry_name([part.name for part in (self.arch, self.loss, *self.tricks)], {})

    @property
    def file_name(self) -> str:
        """The same for every timing of the same code, under the same rules, on the same machine."""
        parts, where = (self.arch, self.loss, *self.tricks), self.environment
        code = [(part.package, part.name, part.version, part.source) for part in parts]
        identity = msgspec.json.encode([self.digest, self.entry, code, where.core, where.machine])
        plain = re.sub(r"[^\w.+=-]+", "-", cut(f"{self.entry}+{where.machine}", _LONGEST))
        return f"{plain}+{hashlib.sha256(identity).hexdigest()[:8]}.json"


def write_timing(timing: Timing, path: Path) -> None:
    """Store a timing as indented JSON, sealed with a hash of its content, whole or not at all.

    Raises:
        RecordError: provenance is missing, or the file cannot be written.
    """
    facts = msgspec.to_builtins(timing)
    refuse_unreadable(facts, Timing, "timing")
    write_atomically(path, as_text(sealed(facts)))


def read_timing(path: Path) -> Timing:
    """Load a timing.

    Raises:
        RecordError: the file cannot be read, is not a timing, was changed since it was written, or is of a format that
            this GANBench does not read.
    """
    return read_sealed(path, lambda _: Timing, range(1, TIMING_FORMAT + 1), "timing", "time the row again")


def read_timings(paths: Iterable[Path]) -> tuple[list[Timing], list[RecordError]]:
    """Every timing that can be read, and an error for each that cannot."""
    timings, errors = [], []
    for path in sorted(paths):
        try:
            timings.append(read_timing(path))
        except RecordError as error:
            errors.append(error)
    return timings, errors
