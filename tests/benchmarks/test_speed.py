"""Where the time goes: one iteration of each loss, sampling, judging, and a table of many records.

Run with ``tox -e bench``; nothing here asserts seconds.
"""

from __future__ import annotations

import msgspec
import pytest
import torch

from ganbench import plugins
from ganbench.contracts.executor import TrainingJob
from ganbench.contracts.loss import LossTraits
from ganbench.contracts.protocol import RecipeLayer, resolve_recipe
from ganbench.evaluation.sampling import sample
from ganbench.leaderboards.table import build
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.plan import make_plan
from ganbench.runs.players import build_players
from ganbench.runs.runner import execute
from ganbench.runs.setup import Bench, prepare
from ganbench.training.batches import Stream
from ganbench.training.trainer import Trainer

CPU = torch.device("cpu")
LOSSES = [s.name for s in plugins.of_kind("loss") if s.package == "ganbench"]


@pytest.fixture(scope="module")
def bench() -> Bench:
    torch.set_num_threads(1)
    return prepare(load_protocol("digits-16-v1"), "cpu")


def trainer_of(bench: Bench, name: str, updates: int = 10**9) -> Trainer:
    names = {"arch": "ganbench:dcgan", "loss": f"ganbench:{name}"}
    job = TrainingJob(protocol=bench.protocol, digest=bench.protocol.digest, seed=0, folder="", **names)
    players = build_players(job, bench.dataset)
    stream = Stream(bench.dataset.train, bench.protocol.training.batch, 0, CPU)
    return Trainer(players.gan, players.played, stream, players.recipe, updates, 1, 2)


@pytest.mark.parametrize("loss", LOSSES)
def test_one_iteration_of_dcgan_at_16_pixels(benchmark, bench, loss) -> None:
    trainer = trainer_of(bench, loss)
    d_steps = LossTraits(trainer.loss).d_steps
    benchmark.extra_info["images"] = d_steps * bench.protocol.training.batch
    benchmark.pedantic(lambda: trainer.advance(trainer.d_done + d_steps), rounds=30, warmup_rounds=5)


def test_sampling_and_judging_one_draw(benchmark, bench) -> None:
    trainer = trainer_of(bench, "hinge")
    reference = bench.judge.reference
    bench.judge.score(reference, 0)
    benchmark.pedantic(
        lambda: bench.judge.score(sample(trainer.averaged, reference, 0, CPU), 0), rounds=5, warmup_rounds=1
    )


@pytest.mark.parametrize("metric", ["fid", "is", "kid", "precision-recall", "density-coverage", "modes"])
def test_one_metric_on_1797_samples(benchmark, bench, metric) -> None:
    fakes = sample(trainer_of(bench, "hinge").averaged, bench.judge.reference, 0, CPU)
    benchmark.pedantic(lambda: bench.judge.score(fakes, 0, only=[metric]), rounds=5, warmup_rounds=1)


def test_resolving_a_recipe(benchmark) -> None:
    training = load_protocol("digits-16-v1").training
    benchmark(
        lambda: resolve_recipe(
            training, [RecipeLayer("loss", {"betas": (0.0, 0.9)}), RecipeLayer("--set", {"lr": 1e-4})]
        )
    )


@pytest.mark.parametrize("entries", [20, 100])
def test_a_table_of_five_seeds_an_entry(benchmark, entries, tmp_path) -> None:
    protocol = load_protocol("smoke-v1")
    plan = make_plan(plugins.find_many("arch", ["mlp"]), plugins.find_many("loss", ["hinge"]), protocol, out=tmp_path)
    (job,) = plan.runs
    record = execute(job, lambda _: None, lambda: False)
    seeded = msgspec.structs.replace(protocol, seeds=(0, 1, 2, 3, 4))
    records = [
        msgspec.structs.replace(
            record,
            seed=seed,
            digest=seeded.digest,
            loss=msgspec.structs.replace(record.loss, name=f"loss-{entry}"),
            scores={name: value * (1 + (7 * entry + seed) % 11 / 10) for name, value in record.scores.items()},
        )
        for entry in range(entries)
        for seed in range(5)
    ]
    table = benchmark.pedantic(lambda: build(records, seeded), rounds=5)
    assert len(table.rows) == entries
