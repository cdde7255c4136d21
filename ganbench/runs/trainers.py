"""Build the trainer of a job, and count the arithmetic behind its speed."""

from __future__ import annotations

import dataclasses

import msgspec

from ganbench.contracts.data import Split
from ganbench.contracts.executor import TrainingJob
from ganbench.runs.players import Players, build_players
from ganbench.runs.setup import Bench
from ganbench.training.augment import build
from ganbench.training.batches import Stream
from ganbench.training.flops import Account, account
from ganbench.training.observer import Observer
from ganbench.training.precision import MEMORY_FORMATS, lay_out
from ganbench.training.trainer import Trainer


def build_trainer(
    job: TrainingJob,
    bench: Bench,
    players: Players,
    *,
    d_updates: int | None = None,
    data: Split | None = None,
    observer: Observer | None = None,
) -> Trainer:
    """Build the trainer of a run, in its initial state, on the bench's device.

    Args:
        job: the run; its protocol states the rules of training, its seed the random streams.
        bench: the protocol's data and device.
        players: what it trains; it moves to the device.
        d_updates: the budget; by default the protocol's.
        data: the training data, if they are on the device already.
        observer: sees every update.
    """
    rules = job.protocol.training
    lay_out(players.gan.to(bench.device), rules.layout)
    seed = job.protocol.seed
    return Trainer(
        players.gan,
        players.played,
        Stream(
            bench.dataset.train if data is None else data,
            rules.batch,
            seed(job.seed, "data"),
            bench.device,
            MEMORY_FORMATS[rules.layout],
            build(rules.augment, bench.dataset.spec),
        ),
        players.recipe,
        rules.d_updates if d_updates is None else d_updates,
        seed(job.seed, "latent"),
        seed(job.seed, "penalty"),
        players.tricks,
        rules.precision,
        observer=observer,
    )


def account_of(job: TrainingJob, bench: Bench, trained: Trainer) -> Account | None:
    """The operations per image of a job's training, and the device's peak; None if they cannot be counted.

    They are counted on new trainers, set up like ``trained`` but with their own players and one D update per G update.
    """

    def again(observer: Observer) -> Trainer:
        players = build_players(job, bench.dataset)
        players = dataclasses.replace(players, recipe=msgspec.structs.replace(players.recipe, d_steps=1))
        return build_trainer(job, bench, players, data=trained.stream.split, observer=observer)

    return account(trained, again)
