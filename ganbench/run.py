"""One run: build the players, train them under a protocol, look now and then, judge at the end, leave a record."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import resource
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from ganbench import plugins, report
from ganbench.bench import Bench, component_of, prepare
from ganbench.best import BestSoFar
from ganbench.contracts import Loss
from ganbench.data import Stream
from ganbench.determinism import noting_nondeterminism
from ganbench.errors import Diverged, GanbenchError, RecordError
from ganbench.evaluate import Verdict, sample
from ganbench.gan import count_parameters, normalisation
from ganbench.jobs import Event, Job
from ganbench.players import build_loss, build_players
from ganbench.provenance import environment
from ganbench.record import (
    FINISHED,
    FORMAT,
    Best,
    Column,
    Cost,
    Fingerprints,
    Look,
    Record,
    SelfChecks,
    Speed,
    Status,
    append_line,
    read,
    write,
    write_atomically,
)
from ganbench.train import WARM_UP_WINDOWS, Trainer, Window, preserved_rng
from ganbench.yardsticks import YARDSTICKS

WINDOWS = 40
"""A run is timed in at least about this many windows: at each end progress is reported and the losses are read."""
CHECKPOINT_SECONDS = 60.0
"""After so long without a checkpoint, the next window's end writes one."""
PICTURE_SAMPLES = 64

Emit = Callable[[Event], None]


def execute(job: Job, emit: Emit, should_stop: Callable[[], bool]) -> Record:
    """Carry out one job and store its record; failures of the training are results, not exceptions.

    Raises:
        GanbenchError: the job cannot be done at all (nothing was trained, nothing is written).
    """
    if job.yardstick:
        return _judge_yardstick(job)
    run = _Run(job, emit)
    with _alone_in(run.folder, lambda: emit(Event("waiting", job.key, {}))) as waited:
        if waited and (record := _finished_by_another(job)) is not None:
            return record
        return run.carry_out(should_stop)


