"""One run: train, look now and then, judge at the end, leave a record."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import statistics
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

from ganbench import plugins
from ganbench.contracts.arch import count_parameters, normalisation
from ganbench.contracts.data import Split, Stream
from ganbench.contracts.executor import Event, Job
from ganbench.device import memory
from ganbench.device.determinism import noting_nondeterminism, settings
from ganbench.device.energy import Energy, counter_of
from ganbench.errors import Diverged, GanbenchError, PluginError, RecordError
from ganbench.evaluation.best import BestSoFar
from ganbench.evaluation.judge import sample
from ganbench.evaluation.yardsticks import draw
from ganbench.plugins.loading import told
from ganbench.records.provenance import environment
from ganbench.records.record import (
    FINISHED,
    FORMAT,
    Cost,
    Fingerprints,
    Look,
    Record,
    Speed,
    Status,
    append_line,
    read,
    write,
    write_atomically,
)
from ganbench.report import pictures as report
from ganbench.runs import checkpoint
from ganbench.runs.judging import Judgement, digest_of, judge
from ganbench.runs.players import Players, build_players, refuse_unmet
from ganbench.runs.setup import Bench, component_of, prepare
from ganbench.training.flops import Meter, account
from ganbench.training.precision import MEMORY_FORMATS, lay_out
from ganbench.training.trainer import WARM_UP_WINDOWS, Trainer, Window, preserved_rng

WINDOWS = 40
"""A run is timed in at least about this many windows: at each end progress is reported and the losses are read."""
WINDOW_IMAGES = 100_000
"""No window is longer, so that long runs, too, report, stop and save within minutes."""
CHECKPOINT_SECONDS = 60.0
"""After so long without a checkpoint, the next window's end writes one."""

Emit = Callable[[Event], None]


def execute(job: Job, emit: Emit, should_stop: Callable[[], bool]) -> Record:
    """Carry out one job and store its record; failures of the training are results, not exceptions.

    Raises:
        GanbenchError: the job cannot be done at all (nothing was trained, nothing is written).
    """
    bench = prepare(job.protocol, job.device)
    if not job.fresh and (record := _still_good(job, bench)) is not None:
        return record
    if job.yardstick:
        return _judge_yardstick(job, bench)
    run = _Run(job, bench, emit)
    with _alone_in(run.folder, lambda: emit(Event("waiting", job.key, {})), should_stop) as waited:
        if waited is None:
            return run.record("interrupted", "stopped while another process was on this run")
        if waited and (record := _still_good(job, bench)) is not None:
            return record
        return run.carry_out(should_stop)


@contextmanager
def _alone_in(folder: Path, say_so: Callable[[], None], should_stop: Callable[[], bool]) -> Iterator[bool | None]:
    """Hold the lock of a run's folder, so that no two processes write in it; yields whether it had to wait, or None if
    it was stopped before it came to that."""
    lock, waited = FileLock(folder / ".lock"), False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=0.5 if waited else 0)
            except Timeout:
                if not waited:
                    say_so()
                waited = True
                if should_stop():
                    break
    except OSError as error:
        raise RecordError(f"cannot write to {folder}: {error.strerror or error}", "choose another --out") from error
    try:
        yield waited if lock.is_locked else None
    finally:
        lock.release()


def _still_good(job: Job, bench: Bench) -> Record | None:
    """The record that is there already, if it is of the same rules, code, data and judge."""
    with suppress(RecordError):
        record = read(job.record_file) if job.record_file.exists() else None
        if record and record.status in FINISHED and _basis(record) == _basis_now(job, bench):
            return record
    return None


def _basis(record: Record) -> list[Any]:
    """What a finished record must share with a job that need not be done again."""
    parts = [record.arch, record.loss, *record.tricks, *record.metrics.values(), *record.parts.values()]
    sources = [part.source for part in parts if part]
    return [record.format, record.digest, record.changes, record.dataset_hash, record.extractor, sources]


def _basis_now(job: Job, bench: Bench) -> list[Any]:
    facts = _protocol_fields(bench, job)
    named = [plugins.find("arch", job.arch), plugins.find("loss", job.loss)] if not job.yardstick else []
    named += [plugins.find("trick", trick) for trick in job.tricks]
    sources = [source.source_hash for source in named]
    sources += [part.source for part in (*facts["metrics"].values(), *facts["parts"].values())]
    return [FORMAT, job.digest, job.changes, facts["dataset_hash"], facts["extractor"], sources]


# -- one run ---------------------------------------------------------------------------------------------------------


