"""One run: build the players, train them under a protocol, look now and then, judge at the end, leave a record."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import resource
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from ganbench import plugins, report
from ganbench.contracts import Loss, LossTraits
from ganbench.data import Batch, Dataset, Stream, to_signal
from ganbench.errors import Diverged, GanbenchError, PluginError, ProtocolError, RecordError, Unsupported
from ganbench.evaluate import Judge, Verdict, draw_reference, in_eval_mode, metric_of_column, sample
from ganbench.gan import GAN, count_parameters, normalisation
from ganbench.jobs import Event, Job
from ganbench.protocol import Protocol, Recipe, resolve_recipe
from ganbench.record import (
    Column,
    Component,
    Cost,
    Environment,
    Record,
    Speed,
    append_line,
    environment,
    write,
    write_atomically,
)
from ganbench.train import WARM_UP_WINDOWS, Trainer, preserved_rng
from ganbench.yardsticks import YARDSTICKS

WINDOWS = 40
"""A run is timed in about this many windows: at each end progress is reported and the losses are read, once."""
PICTURE_SAMPLES = 64

Emit = Callable[[Event], None]


# -- what all runs of a protocol share -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Bench:
    """Data and judge of a protocol on one device, prepared once per process."""

    protocol: Protocol
    device: torch.device
    dataset: Dataset
    judge: Judge
    metrics: dict[str, Component]

    @property
    def headline_metric(self) -> str:
        return metric_of_column(self.judge.metrics, self.protocol.evaluation.headline)


def prepare(protocol: Protocol, device: str) -> Bench:
    """Load the data, the extractor and the metrics that a protocol names.

    Raises:
        GanbenchError: one of them is missing, broken, or does not fit.
    """
    return _prepare(msgspec.json.encode(protocol), device)


@cache
def _prepare(encoded: bytes, device_name: str) -> Bench:
    protocol = msgspec.json.decode(encoded, type=Protocol)
    rules = protocol.evaluation
    device = pick_device(device_name)
    metric_sources = {name: plugins.find("metric", name) for name in rules.metrics}
    dataset_source = plugins.find("dataset", protocol.dataset)
    dataset: Dataset = plugins.build(dataset_source, argument=dataset_source.argument, resolution=protocol.resolution)
    extractor = None
    if rules.extractor:
        source = plugins.find("extractor", rules.extractor)
        extractor = plugins.build(source, argument=source.argument)
    reference = draw_reference(dataset, rules.reference, rules.samples, protocol.seed(0, "reference"))
    metrics = {name: plugins.build(source) for name, source in metric_sources.items()}
    metric_of_column(metrics, rules.headline)
    judge = Judge(dataset, reference, metrics, extractor, device)
    return Bench(protocol, device, dataset, judge, {n: _component(s) for n, s in metric_sources.items()})


def pick_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda``, ``cuda:i`` or ``mps`` -> a device that is there.

    Raises:
        GanbenchError: it is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    found = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}.get(kind, 0)
    if found <= int(index or 0):
        raise GanbenchError(f"there is no device '{name}' on this machine", "use --device auto or --device cpu")
    return torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device(kind)


def configure() -> None:
    """Make a process reproducible: on CUDA, kernels with a deterministic form and no TF32."""
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


def execute(job: Job, emit: Emit, should_stop: Callable[[], bool]) -> Record:
    """Carry out one job and store its record; failures of the training are results, not exceptions.

    Raises:
        GanbenchError: the job cannot be done at all (nothing was trained, nothing is written).
    """
    if job.yardstick:
        return _judge_yardstick(job)
    return _Run(job, emit).carry_out(should_stop)


# -- building the players --------------------------------------------------------------------------------------------


def build_players(
    protocol: Protocol, dataset: Dataset, arch: str, loss: Loss, changes: Mapping[str, Any], seed: int
) -> tuple[GAN, Recipe, dict[str, str]]:
    """The GAN with its weights drawn from the seed's init stream, and the recipe: protocol -> arch -> loss -> user.

    Raises:
        Unsupported: arch, loss and data do not fit together.
        PluginError: the arch returned something else than its contract says.
    """
    source, traits = plugins.find("arch", arch), LossTraits(loss)
    d_steps = {"d_steps": traits.d_steps, **traits.recipe}
    asked, _ = resolve_recipe(protocol.training, [("--set", changes)])
    try:
        with preserved_rng(torch.device("cpu")):
            torch.manual_seed(protocol.seed(seed, "init"))
            gan = plugins.build(source, data=dataset.spec, d_norm=traits.d_norm, width=asked.width, z_dim=asked.z_dim)
    except Unsupported as error:
        raise Unsupported(f"{source.name} cannot play on {dataset.name}: {error.message}", error.hint) from error
    if not isinstance(gan, GAN):
        raise PluginError(f"{source} returned a {type(gan).__name__}", "ganbench_arch returns a ganbench.GAN")
    _check_norm(source.name, gan, traits.d_norm)
    _check_shapes(source, gan, dataset)
    recipe, origins = resolve_recipe(
        protocol.training,
        [(f"arch {source.name}", gan.recipe), ("the loss", d_steps), ("--set", changes)],
    )
    return gan, recipe, origins


def build_loss(reference: str, changes: Mapping[str, Any]) -> Loss:
    """The loss, with the fields that the user changed (``--set loss.weight=1``).

    Raises:
        ProtocolError: the loss has no such field.
    """
    source = plugins.find("loss", reference)
    loss: Loss = plugins.build(source)
    if not changes:
        return loss
    known = [field.name for field in dataclasses.fields(loss)] if dataclasses.is_dataclass(loss) else list[str]()
    for name in changes:
        if name not in known:
            raise ProtocolError(
                f"the loss '{source.name}' has no setting '{name}'", f"it has: {', '.join(known) or 'none'}"
            )
    return dataclasses.replace(loss, **changes)  # type: ignore[type-var]


def _check_norm(arch: str, gan: GAN, wish: str | None) -> None:
    built = normalisation(gan.discriminators())
    if wish == "none" and "batch" in built:
        raise Unsupported(
            f"the loss looks at each sample by itself and {arch} has batch normalisation in D",
            "let the arch accept d_norm and leave it out",
        )
    if wish == "spectral" and "spectral" not in built:
        raise Unsupported(f"the loss needs spectral normalisation in D and {arch} was built with {built}")


def _check_shapes(source: plugins.Source, gan: GAN, dataset: Dataset) -> None:
    """One look at two samples, before anything is paid for."""
    real = to_signal(dataset.train.x[:2])
    labels = None if dataset.train.labels is None else dataset.train.labels[:2]
    given = None if dataset.train.source is None else to_signal(dataset.train.source[:2])
    with torch.no_grad(), preserved_rng(torch.device("cpu")), in_eval_mode(gan):
        batch = Batch(real, gan.sample_latent(2, torch.Generator().manual_seed(0)), labels, given)
        try:
            shape = tuple(gan.sample(batch).shape)
        except Exception as error:
            raise PluginError(f"{source} cannot make two samples: {type(error).__name__}: {error}") from error
    if shape != (2, *dataset.spec.shape):
        raise PluginError(
            f"{source}: two samples have shape {shape}, {dataset.name} needs {(2, *dataset.spec.shape)}",
            "build the generator for data.shape",
        )


# -- one run ---------------------------------------------------------------------------------------------------------


class _Run:
    """The state of one run while it goes on."""

    def __init__(self, job: Job, emit: Emit) -> None:
        self.job, self.emit, self.protocol, self.folder = job, emit, job.protocol, Path(job.folder)
        self.bench = prepare(job.protocol, job.device)
        self.device = self.bench.device
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.loss = build_loss(job.loss, job.loss_changes)
        self.gan, self.recipe, self.origins = build_players(
            self.protocol, self.bench.dataset, job.arch, self.loss, job.recipe_changes, job.seed
        )
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self.gan.to(self.device)
        self.trainer = Trainer(
            self.gan,
            self.loss,
            Stream(self.bench.dataset.train, self.protocol.training.batch, self._seed("data"), self.device),
            self.recipe,
            self.protocol.training.d_updates,
            self._seed("latent"),
            self._seed("penalty"),
        )
        self.history: list[dict[str, Any]] = []
        self.train_seconds = self.judge_seconds = 0.0

    def carry_out(self, should_stop: Callable[[], bool]) -> Record:
        """Train, look, judge; whatever happens is written down."""
        self._resume()
        try:
            status, reason = self._train(should_stop)
            verdicts, sample_rate = self._judge() if status == "ok" else ([], 0.0)
        except Diverged as error:
            status, reason, verdicts, sample_rate = "diverged", str(error), [], 0.0
        except RecordError:  # a full disk is nobody's result: the run is to be repeated
            raise
        except Exception as error:  # a plugin's crash is a result too
            status, reason, verdicts, sample_rate = "error", f"{type(error).__name__}: {error}", [], 0.0
            with suppress(GanbenchError):
                write_atomically(self.folder / "error.txt", traceback.format_exc().encode())
        record = self._record(status, reason, verdicts, sample_rate)
        if status != "interrupted":
            self._checkpoint(final=True)
        write(record, self.folder / "record.json")
        return record

    def _train(self, should_stop: Callable[[], bool]) -> tuple[str, str]:
        trainer, total = self.trainer, self.trainer.d_updates
        size = max(1, -(-total // WINDOWS))
        checks = self.protocol.evaluation.checks
        if not self.history:
            self._picture(0)
        while not trainer.done:
            before = trainer.d_done
            window = trainer.advance((before // size + 1) * size)
            self.train_seconds += window.seconds
            row = {
                "step": window.step,
                "kimg": window.images / 1000,
                "seconds": round(self.train_seconds, 3),
                "images_per_second": round(window.window_images / window.seconds, 1),
                **window.losses,
            }
            checked = trainer.done or before * checks // total != trainer.d_done * checks // total
            if checked:
                self._picture(window.images)
            if checked and not trainer.done:
                row |= self._look()
            self._note(row)
            if checked and not trainer.done:
                self._checkpoint()
            self.emit(Event("progress", self.job.key, {**row, "share": trainer.d_done / total}))
            if should_stop() and not trainer.done:
                self._checkpoint()
                return (
                    "interrupted",
                    f"stopped at {window.images / 1000:g} of {self.protocol.training.budget_kimg:g} kimg",
                )
            limit = self.protocol.training.timeout
            if limit and self.train_seconds > limit and not trainer.done:
                return "timeout", f"{self.train_seconds:.0f} s of training, the protocol allows {limit:g} s"
        return "ok", ""

    def _picture(self, images: int) -> None:
        """Samples of always the same latents, as a file and for the display; changes no weight."""
        reference = self.bench.judge.reference
        few = reference[torch.arange(min(PICTURE_SAMPLES, len(reference)))]
        with preserved_rng(self.device):
            shown = sample(self.trainer.averaged, few, self._seed("picture"), self.device).x
        report.save_png(report.picture(shown), self.folder / "samples" / f"{images / 1000:09.2f}-kimg.png")
        self.emit(Event("picture", self.job.key, {"pixels": report.thumbnail(shown)}))

    def _look(self) -> dict[str, float]:
        """The headline on latents of its own; changes no weight."""
        began = time.perf_counter()
        with preserved_rng(self.device):
            fakes = sample(self.trainer.averaged, self.bench.judge.reference, self._seed("selection"), self.device)
            verdict = self.bench.judge.score(fakes, self._seed("selection"), only=[self.bench.headline_metric])
        self.judge_seconds += time.perf_counter() - began
        return verdict.scores

    def _judge(self) -> tuple[list[Verdict], float]:
        """The protocol's draws of independent latents; also generated images per second."""
        self.emit(Event("judging", self.job.key, {}))
        verdicts, rates, began = [], [], time.perf_counter()
        with preserved_rng(self.device):
            for draw in range(self.protocol.evaluation.draws):
                seed, start = self._seed(f"evaluation-{draw}"), time.perf_counter()
                fakes = sample(self.trainer.averaged, self.bench.judge.reference, seed, self.device)
                rates.append(len(fakes) / (time.perf_counter() - start))
                verdicts.append(self.bench.judge.score(fakes, seed, generator=self.trainer.averaged))
        self.judge_seconds += time.perf_counter() - began
        return verdicts, statistics.median(rates)

    def _seed(self, stream: str) -> int:
        return self.protocol.seed(self.job.seed, stream)

    # -- files -------------------------------------------------------------------------------------------------------

    def _note(self, row: dict[str, Any]) -> None:
        self.history.append(row)
        append_line(json.dumps(row), self.folder / "history.jsonl", afresh=len(self.history) == 1)

    def _checkpoint(self, final: bool = False) -> None:
        """Everything to go on from; at the end only the weights."""
        state = {
            "identity": self._identity,
            "job": msgspec.json.encode(self.job).decode(),
            "final": final,
            **self.trainer.state(),
        }
        if final:
            state = {key: state[key] for key in ("identity", "job", "final", "gan", "averaged")}
        else:
            state |= {"history": self.history, "seconds": [self.train_seconds, self.judge_seconds]}
        report.save_tensors(state, self.folder / "checkpoint.pt")

    def _resume(self) -> None:
        """Go on from the checkpoint of an undisturbed prefix of this very run, if there is one."""
        path = self.folder / "checkpoint.pt"
        if self.job.fresh or not path.exists():
            return
        with suppress(Exception):  # an unreadable checkpoint costs a restart, never the run
            state = torch.load(path, weights_only=True, map_location="cpu")
            if state["final"] or state["identity"] != self._identity:
                return
            self.trainer.restore(state)
            self.history = state["history"]
            self.train_seconds, self.judge_seconds = state["seconds"]
            text = "".join(json.dumps(row) + "\n" for row in self.history)
            write_atomically(self.folder / "history.jsonl", text.encode())

    @property
    def _identity(self) -> str:
        """What must be equal for a checkpoint to be this run's."""
        sources = [plugins.find("arch", self.job.arch).source_hash, plugins.find("loss", self.job.loss).source_hash]
        return json.dumps([self.job.digest, self.job.key, self.job.changes, sources, str(torch.__version__)])

    def _record(self, status: str, reason: str, verdicts: list[Verdict], sample_rate: float) -> Record:
        rates = [row["images_per_second"] for row in self.history][WARM_UP_WINDOWS:]
        trainer, seconds = self.trainer, self.train_seconds
        quartiles = statistics.quantiles(rates, n=4) if len(rates) > 1 else [0.0, 0.0, 0.0]
        rate = statistics.median(rates) if rates else 0.0
        return Record(
            **_protocol_fields(self.bench, self.job),
            status=status,  # type: ignore[arg-type]
            reason=reason,
            arch=_component(plugins.find("arch", self.job.arch)),
            loss=_component(plugins.find("loss", self.job.loss)),
            changes=self.job.changes,
            recipe={**msgspec.json.decode(msgspec.json.encode(self.recipe)), **_settings(self.loss)},
            recipe_from=self.origins,
            d_norm=normalisation(self.gan.discriminators()),
            parameters={
                "G": count_parameters(self.gan.generators()),
                "D": count_parameters(self.gan.discriminators()),
            },
            **_scores(verdicts),
            speed=Speed(
                train=round(rate, 1),
                train_iqr=round(quartiles[2] - quartiles[0], 1),
                windows=len(rates),
                sample=round(sample_rate, 1),
                step_ms=round(1000 * self.protocol.training.batch * self.recipe.d_steps / rate, 3) if rate else 0.0,
                peak_memory_mb=_peak_memory(self.device),
            ),
            cost=Cost(trainer.images, round(seconds, 3), round(self.judge_seconds, 3)),
            started=self.started,
        )