@contextmanager
def _alone_in(folder: Path, say_so: Callable[[], None]) -> Iterator[bool]:
    """Hold the lock of a run's folder, so that no two processes write in it; yields whether it had to wait."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
            waited = False
        except Timeout:
            say_so()
            lock.acquire()
            waited = True
    except OSError as error:
        raise RecordError(f"cannot write to {folder}: {error.strerror or error}", "choose another --out") from error
    try:
        yield waited
    finally:
        lock.release()


def _finished_by_another(job: Job) -> Record | None:
    with suppress(RecordError):
        record = read(job.record_file)
        if record.status in FINISHED and record.digest == job.digest and record.changes == job.changes:
            return record
    return None


# -- one run ---------------------------------------------------------------------------------------------------------


class _Run:
    """The state of one run while it goes on."""

    def __init__(self, job: Job, emit: Emit) -> None:
        self.job, self.emit, self.protocol, self.folder = job, emit, job.protocol, Path(job.folder)
        self.bench = prepare(job.protocol, job.device)
        self.device = self.bench.device
        self.started = _now()
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
        self.best = BestSoFar(self.bench.goal)
        self.history: list[dict[str, Any]] = []
        self.nondeterministic: set[str] = set()
        self.train_seconds = self.judge_seconds = 0.0

    def carry_out(self, should_stop: Callable[[], bool]) -> Record:
        """Train, look, judge; whatever happens is written down, and a record stands from the first moment on."""
        self._resume()
        write(self._record("interrupted", "it was begun and never came to an end"), self.folder / "record.json")
        judged = _Judged()
        status: Status
        try:
            with noting_nondeterminism(self.nondeterministic):
                status, reason = self._train(should_stop)
                if status == "ok":
                    judged = self._judge()
        except Diverged as error:
            status, reason = "diverged", str(error)
        except RecordError:  # a full disk is nobody's result: the run is to be repeated
            raise
        except Exception as error:  # a plugin's crash is a result too
            status, reason = "error", f"{type(error).__name__}: {error}"
            with suppress(GanbenchError):
                write_atomically(self.folder / "error.txt", traceback.format_exc().encode())
        record = self._record(status, reason, judged)
        if status != "interrupted":
            self._checkpoint(final=True)
        write(record, self.folder / "record.json")
        return record

    def _train(self, should_stop: Callable[[], bool]) -> tuple[Status, str]:
        trainer, total = self.trainer, self.trainer.d_updates
        checks = self.protocol.evaluation.checks
        size = max(1, -(-total // max(WINDOWS, checks)))
        saved = time.monotonic()
        if not self.history:
            self._picture(0)
        while not trainer.done:
            before = trainer.d_done
            window = trainer.advance((before // size + 1) * size)
            self.train_seconds += window.seconds
            row = self._row(window)
            checked = trainer.done or before * checks // total != trainer.d_done * checks // total
            if checked:
                self._picture(window.images)
                row |= self._look(window.images) if checks > 1 else {}  # the end alone is nothing to choose from
            self._note(row)
            stopped = should_stop() and not trainer.done
            if checked or stopped or time.monotonic() - saved > CHECKPOINT_SECONDS:
                self._checkpoint()
                saved = time.monotonic()
            self.emit(Event("progress", self.job.key, {**row, "share": trainer.d_done / total}))
            if stopped:
                budget = self.protocol.training.budget_kimg
                return "interrupted", f"stopped at {window.images / 1000:g} of {budget:g} kimg"
            limit = self.protocol.training.timeout
            if limit and self.train_seconds > limit and not trainer.done:
                return "timeout", f"{self.train_seconds:.0f} s of training, the protocol allows {limit:g} s"
        return "ok", ""

    def _row(self, window: Window) -> dict[str, Any]:
        """A line of the history; ``bits`` tells two runs apart at the first window in which they differ."""
        content = json.dumps([self.trainer.fingerprint(), window.step, window.losses])
        return {
            "step": window.step,
            "kimg": window.images / 1000,
            "seconds": round(self.train_seconds, 3),
            "images_per_second": round(window.window_images / window.seconds, 1),
            "bits": hashlib.sha256(content.encode()).hexdigest()[:8],
            **window.losses,
        }

    def _picture(self, images: int) -> None:
        """Samples of always the same latents, as a file and for the display; changes no weight."""
        reference = self.bench.judge.reference
        few = reference[torch.arange(min(PICTURE_SAMPLES, len(reference)))]
        with preserved_rng(self.device):
            shown = sample(self.trainer.averaged, few, self._seed("picture"), self.device).x
        report.save_png(report.picture(shown), self.folder / "samples" / f"{images / 1000:09.2f}-kimg.png")
        self.emit(Event("picture", self.job.key, {"pixels": report.thumbnail(shown)}))

    def _look(self, images: int) -> dict[str, float]:
        """The headline on the selection split, with latents of its own; changes no weight."""
        began, seed, selector = time.perf_counter(), self._seed("selection"), self.bench.selector
        with preserved_rng(self.device):
            fakes = sample(self.trainer.averaged, selector.reference, seed, self.device)
            verdict = selector.score(fakes, seed)
        headline = _named(verdict.scores, self.protocol.evaluation.headline)
        look = Look(images / 1000, round(self.train_seconds, 3), verdict.scores[headline])
        self.best.add(look, self.trainer.averaged)
        self.judge_seconds += time.perf_counter() - began
        return verdict.scores

    def _judge(self) -> _Judged:
        """The protocol's draws of independent latents, for the generator at the end and for the best on the way."""
        self.emit(Event("judging", self.job.key, {}))
        began, bench, averaged = time.perf_counter(), self.bench, self.trainer.averaged
        judged = _Judged()
        with preserved_rng(self.device):
            for draw in range(self.protocol.evaluation.draws):
                seed, start = self._seed(f"evaluation-{draw}"), time.perf_counter()
                fakes = sample(averaged, bench.judge.reference, seed, self.device)
                judged.rates.append(len(fakes) / (time.perf_counter() - start))
                judged.verdicts.append(bench.judge.score(fakes, seed, generator=averaged))
                judged.samples.append(_digest(fakes.x))
                judged.checks = judged.checks or bench.self_check(fakes)
            judged.best = self._judge_best(judged.verdicts)
        self.judge_seconds += time.perf_counter() - began
        return judged

    def _judge_best(self, final: list[Verdict]) -> Best | None:
        """The best-so-far generator on the very latents of the final one, by the headline's metric."""
        chosen = self.best.best
        if chosen is None or not final:
            return None
        wanted = list(self.bench.selector.metrics)
        if chosen.kimg == self.trainer.images / 1000:
            names = [name for name, metric in final[0].metric_of.items() if metric in wanted]
            draws = [{name: verdict.scores[name] for name in names} for verdict in final]
        else:
            generator, draws = self.best.generator(self.trainer.averaged), []
            for draw in range(len(final)):
                seed = self._seed(f"evaluation-{draw}")
                fakes = sample(generator, self.bench.judge.reference, seed, self.device)
                draws.append(self.bench.judge.score(fakes, seed, generator=generator, only=wanted).scores)
        return Best(chosen.kimg, _means(draws), draws)

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
            state |= {
                "history": self.history,
                "seconds": [self.train_seconds, self.judge_seconds],
                "best": self.best.state(),
                "started": self.started,
                "nondeterministic": sorted(self.nondeterministic),
            }
        report.save_tensors(state, self.folder / "checkpoint.pt")

    def _resume(self) -> None:
        """Go on from the checkpoint of an undisturbed prefix of this very run, if there is one."""
        for leftover in self.folder.rglob(".*.tmp"):  # of a process that was killed while it wrote
            leftover.unlink(missing_ok=True)
        path = self.folder / "checkpoint.pt"
        if self.job.fresh or not path.exists():
            return
        with suppress(Exception):  # an unreadable checkpoint costs a restart, never the run
            state = torch.load(path, weights_only=True, map_location="cpu")
            if state["final"] or state["identity"] != self._identity:
                return
            self.trainer.restore(state)
            self.best.restore(state["best"])
            self.history, self.started = state["history"], state["started"]
            self.train_seconds, self.judge_seconds = state["seconds"]
            self.nondeterministic |= set(state["nondeterministic"])
            text = "".join(json.dumps(row) + "\n" for row in self.history)
            write_atomically(self.folder / "history.jsonl", text.encode())

    @property
    def _identity(self) -> str:
        """What must be equal for a checkpoint to be this run's."""
        where = environment(self.device)
        sources = [plugins.find("arch", self.job.arch).source_hash, plugins.find("loss", self.job.loss).source_hash]
        same = [where.torch, where.device, where.threads, where.precision, where.core]
        return json.dumps([self.job.digest, self.job.key, self.job.changes, sources, same])

    def _record(self, status: Status, reason: str, judged: _Judged | None = None) -> Record:
        judged = judged or _Judged()
        trainer, nondeterministic = self.trainer, tuple(sorted(self.nondeterministic))
        scored = _scores(judged.verdicts)
        return Record(
            **_protocol_fields(self.bench, self.job, nondeterministic),
            status=status,
            reason=reason,
            arch=component_of(plugins.find("arch", self.job.arch)),
            loss=component_of(plugins.find("loss", self.job.loss)),
            changes=self.job.changes,
            recipe={**msgspec.json.decode(msgspec.json.encode(self.recipe)), **_settings(self.loss)},
            recipe_from=self.origins,
            d_norm=normalisation(self.gan.discriminators()),
            parameters={
                "G": count_parameters(self.gan.generators()),
                "D": count_parameters(self.gan.discriminators()),
            },
            **scored,
            bits=Fingerprints(
                trainer.fingerprint() if status == "ok" else "",
                tuple(judged.samples),
                " ".join(row["bits"] for row in self.history),
            ),
            best=judged.best,
            curve=tuple(self.best.looks),
            collapse=self.bench.self_check.collapse(judged.checks, scored["scores"]) if judged.checks else "",
            self_checks=judged.checks,
            speed=self._speed(judged.rates),
            cost=Cost(trainer.images, round(self.train_seconds, 3), round(self.judge_seconds, 3)),
            started=self.started,
        )

    def _speed(self, sample_rates: list[float]) -> Speed:
        rates = [row["images_per_second"] for row in self.history][WARM_UP_WINDOWS:]
        quartiles = statistics.quantiles(rates, n=4) if len(rates) > 1 else [0.0, 0.0, 0.0]
        rate = statistics.median(rates) if rates else 0.0
        return Speed(
            train=round(rate, 1),
            train_iqr=round(quartiles[2] - quartiles[0], 1),
            windows=len(rates),
            sample=round(statistics.median(sample_rates), 1) if sample_rates else 0.0,
            step_ms=round(1000 * self.protocol.training.batch * self.recipe.d_steps / rate, 3) if rate else 0.0,
            peak_memory_mb=_peak_memory(self.device),
        )