class _Run:
    """The state of one run while it goes on."""

    def __init__(self, job: Job, bench: Bench, emit: Emit) -> None:
        self.job, self.emit, self.bench = job, emit, bench
        self.protocol, self.folder, self.device = job.protocol, Path(job.folder), bench.device
        self._begin()
        self.overwrites = job.fresh and _is_finished(job.record_file)

    def _begin(self) -> None:
        """Everything as it is before the first step."""
        self.started = _now()
        self.players = build_players(self.job, self.bench.dataset)
        refuse_unmet(self.job, self.players.gan, self.bench.dataset, self.bench.judge.metrics)
        self.gan, self.recipe = self.players.gan, self.players.recipe
        memory.reset_peak(self.device)
        self.trainer = self._trainer(self.players, self.bench.dataset.train)
        self.energy = Energy(counter_of(self.device) if self.job.workers == 1 else None)
        self.best = BestSoFar(self.bench.goal)
        self.history: list[dict[str, Any]] = []
        self.nondeterministic: set[str] = set()
        self.train_seconds = self.judge_seconds = 0.0

    def _trainer(self, players: Players, data: Split) -> Trainer:
        rules = self.protocol.training
        lay_out(players.gan.to(self.device), rules.layout)
        return Trainer(
            players.gan,
            players.played,
            Stream(data, rules.batch, self._seed("data"), self.device, MEMORY_FORMATS[rules.layout]),
            players.recipe,
            rules.d_updates,
            self._seed("latent"),
            self._seed("penalty"),
            players.tricks,
            rules.precision,
        )

    def _metered(self, meter: Meter) -> Trainer:
        """The same at its beginning, of players of its own, with one D update per G update."""
        players = build_players(self.job, self.bench.dataset)
        recipe = msgspec.structs.replace(players.recipe, d_steps=1)
        players = dataclasses.replace(players, tricks=(*players.tricks, meter), recipe=recipe)
        return self._trainer(players, self.trainer.stream.split)

    def carry_out(self, should_stop: Callable[[], bool]) -> Record:
        """Train, look, judge; whatever happens is written down, and a record stands from the first moment on.

        With ``--force`` the record of the last time stands until the new one is finished.
        """
        self._resume()
        if not self.overwrites:
            self._write(self.record("interrupted", "it was begun and never came to an end"))
        judgement, before = Judgement(), settings()
        status: Status
        try:
            with noting_nondeterminism(self.nondeterministic):
                status, reason = self._train(should_stop)
                if status == "ok":
                    judgement = self._judge()
            _check_settings(before)
        except Diverged as error:
            status, reason = "diverged", str(error)
        except RecordError:  # a full disk is nobody's result: the run is to be repeated
            raise
        except Exception as error:  # a plugin's crash is a result too
            status, reason, judgement = "error", _told(error), Judgement()
            with suppress(GanbenchError):
                write_atomically(self.folder / "error.txt", traceback.format_exc().encode())
        record = self.record(status, reason, judgement)
        if status != "interrupted":  # after everything that it could disturb
            speed = account(record.speed, self.trainer, self._metered)
            record = msgspec.structs.replace(record, speed=speed)
        if status != "interrupted" or not self.overwrites:
            self._write(record)  # before the checkpoint shrinks: a kill between the two must not cost the run
        if status != "interrupted":
            self._checkpoint(only=checkpoint.WEIGHTS)
        return record

    def _train(self, should_stop: Callable[[], bool]) -> tuple[Status, str]:
        trainer, total = self.trainer, self.trainer.d_updates
        checks = self.protocol.evaluation.checks
        size = max(1, min(-(-total // max(WINDOWS, checks)), WINDOW_IMAGES // self.protocol.training.batch))
        saved = time.monotonic()
        if not self.history:
            self._picture(0)
        while not trainer.done:
            before = trainer.d_done
            with self.energy.watched():
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
        reals, spec = self.bench.judge.reference, self.bench.dataset.spec
        few = reals[torch.arange(min(report.how_many(spec), len(reals)))]
        with preserved_rng(self.device):
            fakes = sample(self.trainer.averaged, few, self._seed("picture"), self.device)
        stem = self.folder / "samples" / f"{images / 1000:09.2f}-kimg"
        pixels = report.frame(self.trainer.averaged, fakes, reals, spec, images / 1000)
        report.save_png(pixels, stem.with_name(f"{stem.name}.png"))
        if self.trainer.done:
            report.save_media(fakes.x, spec, stem)
        self.emit(Event("picture", self.job.key, {"pixels": report.thumbnail(fakes.x, few.source)}))

    def _look(self, images: int) -> dict[str, Any]:
        """The headline on the selection split, with latents of its own; changes no weight. A metric that cannot score
        what there is so early costs a point of the curve, not the run."""
        began, seed, selector = time.perf_counter(), self._seed("selection"), self.bench.selector
        try:
            with preserved_rng(self.device):
                fakes = sample(self.trainer.averaged, selector.reference, seed, self.device)
                scores = selector.score(fakes, seed, generator=self.trainer.averaged).scores
        except PluginError as error:
            return {"not scored": error.message}
        finally:
            self.judge_seconds += time.perf_counter() - began
        headline = _named(scores, self.protocol.evaluation.headline)
        self.best.add(Look(images / 1000, round(self.train_seconds, 3), scores[headline]), self.trainer.averaged)
        return dict(scores)

    def _judge(self) -> Judgement:
        self.emit(Event("judging", self.job.key, {}))
        began = time.perf_counter()
        with preserved_rng(self.device):
            judgement = judge(self.bench, self.trainer.averaged, self.best, self.trainer.images / 1000, self._seed)
        self.judge_seconds += time.perf_counter() - began
        return judgement

    def _seed(self, stream: str) -> int:
        return self.protocol.seed(self.job.seed, stream)

    # -- files -------------------------------------------------------------------------------------------------------

    def _note(self, row: dict[str, Any]) -> None:
        self.history.append(row)
        append_line(json.dumps(row), self.folder / "history.jsonl", afresh=len(self.history) == 1)

    def _checkpoint(self, only: tuple[str, ...] = ()) -> None:
        """Everything to go on from, or ``only`` some of it."""
        state = {
            "identity": self._identity,
            "job": msgspec.json.encode(self.job).decode(),
            **self.trainer.state(),
            "history": self.history,
            "seconds": [self.train_seconds, self.judge_seconds],
            "joules": self.energy.joules,
            "best": self.best.state(),
            "started": self.started,
            "nondeterministic": sorted(self.nondeterministic),
        }
        checkpoint.save({key: state[key] for key in only or state}, self.folder / "checkpoint.pt")

    def _resume(self) -> None:
        """Go on from the checkpoint of an undisturbed prefix of this very run, if there is one."""
        state = None if self.job.fresh else checkpoint.load(self.folder / "checkpoint.pt", self._identity)
        if state is not None:
            try:
                self._restore(state)
                kimg = {"kimg": self.trainer.images / 1000, "budget": self.protocol.training.budget_kimg}
                self.emit(Event("resumed", self.job.key, kimg))
            except Exception:  # half a state is worse than none
                self._begin()
        leftovers = self.folder.rglob(".*.tmp")  # of a process that was killed while it wrote
        old = [] if self.history else [self.folder / "error.txt", *(self.folder / "samples").glob("*")]
        for path in (*leftovers, *old):
            path.unlink(missing_ok=True)
        text = "".join(json.dumps(row) + "\n" for row in self.history)
        write_atomically(self.folder / "history.jsonl", text.encode())

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.trainer.restore(state)
        self.best.restore(state["best"])
        self.history, self.started = state["history"], state["started"]
        self.train_seconds, self.judge_seconds = state["seconds"]
        self.energy.resume(state["joules"])
        self.nondeterministic |= set(state["nondeterministic"])

    @property
    def _identity(self) -> str:
        """What must be equal for a checkpoint to be this run's."""
        where = environment(self.device, precision=self.protocol.training.precision)
        machine = [where.torch, where.python, where.cuda, where.cudnn, where.device, where.threads, where.precision]
        return json.dumps([self.job.key, _basis_now(self.job, self.bench), machine, where.core])

    def _write(self, record: Record) -> None:
        write(record, self.job.record_file)

    def record(self, status: Status, reason: str, judgement: Judgement | None = None) -> Record:
        """The run as it stands."""
        judgement = judgement or Judgement()
        trainer, scored = self.trainer, judgement.fields()
        checks = judgement.checks
        return Record(
            **_protocol_fields(self.bench, self.job, tuple(sorted(self.nondeterministic))),
            status=status,
            reason=reason,
            arch=component_of(plugins.find("arch", self.job.arch)),
            loss=component_of(plugins.find("loss", self.job.loss)),
            tricks=tuple(component_of(plugins.find("trick", trick)) for trick in self.job.tricks),
            changes=self.job.changes,
            recipe={
                **_plain(self.recipe),
                **_settings("loss", self.players.loss),
                **_settings("arch", self.gan.settings),
            },
            recipe_from=self.players.origins,
            d_norm=normalisation(self.gan.discriminators()),
            parameters={
                "G": count_parameters(self.gan.generators()),
                "D": count_parameters(self.gan.discriminators()),
            },
            **scored,
            bits=Fingerprints(
                trainer.fingerprint() if status == "ok" else "",
                judgement.samples,
                " ".join(row["bits"] for row in self.history),
            ),
            best=judgement.best,
            curve=tuple(self.best.looks),
            collapse=self.bench.self_check.collapse(checks, scored["scores"]) if checks else "",
            self_checks=checks,
            speed=self._speed(judgement.rate),
            cost=self._cost(),
            started=self.started,
        )

    def _cost(self) -> Cost:
        joules = self.energy.joules
        return Cost(
            self.trainer.images,
            round(self.train_seconds, 3),
            round(self.judge_seconds, 3),
            None if joules is None else round(joules, 1),
        )

    def _speed(self, sample_rate: float) -> Speed:
        rates = [row["images_per_second"] for row in self.history][WARM_UP_WINDOWS:]
        quartiles = statistics.quantiles(rates, n=4) if len(rates) > 1 else [0.0, 0.0, 0.0]
        rate = statistics.median(rates) if rates else 0.0
        return Speed(
            train=round(rate, 1),
            train_iqr=round(quartiles[2] - quartiles[0], 1),
            windows=len(rates),
            sample=round(sample_rate, 1),
            step_ms=round(1000 * self.protocol.training.batch * self.recipe.d_steps / rate, 3) if rate else 0.0,
            peak_memory_mb=memory.peak_mb(self.device),
            mode=self.trainer.mode,
        )


def _judge_yardstick(job: Job, bench: Bench) -> Record:
    """Score samples that nobody trained, by the same code, and store them as a record."""
    protocol = job.protocol
    started, began = _now(), time.perf_counter()
    seed = protocol.seed(job.seed, f"yardstick-{job.yardstick}")
    with preserved_rng(bench.device):
        (real, fakes), remake = draw(
            job.yardstick, bench.dataset, bench.judge.reference, protocol.evaluation.reference, seed
        )
        others = None if real is bench.judge.reference else real
        verdict = bench.judge.score(fakes, seed, real=others, remake=remake)
        checks = bench.self_check(fakes, real)
    judgement = Judgement((verdict,), (digest_of(fakes.x),), checks=checks)
    folder = Path(job.folder)
    shown = fakes[torch.arange(min(report.how_many(bench.dataset.spec), len(fakes)))]
    report.save_samples(shown, bench.dataset.spec, folder / "samples" / "samples", real)
    record = Record(
        **_protocol_fields(bench, job),
        status="ok",
        yardstick=job.yardstick,
        **judgement.fields(),
        bits=Fingerprints(samples=judgement.samples),
        self_checks=checks,
        cost=Cost(judge_seconds=round(time.perf_counter() - began, 3)),
        started=started,
    )
    write(record, folder / "record.json")
    return record


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
        "environment": environment(bench.device, nondeterministic, job.workers, protocol.training.precision),
    }


def _named(scores: Mapping[str, float], column: str) -> str:
    """The column's name in full."""
    return next(name for name in scores if column in (name, name.partition("@")[0]))


def _settings(kind: str, holder: object) -> dict[str, object]:
    """The hyper-parameters of a loss or an arch, as ``<kind>.<name>``."""
    if not dataclasses.is_dataclass(holder):
        return {}
    return {f"{kind}.{field.name}": _plain(getattr(holder, field.name)) for field in dataclasses.fields(holder)}


def _plain(value: Any) -> Any:
    """As it comes back from a record; what JSON has no form for, as text."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=repr))


def _check_settings(before: Mapping[str, Any]) -> None:
    """A plugin that turns torch's switches makes its own rules: its run cannot stand beside the others."""
    changed = [f"{name} {before[name]} -> {now}" for name, now in settings().items() if now != before[name]]
    if changed:
        raise PluginError(f"a plugin changed torch's settings ({', '.join(changed)})", "let it leave them alone")


def _told(error: Exception) -> str:
    if isinstance(error, GanbenchError):
        return "; ".join(filter(None, [error.message, error.hint]))
    return told(error)


def _is_finished(record_file: Path) -> bool:
    with suppress(RecordError):
        return record_file.exists() and read(record_file).status in FINISHED
    return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
