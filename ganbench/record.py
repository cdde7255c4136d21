"""Records: what a run leaves behind. Provenance, validation, atomic writes, and reading with every defect named."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, field

from ganbench import __version__
from ganbench.contracts import Goal
from ganbench.errors import RecordError

FORMAT = 1
Status = Literal["ok", "diverged", "error", "timeout", "skipped", "interrupted"]
FINISHED: tuple[Status, ...] = ("ok", "diverged", "error", "timeout")
"""Statuses of a run that is over; ``interrupted`` is to be resumed."""


class Component(Struct, frozen=True):
    """A plugin as it was when it ran; ``source`` is the hash of its module's text."""

    name: str
    package: str
    version: str
    source: str = ""


class Column(Struct, frozen=True):
    """What a score means: ``min``, ``max`` or ``info``, and the values it can take (None: open)."""

    goal: Goal
    low: float | None = None
    high: float | None = None

    @property
    def log(self) -> bool:
        """Whether the score is a positive quantity to be compared on the log scale."""
        return self.low == 0 and self.high is None


class Speed(Struct, frozen=True):
    """Throughput on warmed-up windows. ``train`` is real images shown to D per second of training (median over
    ``windows`` windows, ``train_iqr`` their interquartile range), ``sample`` generated images per second, ``step_ms``
    one iteration (every D update and the G update), ``peak_memory_mb`` of the process (CPU) or the device (CUDA)."""

    train: float = 0.0
    train_iqr: float = 0.0
    windows: int = 0
    sample: float = 0.0
    step_ms: float = 0.0
    peak_memory_mb: float = 0.0


class Cost(Struct, frozen=True):
    """What was spent: real images shown to D, seconds of training and of judging."""

    images: int = 0
    train_seconds: float = 0.0
    judge_seconds: float = 0.0


class Environment(Struct, frozen=True):
    """Where it ran."""

    ganbench: str
    commit: str
    dirty: bool
    python: str
    torch: str
    cuda: str
    cudnn: str
    device: str
    threads: int
    precision: str
    system: str


class Record(Struct, frozen=True, kw_only=True):
    """One run, or one yardstick draw. Tables are computed from records and nothing else."""

    format: int = FORMAT
    status: Status
    reason: str = ""
    protocol: str
    digest: str
    seed: int
    arch: Component | None = None
    loss: Component | None = None
    yardstick: str = ""
    changes: dict[str, str] = field(default_factory=dict)
    recipe: dict[str, object] = field(default_factory=dict)
    recipe_from: dict[str, str] = field(default_factory=dict)
    d_norm: str = ""
    parameters: dict[str, int] = field(default_factory=dict)
    headline: str
    scores: dict[str, float] = field(default_factory=dict)
    draws: list[dict[str, float]] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    dataset: str
    dataset_hash: str
    extractor: str = ""
    metrics: dict[str, Component] = field(default_factory=dict)
    speed: Speed = Speed()
    cost: Cost = Cost()
    environment: Environment
    started: str = ""

    @property
    def entry(self) -> str:
        """The row this record belongs to: ``dcgan+wgan-gp``, with changes, or a yardstick's name."""
        if self.yardstick:
            return self.yardstick
        return entry_name(self.arch.name if self.arch else "?", self.loss.name if self.loss else "?", self.changes)

    @property
    def file_name(self) -> str:
        """Under which a published record is stored."""
        return f"{self.entry.replace(' ', '+')}+seed{self.seed}.json"


def entry_name(arch: str, loss: str, changes: dict[str, str]) -> str:
    """``dcgan+wgan-gp``, and behind it what the user changed (such a row is *custom*)."""
    return " ".join([f"{arch}+{loss}", *(f"{name}={value}" for name, value in sorted(changes.items()))])


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name, fsync, rename: a reader sees the old file or the new one, never half of either.

    Raises:
        RecordError: the disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def append_line(text: str, path: Path, *, afresh: bool) -> None:
    """Add a line to a log, or begin the log with it.

    Raises:
        RecordError: the disk is full, or the folder cannot be written.
    """
    try:
        with path.open("w" if afresh else "a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise _cannot_write(path, error) from error


def write(record: Record, path: Path) -> None:
    """Store a record as indented JSON."""
    write_atomically(path, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


_decoder = msgspec.json.Decoder(Record)


def read(path: Path) -> Record:
    """Load a record.

    Raises:
        RecordError: the file cannot be read, is no record, or was written by a newer GANBench.
    """
    try:
        raw = path.read_bytes()
        record = _decoder.decode(raw)
    except (OSError, msgspec.DecodeError) as error:
        newer = _format_of(path)
        if newer > FORMAT:
            raise RecordError(*_too_new(path, newer)) from error
        raise RecordError(f"{path} is not a readable record: {error}", "delete it and run again") from error
    if record.format > FORMAT:
        raise RecordError(*_too_new(path, record.format))
    return record


def read_all(paths: Iterable[Path]) -> tuple[list[Record], list[RecordError]]:
    """Every record that can be read, and an error for each that cannot."""
    records, errors = [], []
    for path in sorted(paths):
        try:
            records.append(read(path))
        except RecordError as error:
            errors.append(error)
    return records, errors


def _cannot_write(path: Path, error: OSError) -> RecordError:
    return RecordError(
        f"cannot write {path}: {error.strerror or error}", "free some space, or choose another folder with --out"
    )


def _format_of(path: Path) -> int:
    try:
        number = msgspec.json.decode(path.read_bytes()).get("format", 0)
    except (OSError, msgspec.DecodeError, AttributeError):
        return 0
    return number if isinstance(number, int) else 0


def _too_new(path: Path, number: int) -> tuple[str, str]:
    return (
        f"{path} has record format {number}; this GANBench {__version__} reads up to {FORMAT}",
        "upgrade: pip install -U ganbench",
    )


def environment(device: str, device_name: str, threads: int, precision: str) -> Environment:
    """The machine and software a run takes place on."""
    import torch

    commit, dirty = _commit()
    return Environment(
        ganbench=__version__,
        commit=commit,
        dirty=dirty,
        python=platform.python_version(),
        torch=str(torch.__version__),
        cuda=torch.version.cuda or "" if device.startswith("cuda") else "",
        cudnn=str(torch.backends.cudnn.version() or "") if device.startswith("cuda") else "",
        device=device_name,
        threads=threads,
        precision=precision,
        system=f"{platform.system()} {platform.machine()}",
    )


@cache
def _commit() -> tuple[str, bool]:
    """Commit and dirty flag of the checkout that ganbench is imported from; ("", False) for an installed wheel."""
    here = str(Path(__file__).parent)
    try:
        commit = subprocess.run(
            ["git", "-C", here, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "-C", here, "status", "--porcelain", "--untracked-files=no", "--", here, f"{here}/../plugins"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "", False
    return commit, bool(changed)