@dataclasses.dataclass
class _Judged:
    """What the judgement at the end brought: nothing, where the run did not get there."""

    verdicts: list[Verdict] = dataclasses.field(default_factory=list)
    rates: list[float] = dataclasses.field(default_factory=list)
    samples: list[str] = dataclasses.field(default_factory=list)
    checks: SelfChecks | None = None
    best: Best | None = None


def _judge_yardstick(job: Job) -> Record:
    """Score samples that nobody trained, by the same code, and store them as a record."""
    bench, protocol = prepare(job.protocol, job.device), job.protocol
    started, began = _now(), time.perf_counter()
    seed = protocol.seed(job.seed, f"yardstick-{job.yardstick}")
    with preserved_rng(bench.device):
        real, fakes = YARDSTICKS[job.yardstick](
            bench.dataset, bench.judge.reference, protocol.evaluation.reference, seed
        )
        halved = None if real is bench.judge.reference else real
        verdict = bench.judge.score(fakes, seed, real=halved)
        checks = bench.self_check(fakes, real)
    folder = Path(job.folder)
    report.save_png(report.picture(fakes.x[:PICTURE_SAMPLES]), folder / "samples" / "samples.png")
    record = Record(
        **_protocol_fields(bench, job),
        status="ok",
        yardstick=job.yardstick,
        **_scores([verdict]),
        bits=Fingerprints(samples=(_digest(fakes.x),)),
        self_checks=checks,
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


def _protocol_fields(bench: Bench, job: Job, nondeterministic: tuple[str, ...] = ()) -> dict[str, Any]:
    protocol, judge = bench.protocol, bench.judge
    return {
        "format": FORMAT,
        "protocol": protocol.name,
        "digest": job.digest,
        "seed": job.seed,
        "headline": protocol.evaluation.headline,
        "dataset": bench.dataset.name,
        "dataset_hash": bench.dataset.fingerprint,
        "extractor": judge.extractor.tag if judge.extractor is not None else "",
        "metrics": bench.components,
        "parts": bench.parts,
        "environment": environment(bench.device, nondeterministic, job.workers),
    }


def _scores(verdicts: list[Verdict]) -> dict[str, Any]:
    if not verdicts:
        return {"scores": {}}
    draws = [verdict.scores for verdict in verdicts]
    columns = {name: Column(*meaning) for name, meaning in verdicts[0].columns.items()}
    return {"scores": _means(draws), "draws": draws, "columns": columns}


def _means(draws: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.fmean(draw[name] for draw in draws) for name in draws[0]}


def _named(scores: Mapping[str, float], column: str) -> str:
    """The column's name in full."""
    return next(name for name in scores if column in (name, name.partition("@")[0]))


def _settings(loss: Loss) -> dict[str, object]:
    """A loss's own hyper-parameters, as ``loss.<name>``."""
    if not dataclasses.is_dataclass(loss):
        return {}
    return {f"loss.{field.name}": getattr(loss, field.name) for field in dataclasses.fields(loss)}


def _digest(x: Tensor) -> str:
    """sha256 of stored samples, 16 hex digits."""
    return hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest()[:16]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)
