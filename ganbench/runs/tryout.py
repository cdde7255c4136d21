"""Whether a combination can play and be scored at all, asked before half a minute of yardsticks and any training."""

from __future__ import annotations

import warnings

from ganbench.contracts.arch import GAN
from ganbench.contracts.executor import TrainingJob
from ganbench.errors import Doubt
from ganbench.runs.players import build_players, refuse_unmet, unmet_by
from ganbench.runs.setup import Bench


def try_out(job: TrainingJob, bench: Bench) -> None:
    """Build everything that a run needs and throw it away; says which metrics have no score of it.

    Raises:
        GanbenchError: the run cannot be done at all.
    """
    gan = build_players(job, bench.dataset).gan
    refuse_unmet(job, gan, bench.dataset, bench.judge.metrics)
    say_unmet(job, gan, bench)


def say_unmet(job: TrainingJob, gan: GAN, bench: Bench) -> None:
    """A doubt for each metric that cannot score this row, the headline's aside."""
    for doubt in unmet_by(job, gan, bench.dataset, bench.judge.metrics):
        warnings.warn(Doubt(doubt), stacklevel=2)
