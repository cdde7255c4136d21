"""What a run records: its history and costs while it runs, and the fields of its record at the end."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import torch

from ganbench.contracts.arch import count_parameters, normalisation
from ganbench.contracts.executor import JobBase, TrainingJob
from ganbench.contracts.kind import Kind
from ganbench.contracts.score_name import is_called
from ganbench.device import memory
from ganbench.device.energy import Energy, counter_of
from ganbench.device.load import Load, load_average
from ganbench.errors import GanbenchError, told, without_folders
from ganbench.plugins.source import core_hash
from ganbench.records.files import append_line, write_atomically
from ganbench.records.history import as_line
from ganbench.records.provenance import environment
from ganbench.records.record import FORMAT, Company, Cost, Speed
from ganbench.runs.players import Players
from ganbench.runs.setup import Bench, cast_of
from ganbench.training.flops import Account
from ganbench.training.trainer import WARM_UP_WINDOWS, Trainer, Window


class Recording:
    """The history of one run, and what it has cost so far.

    Args:
        folder: the run's folder.
        device: the device it trains on.
        alone: whether the same command has no other run in progress; only then is the device's energy this run's.
    """

    def __init__(self, folder: Path, device: torch.device, *, alone: bool) -> None:
        self.file, self.device = folder / "history.jsonl", device
        self.started = now()
        self.energy = Energy(counter_of(device) if alone else None)
        self.history: list[dict[str, Any]] = []
        self.nondeterministic: set[str] = set()
        self.train_seconds = self.train_cpu_seconds = self.judge_seconds = 0.0
        self._load = Load()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Measure the energy used inside the block, and the other load on the machine."""
        before = Load.now()
        with self.energy.watched():
            yield
        self._load = self._load.plus(Load.now().since(before))

    def spend(self, window: Window) -> None:
        """Add the time that a stretch of training took."""
        self.train_seconds += window.seconds
        self.train_cpu_seconds += window.cpu_seconds

    def row(self, window: Window, fingerprint: str) -> dict[str, Any]:
        """A line of the history; ``bits`` shows the first window in which two runs differ."""
        content = json.dumps([fingerprint, window.step, window.losses])
        return {
            "step": window.step,
            "kimg": window.images / 1000,
            "seconds": round(self.train_seconds, 3),
            "cpu_seconds": round(self.train_cpu_seconds, 3),
            "images_per_second": _rate(window.window_images, window.seconds),
            "images_per_cpu_second": _rate(window.window_images, window.cpu_seconds),
            "load": round(load_average(), 2),
            "bits": hashlib.sha256(content.encode()).hexdigest()[:8],
            **window.losses,
        }

    def rate(self, row: Mapping[str, Any]) -> float:
        """Images per second in a line of the history: per CPU second where the process itself computes."""
        return float(row["images_per_cpu_second" if self.device.type == "cpu" else "images_per_second"])

    def note(self, row: dict[str, Any]) -> None:
        """Add a line to the history and its file."""
        self.history.append(row)
        append_line(as_line(row), self.file, afresh=len(self.history) == 1)

    def write_history(self) -> None:
        """Rewrite the whole file as it was at the last checkpoint."""
        text = "".join(as_line(row) + "\n" for row in self.history)
        write_atomically(self.file, text.encode())

    @property
    def trace(self) -> str:
        """The bits of every window, in order."""
        return " ".join(row["bits"] for row in self.history)

    def cost(self, images: int) -> Cost:
        """What was spent on ``images`` real images shown to D."""
        joules = self.energy.joules
        return Cost(
            images,
            round(self.train_seconds, 3),
            round(self.judge_seconds, 3),
            None if joules is None else round(joules, 1),
            round(self.train_cpu_seconds, 3),
        )

    def company(self) -> Company:
        """What else kept the machine busy during training."""
        loads = [row["load"] for row in self.history]
        mean = statistics.fmean(loads) if loads else 0.0
        return Company(round(mean, 2), round(self._load.steal, 4), round(self._load.pressure, 4))

    def speed(self, trainer: Trainer, sample_rate: float) -> Speed:
        """Throughput over the windows after the warm-up; ``sample_rate`` in generated images per second."""
        timed = self.history[WARM_UP_WINDOWS:]
        rates = [row["images_per_second"] for row in timed]
        computes = self.device.type == "cpu"
        by_cpu = [row["images_per_cpu_second"] for row in timed] if computes else []
        quartiles = statistics.quantiles(rates, n=4) if len(rates) > 1 else [0.0, 0.0, 0.0]
        rate = statistics.median(rates) if rates else 0.0
        return Speed(
            train=round(rate, 1),
            train_iqr=round(quartiles[2] - quartiles[0], 1),
            windows=len(rates),
            sample=round(sample_rate, 1),
            step_ms=round(1000 * trainer.stream.batch * trainer.recipe.d_steps / rate, 3) if rate else 0.0,
            peak_memory_mb=memory.peak_mb(self.device),
            mode=trainer.mode,
            train_cpu=round(statistics.median(by_cpu), 1) if by_cpu else 0.0,
        )

    # -- checkpoint and resume ---------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Plain values, loadable with ``weights_only``."""
        return {
            "history": self.history,
            "seconds": [self.train_seconds, self.train_cpu_seconds, self.judge_seconds],
            "load": list(dataclasses.astuple(self._load)),
            "joules": self.energy.joules,
            "started": self.started,
            "nondeterministic": sorted(self.nondeterministic),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from ``state()``."""
        self.history, self.started = state["history"], state["started"]
        self.train_seconds, self.train_cpu_seconds, self.judge_seconds = state["seconds"]
        self._load = Load(*state["load"])
        self.energy.resume(state["joules"])
        self.nondeterministic |= set(state["nondeterministic"])


# -- fields of a record ----------------------------------------------------------------------------------------------


def protocol_fields(
    bench: Bench, job: JobBase, doubts: tuple[str, ...] = (), nondeterministic: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The fields that the protocol fixes, and where the job runs."""
    protocol = bench.protocol
    return {
        "format": FORMAT,
        "protocol": protocol.name,
        "digest": job.digest,
        "seed": job.seed,
        "headline": protocol.evaluation.headline,
        "dataset": bench.dataset.name,
        "dataset_hash": bench.dataset.fingerprint,
        "class_names": bench.dataset.class_names,
        "origin": bench.dataset.origin,
        "extractor": bench.judge.tag,
        "metrics": bench.components,
        "parts": bench.parts,
        "doubts": tuple(map(without_folders, bench.doubts + doubts)),
        "environment": environment(
            bench.device, nondeterministic, job.workers, protocol.training.precision, core_hash()
        ),
    }


def player_fields(job: TrainingJob, players: Players) -> dict[str, Any]:
    """The fields on the players, their recipe, and what was built."""
    gan = players.gan
    return {
        **cast_of(job)._asdict(),
        "changes": job.changes,
        "recipe": {
            **plain(players.recipe),
            **_settings("loss", players.loss),
            **_settings("arch", gan.settings),
        },
        "recipe_from": players.origins,
        "d_norm": normalisation(gan.discriminators()),
        "parameters": {"G": count_parameters(gan.generators()), "D": count_parameters(gan.discriminators())},
    }


def with_account(speed: Speed, account: Account) -> Speed:
    """``speed``, with the operations per image, their rate, and its share of the device's peak.

    On a CPU, the rate is per second of the process's own CPU time, so that other programs do not affect it.
    """
    flops, peak = account
    rate = (flops.d + flops.g) * (speed.train_cpu or speed.train)
    return msgspec.structs.replace(
        speed,
        d_flops=round(flops.d, 1),
        g_flops=round(flops.g, 1),
        flops_per_second=float(f"{rate:.4g}"),
        peak_flops_per_second=float(f"{peak:.4g}"),
        peak_share=round(rate / peak, 4) if peak else 0.0,
    )


def column_named(scores: Mapping[str, float], column: str) -> str | None:
    """The column's name in full: ``fid`` is ``fid@digits-cnn:1a2b3c4d``; None where it has no score."""
    return next((name for name in scores if is_called(name, column)), None)


def _settings(kind: Kind, holder: object) -> dict[str, object]:
    """The hyper-parameters of a loss or an arch, as ``<kind>.<name>``."""
    if not dataclasses.is_dataclass(holder):
        return {}
    return {f"{kind}.{field.name}": plain(getattr(holder, field.name)) for field in dataclasses.fields(holder)}


def plain(value: Any) -> Any:
    """The value as a record returns it; anything that JSON cannot express becomes text."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=repr))


def failure_reason(error: BaseException) -> str:
    """An exception as a record's reason, in one line; paths lose their folders, because records are published."""
    if isinstance(error, GanbenchError) and error.message:
        return without_folders("; ".join(filter(None, [error.message, error.hint])))
    return without_folders(told(error))


def _rate(images: int, seconds: float) -> float:
    """Images per second; 0 if the clock measured no time."""
    return round(images / seconds, 1) if seconds else 0.0


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
