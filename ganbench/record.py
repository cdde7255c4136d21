"""Records: what a run leaves behind. Written whole and sealed, and read with every defect named."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from ganbench import __version__
from ganbench.contracts import Goal
from ganbench.errors import RecordError

FORMAT = 2
"""1: 0.1.0 before its release. 2: fingerprints, best-so-far, curve, self-checks, seal."""
Status = Literal["ok", "diverged", "error", "timeout", "skipped", "interrupted"]
FINISHED: tuple[Status, ...] = ("ok", "diverged", "error", "timeout")
"""Statuses of a run that is over; ``interrupted`` is to be resumed."""
UNPACKAGED = "unpackaged"
"""Stands for the package of what was handed over from Python, and is of none."""


class Component(Struct, frozen=True):
    """A plugin as it was when it ran. ``source`` is the hash of its module and of what that imports from its own
    package, ``revision`` a metric's own ``version``."""

    name: str
    package: str
    version: str
    source: str = ""
    revision: int = 0


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
    one iteration (every D update and the G update), ``peak_memory_mb`` of the process (CPU) or the device (CUDA).

    ``d_flops`` and ``g_flops`` are the floating-point operations of D's and of G's updates per real image shown to D
    (matrix products and convolutions, a multiply-add being two; terms that come seldom, by how often they come),
    ``flops_per_second`` is their sum times ``train``, ``peak_flops_per_second`` what the same process reached in a
    matrix product of the run's precision, and ``peak_share`` the one as a share of the other; 0 where they cannot be
    counted. ``mode`` is how iterations were carried out: ``"eager"``, ``"eager: <why>"`` or ``"graph"``.
    """

    train: float = 0.0
    train_iqr: float = 0.0
    windows: int = 0
    sample: float = 0.0
    step_ms: float = 0.0
    peak_memory_mb: float = 0.0
    d_flops: float = 0.0
    g_flops: float = 0.0
    flops_per_second: float = 0.0
    peak_flops_per_second: float = 0.0
    peak_share: float = 0.0
    mode: str = ""


class Cost(Struct, frozen=True):
    """What was spent: real images shown to D, seconds of training and of judging; and the energy of the whole device
    during training, in joules, where its driver counts it and no other run of the same command was beside this one."""

    images: int = 0
    train_seconds: float = 0.0
    judge_seconds: float = 0.0
    device_joules: float | None = None


class Fingerprints(Struct, frozen=True):
    """What two runs of the same bits have in common (sha256, in hex): the final weights with their average, the
    samples of each evaluation draw, and, in ``trace``, weights and losses at the end of each window of training."""

    weights: str = ""
    samples: tuple[str, ...] = ()
    trace: str = ""


class Best(Struct, frozen=True):
    """The best generator on the way: chosen by the headline on the selection split, with selection latents; its
    ``scores`` (and ``draws``) are those of the headline's metric on the reporting split."""

    kimg: float
    scores: dict[str, float]
    draws: list[dict[str, float]]


class Look(Struct, frozen=True):
    """The headline on the selection split after ``kimg`` thousand images and ``seconds`` of training."""

    kimg: float
    seconds: float
    score: float


class SelfChecks(Struct, frozen=True):
    """Whether the evaluation itself can be believed.

    ``real`` and ``fake`` are the numbers of samples compared, ``floor`` scores reals against other reals, ``identical``
    the reference against itself (both with the headline's metric). ``effective_samples`` is the fakes' Vendi score
    (Friedman and Dieng 2023), about 1 where all point one way, ``spread`` their variance as a share of the reals'.
    ``failed`` are sentences.
    """

    real: int
    fake: int
    floor: dict[str, float]
    identical: dict[str, float]
    effective_samples: float
    spread: float = 1.0
    failed: tuple[str, ...] = ()


class Environment(Struct, frozen=True):
    """Where it ran. ``core`` is the hash of ganbench's own modules, ``nondeterministic`` are the operations without a
    deterministic form that were used, ``workers`` how many runs went on at a time."""

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
    core: str = ""
    nondeterministic: tuple[str, ...] = ()
    workers: int = 1