def _judge_yardstick(job: Job) -> Record:
    """Score samples that nobody trained, by the same code, and store them as a record."""
    bench, protocol = prepare(job.protocol, job.device), job.protocol
    started, began = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    seed = protocol.seed(job.seed, f"yardstick-{job.yardstick}")
    with preserved_rng(bench.device):
        real, fakes = YARDSTICKS[job.yardstick](
            bench.dataset, bench.judge.reference, protocol.evaluation.reference, seed
        )
        halved = None if real is bench.judge.reference else real
        verdict = bench.judge.score(fakes, seed, real=halved)
    folder = Path(job.folder)
    report.save_png(report.picture(fakes.x[:PICTURE_SAMPLES]), folder / "samples" / "samples.png")
    record = Record(
        **_protocol_fields(bench, job),
        status="ok",
        yardstick=job.yardstick,
        **_scores([verdict]),
        cost=Cost(judge_seconds=round(time.perf_counter() - began, 3)),
        started=started,
    )
    write(record, folder / "record.json")
    return record


def samples_of(checkpoint: Path, n: int, seed: int) -> Tensor:
    """``n`` stored samples ``x[n, *shape]`` of the averaged generator in a checkpoint, on the CPU.

    Raises:
        RecordError: the checkpoint cannot be read.
        GanbenchError: a plugin that the run used is not installed any more.
    """
    try:
        state = torch.load(checkpoint, weights_only=True, map_location="cpu")
        job = msgspec.json.decode(state["job"], type=Job)
    except Exception as error:
        raise RecordError(f"{checkpoint} is not a readable checkpoint: {error}", "run again with --force") from error
    source = plugins.find("dataset", job.protocol.dataset)
    dataset = plugins.build(source, argument=source.argument, resolution=job.protocol.resolution)
    loss = build_loss(job.loss, job.loss_changes)
    gan, _, _ = build_players(job.protocol, dataset, job.arch, loss, job.recipe_changes, job.seed)
    for module, weights in zip(gan.generators(), state["averaged"], strict=True):
        module.load_state_dict(weights)
    like = dataset.train[torch.arange(n) % len(dataset.train)]
    return sample(gan, like, seed, torch.device("cpu")).x


