"""Check whether a combination can train and be scored at all, before half a minute of yardsticks and any training."""

from __future__ import annotations

import time
import warnings

from ganbench.contracts.arch import GAN
from ganbench.contracts.executor import TrainingJob
from ganbench.device.untouched import preserved_rng
from ganbench.errors import Doubt
from ganbench.runs.players import build_players, refuse_unmet, unmet_by
from ganbench.runs.setup import Bench
from ganbench.runs.trainers import build_trainer

WARM_UP = 2
"""Iterations that are not timed: they allocate memory and choose kernels."""
LONG_ENOUGH = 0.4
"""Seconds of measured training."""


def try_out(job: TrainingJob, bench: Bench) -> None:
    """Build everything that a run needs and discard it, with a warning for each metric that cannot score it.

    Raises:
        GanbenchError: the run cannot be done at all.
    """
    gan = build_players(job, bench.dataset).gan
    refuse_unmet(job, gan, bench.dataset, bench.judge.metrics)
    say_unmet(job, gan, bench)


def say_unmet(job: TrainingJob, gan: GAN, bench: Bench) -> None:
    """Warn of each metric, except the headline's, that cannot score this row."""
    for doubt in unmet_by(job, gan, bench.dataset, bench.judge.metrics):
        warnings.warn(Doubt(doubt), stacklevel=2)


def training_seconds(job: TrainingJob, bench: Bench) -> float:
    """Seconds of CPU time (wall-clock time on other devices) that the training will take, from a few iterations.

    0 if the iterations fail, since the run itself will record that as its result.
    """
    try:
        with preserved_rng(bench.device), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _measured(job, bench)
    except Exception:
        return 0.0


def _measured(job: TrainingJob, bench: Bench) -> float:
    trainer = build_trainer(job, bench, build_players(job, bench.dataset))
    iteration = max(1, trainer.recipe.d_steps)
    trainer.advance(min(WARM_UP * iteration, trainer.d_updates))
    began, rates = time.perf_counter(), list[float]()
    while not trainer.done and time.perf_counter() - began < LONG_ENOUGH:
        window = trainer.advance(min(trainer.d_done + iteration, trainer.d_updates))
        spent = window.cpu_seconds if bench.device.type == "cpu" else window.seconds
        rates.append(spent / window.window_images)
    images = job.protocol.training.d_updates * job.protocol.training.batch
    return sorted(rates)[len(rates) // 2] * images if rates else 0.0