class Record(Struct, frozen=True, kw_only=True):
    """One run, or one yardstick draw. Tables are computed from records and nothing else."""

    format: int
    status: Status
    reason: str = ""
    protocol: str
    digest: str
    seed: int
    arch: Component | None = None
    loss: Component | None = None
    tricks: tuple[Component, ...] = ()
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
    parts: dict[str, Component] = field(default_factory=dict)
    """The plugins that gave ``dataset`` and ``extractor``."""
    bits: Fingerprints = Fingerprints()
    best: Best | None = None
    curve: tuple[Look, ...] = ()
    collapse: str = ""
    """In what the samples collapsed, if they did."""
    self_checks: SelfChecks | None = None
    speed: Speed = Speed()
    cost: Cost = Cost()
    environment: Environment
    started: str = ""

    @property
    def entry(self) -> str:
        """The row this record belongs to: ``dcgan+wgan-gp``, with tricks and changes, or a yardstick's name."""
        if self.yardstick:
            return self.yardstick
        parts = [part.name if part else "?" for part in (self.arch, self.loss, *self.tricks)]
        return entry_name(parts, self.changes)

    @property
    def file_name(self) -> str:
        """Under which a published record is stored."""
        return f"{self.entry.replace(' ', '+').replace(':', '~').replace('/', '~')}+seed{self.seed}.json"


def entry_name(parts: Iterable[str], changes: Mapping[str, str]) -> str:
    """``dcgan+wgan-gp+pacgan:2``: arch, loss, tricks; and behind it what the user changed (such a row is *custom*)."""
    return " ".join(["+".join(parts), *(f"{name}={value}" for name, value in sorted(changes.items()))])


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
    """Store a record as indented JSON, sealed with a hash of its content: what is changed by hand is not read.

    Raises:
        RecordError: provenance is missing, or the disk refuses.
    """
    facts = msgspec.to_builtins(record)
    if record.format >= 2:
        _check_provenance(record)
        facts["seal"] = _seal(facts)
    write_atomically(path, msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n")


def read(path: Path) -> Record:
    """Load a record; formats before this one load too, without what they did not hold.

    Raises:
        RecordError: the file cannot be read, is no record, was changed since it was written, or was written by a
            newer GANBench.
    """
    try:
        facts = msgspec.json.decode(path.read_bytes())
        number = facts.get("format", 0) if isinstance(facts, dict) else 0
        if isinstance(number, int) and number > FORMAT:
            raise RecordError(
                f"{path} has record format {number}; this GANBench {__version__} reads up to {FORMAT}",
                "upgrade: pip install -U ganbench",
            )
        record = msgspec.convert(facts, Record)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise RecordError(f"{path} is not a readable record: {error}", "delete it and run again") from error
    if record.format >= 2 and facts.get("seal") != _seal(facts):
        raise RecordError(
            f"{path} was changed after it was written: its seal does not fit", "restore the file, or run again"
        )
    _check_means(record, path)
    return record


def _check_means(record: Record, path: Path) -> None:
    """Scores are the means of their draws, and nothing else."""
    for name, score in record.scores.items():
        draws = [draw.get(name, math.nan) for draw in record.draws]
        if draws and not math.isclose(score, fmean(draws), rel_tol=1e-9, abs_tol=1e-12):
            raise RecordError(f"{path} was changed: {name} is not the mean of its draws", "restore the file")


def _seal(facts: dict[str, Any]) -> str:
    """Over the plain values, so that fields of later formats change no older seal."""
    content = {name: value for name, value in facts.items() if name != "seal"}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]


def _check_provenance(record: Record) -> None:
    """No score without provenance: a record that does not say where it comes from is not written."""
    env, trained = record.environment, not record.yardstick
    needed: dict[str, object] = {
        "protocol": record.protocol and record.digest,
        "headline": record.headline,
        "dataset hash": record.dataset and record.dataset_hash,
        "device": env.device and env.system and env.threads,
        "versions": env.ganbench and env.core and env.python and env.torch,
        "start": record.started,
        **{
            f"source of the {kind}": part.package and part.version and part.source
            for kind, part in record.parts.items()
        },
        **{f"source of the metric {name}": m.package and m.source for name, m in record.metrics.items()},
        "plugin of the dataset": "dataset" in record.parts,
        "metrics": record.metrics or not record.scores,
        "extractor": record.extractor or not any("@" in name for name in record.scores),
    }
    if trained:
        needed |= {
            "arch": record.arch and record.arch.package and record.arch.version and record.arch.source,
            "loss": record.loss and record.loss.package and record.loss.version and record.loss.source,
            **{f"source of the trick {t.name}": t.package and t.version and t.source for t in record.tricks},
            "recipe": record.recipe and record.recipe_from,
            "normalisation and parameters of the networks": record.d_norm and record.parameters,
        }
    if record.status == "ok":
        needed |= {
            "scores": record.scores and all(math.isfinite(value) for value in record.scores.values()),
            "evaluation draws": record.draws and set(record.columns) == set(record.scores),
            "self-checks": record.self_checks,
            "fingerprints": record.bits.samples and (record.bits.weights or not trained),
            "cost": record.cost.images or not trained,
        }
    missing = [name for name, there in needed.items() if not there]
    if missing:
        raise RecordError(f"a record without {missing[0]} is not written", "this is a defect of GANBench or a plugin")


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