# -- fields of a record ----------------------------------------------------------------------------------------------


def _protocol_fields(bench: Bench, job: Job) -> dict[str, Any]:
    protocol, judge = bench.protocol, bench.judge
    return {
        "protocol": protocol.name,
        "digest": job.digest,
        "seed": job.seed,
        "headline": protocol.evaluation.headline,
        "dataset": bench.dataset.name,
        "dataset_hash": bench.dataset.fingerprint,
        "extractor": judge.extractor.tag if judge.extractor is not None else "",
        "metrics": bench.metrics,
        "environment": _environment(bench.device),
    }


def _scores(verdicts: list[Verdict]) -> dict[str, Any]:
    if not verdicts:
        return {}
    means = {name: statistics.fmean(v.scores[name] for v in verdicts) for name in verdicts[0].scores}
    columns = {name: Column(*meaning) for name, meaning in verdicts[0].columns.items()}
    return {"scores": means, "draws": [v.scores for v in verdicts], "columns": columns}


def _settings(loss: Loss) -> dict[str, object]:
    """A loss's own hyper-parameters, as ``loss.<name>``."""
    if not dataclasses.is_dataclass(loss):
        return {}
    return {f"loss.{field.name}": getattr(loss, field.name) for field in dataclasses.fields(loss)}


def _component(source: plugins.Source) -> Component:
    return Component(source.label, source.package, source.version, source.source_hash)


def _environment(device: torch.device) -> Environment:
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        tf32 = torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32
        return environment("cuda", name, torch.get_num_threads(), "tf32" if tf32 else "float32")
    return environment(device.type, _cpu_name(), torch.get_num_threads(), "float32")


@cache
def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)
