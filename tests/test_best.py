"""Best-so-far: chosen on data and latents of its own, scored on those of the headline, and never the headline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from marks import slow
from msgspec.structs import replace
from running import carry_out, job_in
from torch import nn

from ganbench import GAN
from ganbench.evaluation.best import BestSoFar
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Look, Record
from ganbench.runs.setup import prepare

RULES = load_protocol("smoke-v1")


def gan(value: float) -> GAN:
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, value)
    return GAN(layer, nn.Linear(2, 1), 2).averaged_copy()


def weight_of(player: GAN) -> float:
    return player.generator.weight[0, 0].item()


@pytest.mark.parametrize(("goal", "best"), [("min", 2.0), ("max", 3.0)])
def test_the_best_weights_are_kept_whichever_way_is_better(goal, best) -> None:
    tracker = BestSoFar(goal)
    for kimg, (weight, score) in enumerate([(1.0, 5.0), (2.0, 1.0), (3.0, 9.0), (4.0, 1.0), (5.0, 9.0)]):
        tracker.add(Look(kimg, 0.0, score), gan(weight))
    assert weight_of(tracker.generator(gan(0.0))) == best
    assert len(tracker.looks) == 5


def test_the_kept_weights_are_a_copy() -> None:
    tracker, player = BestSoFar("min"), gan(1.0)
    tracker.add(Look(1, 0.0, 1.0), player)
    nn.init.constant_(player.generator.weight, 7.0)
    assert weight_of(tracker.generator(player)) == 1.0
    assert weight_of(player) == 7.0


def test_the_choice_survives_a_checkpoint(tmp_path) -> None:
    tracker = BestSoFar("min")
    for kimg, score in enumerate([3.0, 1.0, 2.0]):
        tracker.add(Look(kimg, 0.0, score), gan(score))
    torch.save(tracker.state(), tmp_path / "state.pt")
    other = BestSoFar("min")
    other.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    other.add(Look(3, 0.0, 1.5), gan(1.5))
    assert (weight_of(other.generator(gan(0.0))), other.best) == (1.0, tracker.best)


def run_once(folder: Path, checks: int, budget: str = "3.2") -> tuple[Record, list[dict]]:
    rules = replace(RULES, evaluation=replace(RULES.evaluation, checks=checks, draws=2))
    rules = replace(rules, training=replace(rules.training, budget_kimg=float(budget)))
    job = job_in(folder, "dcgan", "lsgan", rules)
    record = carry_out(job)
    assert record.status == "ok", record.reason
    return record, [json.loads(row) for row in Path(job.folder, "history.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> tuple[Record, list[dict]]:
    return run_once(tmp_path_factory.mktemp("watched"), checks=5)


def test_the_curve_holds_every_look_and_ends_at_the_budget(watched) -> None:
    record, history = watched
    fid = next(name for name in record.scores if name.startswith("fid@"))
    assert [look.kimg for look in record.curve] == [row["kimg"] for row in history if fid in row]
    assert [look.score for look in record.curve] == [row[fid] for row in history if fid in row]
    assert len(record.curve) == 5
    assert record.curve[-1].kimg == 3.2
    assert [look.seconds for look in record.curve] == sorted(look.seconds for look in record.curve)


def test_the_best_look_is_the_one_that_is_scored(watched) -> None:
    record, _ = watched
    assert record.best is not None
    assert record.best.kimg == min(record.curve, key=lambda look: look.score).kimg
    assert set(record.best.scores) == {name for name in record.scores if name.startswith("fid@")}
    assert len(record.best.draws) == 2


def test_the_best_is_scored_on_the_latents_and_the_reals_of_the_headline(watched, tmp_path) -> None:
    """A run that ends where this one was best has the same final score that this one gives its best."""
    record, _ = watched
    assert record.best is not None
    if record.best.kimg == 3.2:
        assert record.best.scores == {name: record.scores[name] for name in record.best.scores}
        return
    short, _ = run_once(tmp_path, checks=1, budget=str(record.best.kimg))
    for name, value in record.best.scores.items():
        assert short.scores[name] == value


def test_a_run_that_was_best_at_its_end_has_one_score(tmp_path) -> None:
    record, _ = run_once(tmp_path, checks=2, budget="0.64")
    assert record.best is not None
    assert record.best.scores == {name: record.scores[name] for name in record.best.scores}
    assert record.best.kimg == 0.64


def test_the_end_alone_is_nothing_to_choose_from(tmp_path) -> None:
    record, history = run_once(tmp_path, checks=1, budget="0.64")
    assert (record.best, record.curve) == (None, ())
    assert not any(name.startswith("fid@") for row in history for name in row)


def test_nothing_is_chosen_by_what_is_reported() -> None:
    bench = prepare(RULES, "cpu")
    assert list(bench.selector.metrics) == ["fid"]
    assert len(bench.selector.reference) == 359
    assert set(map(tuple, bench.selector.reference.x.flatten(1).tolist())) <= set(
        map(tuple, bench.dataset.test.x.flatten(1).tolist())
    )
    assert RULES.seed(0, "selection") != RULES.seed(0, "evaluation-0")
    on_test = replace(RULES, evaluation=replace(RULES.evaluation, reference="test", samples=300))
    assert on_test.evaluation.selection == "train"


@pytest.mark.parametrize("checks", [1, 30, slow(100)])
def test_looking_never_or_always_leaves_every_bit_of_the_result(checks, watched, tmp_path) -> None:
    record, history = watched
    other, rows = run_once(tmp_path, checks=checks)
    assert other.bits.weights == record.bits.weights
    assert other.bits.samples == record.bits.samples
    assert other.scores == record.scores
    assert len(other.curve) == (checks if checks > 1 else 0)
    if checks <= 40:
        assert [row["bits"] for row in rows] == [row["bits"] for row in history]
