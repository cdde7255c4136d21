"""One run: train, score it now and then, judge it at the end, and write a record."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import torch

from ganbench.contracts.executor import Event, Judging, Looked, Picture, Progress, Resumed, Status, TrainingJob
from ganbench.device import memory
from ganbench.device.determinism import noting_nondeterminism, refuse_changed, torch_settings
from ganbench.device.untouched import preserved_rng
from ganbench.errors import Diverged, GanbenchError, GanbenchWarning, PluginError, RecordError, traced
from ganbench.evaluation.best import BestSoFar
from ganbench.evaluation.sampling import sample
from ganbench.records.files import set_aside, write_atomically
from ganbench.records.record import Fingerprints, Look, Speed, TrainingRecord
from ganbench.records.store import write
from ganbench.records.strips import NAMES, bind
from ganbench.report import pictures, strips
from ganbench.runs import checkpoint
from ganbench.runs.identity import identity_of
from ganbench.runs.judging import Judgement, judge
from ganbench.runs.players import build_players, refuse_unmet
from ganbench.runs.recording import (
    Recording,
    column_named,
    failure_reason,
    player_fields,
    protocol_fields,
    with_account,
)
from ganbench.runs.reuse import is_finished
from ganbench.runs.setup import Bench
from ganbench.runs.trainers import account_of, build_trainer

WINDOWS = 40
"""A run is timed in at least about this many windows. At the end of each, progress is reported and losses are read."""
WINDOW_IMAGES = 100_000
"""No window is longer, so that long runs also report, stop and save within minutes."""
CHECKPOINT_SECONDS = 60.0
"""After this long without a checkpoint, one is written at the end of the window."""
Emit = Callable[[Event], None]


class Run:
    """One run in progress."""

    def __init__(self, job: TrainingJob, bench: Bench, emit: Emit) -> None:
        self.job, self.emit, self.bench = job, emit, bench
        self.protocol, self.folder, self.device = job.protocol, Path(job.folder), bench.device
        self._begin()
        self.overwrites = job.fresh and is_finished(job.record_file)

    def _begin(self) -> None:
        """Set up the state before the first step."""
        self.players = build_players(self.job, self.bench.dataset)
        refuse_unmet(self.job, self.players.gan, self.bench.dataset, self.bench.judge.metrics)
        self.gan, self.recipe = self.players.gan, self.players.recipe
        memory.reset_peak(self.device)
        self.trainer = build_trainer(self.job, self.bench, self.players)
        self.best = BestSoFar(self.bench.goal)
        self.recording = Recording(self.folder, self.device, alone=self.job.workers == 1)

    def carry_out(self, should_stop: Callable[[], bool]) -> TrainingRecord:
        """Train, score, judge. Every outcome is recorded, and a record exists from the start.

        With ``--force`` the old record is kept until the new one is finished.
        """
        self._resume()
        if not self.overwrites:
            self._write(self.record("interrupted", "it was started but never finished"))
        judgement, before = Judgement(), torch_settings()
        status: Status
        try:
            with noting_nondeterminism(self.recording.nondeterministic):
                status, reason = self._train(should_stop)
                if status == "ok":
                    self._keep_strip()  # before the record: a kill between the two must not lose the strip
                    judgement = self._judge()
            refuse_changed(before)
        except Diverged as error:
            status, reason = "diverged", str(error)
        except RecordError:  # a full disk is not a result: the run must be repeated
            raise
        except BaseException as error:  # whatever a plugin raises is a result too; Ctrl-C reaches only the parent
            status, reason, judgement = "error", failure_reason(error), Judgement()
            with suppress(GanbenchError):
                write_atomically(self.folder / "error.txt", traced(error).encode())
        record = self.record(status, reason, judgement)
        if status != "interrupted":  # last, so that it disturbs nothing
            record = msgspec.structs.replace(record, speed=self._accounted(record.speed))
        if status != "interrupted" or not self.overwrites:
            self._write(record)  # before the checkpoint shrinks: a kill between the two must not lose the run
        if status != "interrupted":
            self._checkpoint(only=checkpoint.WEIGHTS)
        return record

    def _train(self, should_stop: Callable[[], bool]) -> tuple[Status, str]:
        trainer, recording, total = self.trainer, self.recording, self.trainer.d_updates
        checks = self.protocol.evaluation.checks
        size = max(1, min(-(-total // max(WINDOWS, checks)), WINDOW_IMAGES // self.protocol.training.batch))
        saved = time.monotonic()
        if not recording.history:
            self._picture(0)
        while not trainer.done:
            before = trainer.d_done
            with recording.watched():
                window = trainer.advance((before // size + 1) * size)
            recording.spend(window)
            row = recording.row(window, trainer.fingerprint())
            checked = trainer.done or before * checks // total != trainer.d_done * checks // total
            if checked:
                self._picture(window.images)
                row |= self._look(window.images) if checks > 1 else {}  # one score leaves nothing to choose from
            recording.note(row)
            stopped = should_stop() and not trainer.done
            if checked or stopped or time.monotonic() - saved > CHECKPOINT_SECONDS:
                self._checkpoint()
                saved = time.monotonic()
            share, rate = trainer.d_done / total, recording.rate(row)
            self.emit(Progress(self.job.key, window.step, row["kimg"], row["seconds"], share, rate, window.losses))
            if stopped:
                budget = self.protocol.training.budget_kimg
                return "interrupted", f"stopped at {window.images / 1000:g} of {budget:g} kimg"
            limit = self.protocol.training.timeout
            if limit and recording.train_seconds > limit and not trainer.done:
                return "timeout", f"{recording.train_seconds:.0f} s of training; the protocol allows {limit:g} s"
        return "ok", ""

    def _picture(self, images: int) -> None:
        """Save and display samples from the same latents every time; changes no weight."""
        reals, spec = self.bench.judge.reference, self.bench.dataset.spec
        few = reals[torch.arange(min(pictures.how_many(spec), len(reals)))]
        with preserved_rng(self.device):
            fakes = sample(self.trainer.averaged, few, self._seed("picture"), self.device)
        stem = self.folder / "samples" / f"{images / 1000:09.2f}-kimg"
        pixels = pictures.frame(self.trainer.averaged, fakes, reals, spec, images / 1000)
        pictures.save_png(pixels, stem.with_name(f"{stem.name}.png"))
        if self.trainer.done:
            pictures.save_media(fakes.x, spec, stem)
        self.emit(Picture(self.job.key, pictures.thumbnail(fakes.x, few.source)))

    def _keep_strip(self) -> None:
        """Save samples of the final generator in files bound to its weights; changes no weight."""
        reals, spec = self.bench.judge.reference, self.bench.dataset.spec
        few = strips.shown(reals, spec)
        with preserved_rng(self.device):
            fakes = sample(self.trainer.averaged, few, self._seed("picture"), self.device)
        weights = self.trainer.fingerprint()
        for suffix, content in strips.files_of(fakes.x, few, reals, spec).items():
            write_atomically(self.folder / f"strip{suffix}", bind(content, weights))

    def _look(self, images: int) -> dict[str, Any]:
        """Score the headline on the selection split, with separate latents; changes no weight.

        If a metric cannot score such early samples, the curve lacks a point, but the run goes on.
        """
        began, seed, selector = time.perf_counter(), self._seed("selection"), self.bench.selector
        try:
            with preserved_rng(self.device):
                fakes = sample(self.trainer.averaged, selector.reference, seed, self.device)
                verdict = selector.score(fakes, seed, generator=self.trainer.averaged)
                scores = verdict.scores
        except PluginError as error:
            return {"not scored": error.message}
        finally:
            self.recording.judge_seconds += time.perf_counter() - began
        headline = column_named(scores, self.protocol.evaluation.headline)
        if headline is None:
            return {**scores, "not scored": verdict.absent[self.protocol.evaluation.headline]}
        spent = self.recording.cost(images)
        look = Look(images / 1000, spent.train_seconds, scores[headline], spent.train_cpu_seconds)
        self.best.add(look, self.trainer.averaged)
        self.emit(Looked(self.job.key, look.kimg, headline, look.score))
        return dict(scores)

    def _judge(self) -> Judgement:
        self.emit(Judging(self.job.key))
        began = time.perf_counter()
        with preserved_rng(self.device):
            judgement = judge(self.bench, self.trainer.averaged, self.best, self.trainer.images / 1000, self._seed)
        self.recording.judge_seconds += time.perf_counter() - began
        return judgement

    def _seed(self, stream: str) -> int:
        return self.protocol.seed(self.job.seed, stream)

    # -- checkpoint and record ---------------------------------------------------------------------------------------

    def _checkpoint(self, only: tuple[str, ...] = ()) -> None:
        """Save everything needed to resume, or ``only`` these parts."""
        within = str(Path(self.folder.parent.name, self.folder.name))  # where it lies on this machine is private
        state = {
            "identity": self._identity,
            "job": msgspec.json.encode(msgspec.structs.replace(self.job, folder=within)).decode(),
            **self.trainer.state(),
            "best": self.best.state(),
            **self.recording.state(),
        }
        checkpoint.save({key: state[key] for key in only or state}, self.folder / "checkpoint.pt")

    def _resume(self) -> None:
        """Resume from this run's checkpoint, if there is one and nothing has changed since."""
        if not self.job.fresh:
            self._set_aside_finished()
            try:
                self._take_up(checkpoint.load(self.folder / "checkpoint.pt", self._identity))
            except checkpoint.Unusable as why:
                kept = set_aside(self.folder / "checkpoint.pt")
                said = f"{self.job.key} starts over: {why}; the old checkpoint is kept as {kept.name}"
                warnings.warn(GanbenchWarning(said), stacklevel=2)
        leftovers = self.folder.rglob(".*.tmp")  # of a process that was killed while writing
        made = [*(self.folder / name for name in ("error.txt", *NAMES)), *(self.folder / "samples").glob("*")]
        old = [] if self.recording.history else made
        for path in (*leftovers, *old):
            if not path.is_dir():  # a folder is not the run's own
                path.unlink(missing_ok=True)
        self.recording.write_history()

    def _take_up(self, state: Mapping[str, Any] | None) -> None:
        if state is None:
            return
        try:
            self._restore(state)
        except Exception as error:  # half a state is worse than none
            self._begin()
            raise checkpoint.Unusable("its checkpoint does not fit the players") from error
        self.emit(Resumed(self.job.key, self.trainer.images / 1000, self.protocol.training.budget_kimg))

    def _set_aside_finished(self) -> None:
        """Keep the files of a finished run that is repeated because something has changed."""
        if is_finished(self.job.record_file):
            for name in ("record.json", "checkpoint.pt", "history.jsonl", *NAMES):
                if (file := self.folder / name).exists():
                    set_aside(file)

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.trainer.restore(state)
        self.best.restore(state["best"])
        self.recording.restore(state)

    @property
    def _identity(self) -> dict[str, str]:
        return identity_of(self.job, self.bench)

    def _write(self, record: TrainingRecord) -> None:
        write(record, self.job.record_file)

    def record(self, status: Status, reason: str, judgement: Judgement | None = None) -> TrainingRecord:
        """The record of the run so far."""
        judgement, recording = judgement or Judgement(), self.recording
        scored, checks = judgement.fields(), judgement.checks
        return TrainingRecord(
            **protocol_fields(self.bench, self.job, judgement.doubts, tuple(sorted(recording.nondeterministic))),
            **player_fields(self.job, self.players),
            **scored,
            status=status,
            reason=reason,
            bits=Fingerprints(self.trainer.fingerprint() if status == "ok" else "", judgement.samples, recording.trace),
            best=judgement.best,
            curve=tuple(self.best.looks),
            self_checks=checks,
            speed=recording.speed(self.trainer, judgement.rate),
            cost=recording.cost(self.trainer.images),
            company=recording.company(),
            started=recording.started,
        )

    def _accounted(self, speed: Speed) -> Speed:
        """``speed`` with the arithmetic behind it, if something was timed and the operations can be counted."""
        counted = account_of(self.job, self.bench, self.trainer) if speed.train else None
        return speed if counted is None else with_account(speed, counted)
