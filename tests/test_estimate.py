"""How long a plan will take, and what ``ganbench run --dry-run`` prints of it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from running import plan_of
from toy import diverged, seeds

from ganbench.cli.preview import preview
from ganbench.contracts.executor import Event, Fits, Progress, Refused, TrainingJob, runs_among
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Cost
from ganbench.runs import tryout
from ganbench.runs.display import PlainDisplay
from ganbench.runs.estimate import Estimate, duration, estimate_by, makespan, seconds_left
from ganbench.runs.plan import Plan
from ganbench.runs.session import look_ahead
from ganbench.runs.setup import prepare

SEEDS = (0, 1, 2)
RULES = msgspec.structs.replace(load_protocol("smoke-v1"), seeds=SEEDS)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Two rows of three seeds; nothing is done."""
    return plan_of(tmp_path, "mlp", "r1,lsgan", RULES)


def costing(name: str, *cpu: float, judging: float = 2.0, wall: float = 100.0):
    """Records of a row whose seeds took these CPU seconds."""
    return [
        msgspec.structs.replace(record, cost=Cost(1000, wall, judging, train_cpu_seconds=seconds))
        for record, seconds in zip(seeds(name, 0.5, n=len(cpu)), cpu, strict=True)
    ]


class Answers:
    """An executor that only answers tryouts, with these seconds; None refuses."""

    workers = 2

    def __init__(self, seconds: dict[str, float | None]) -> None:
        self.seconds, self.asked = seconds, list[TrainingJob]()

    def run(self, jobs):
        for job in jobs:
            assert job.tryout
            self.asked.append(job)
            seconds = self.seconds[job.entry]
            if seconds is None:
                yield Refused(job.key, "it cannot", "leave it", unsupported=True)
            else:
                yield Fits(job.key, seconds if job.measured else 0.0)

    def stop(self) -> None:
        raise AssertionError


def test_a_row_takes_the_median_of_its_seeds_cpu_and_judging_seconds(plan: Plan) -> None:
    estimate = estimate_by([*costing("mlp+r1", 10, 30, 11), diverged("mlp+lsgan", 0)])
    assert estimate.recorded == {"mlp+r1": 13.0}
    assert [job.entry for job in estimate.unknown(plan.runs)] == ["mlp+lsgan"]
    assert estimate.total(plan.runs, 2) is None
    assert estimate.told(plan.runs, 2) == ""
    assert estimate_by(costing("mlp+r1", 0, 0, 0)).recorded == {"mlp+r1": 102.0}, "old records know wall time only"


def test_a_measured_row_is_judged_as_long_as_the_others(plan: Plan) -> None:
    estimate = estimate_by(costing("mlp+r1", 30, 30, 30))
    estimate.measured["mlp+lsgan"] = 48.0
    assert estimate.total(plan.runs, 1) == 3 * 32 + 3 * 50
    assert estimate.total(plan.runs, 2) == 32 + 32 + 32 + 50, "the rows take turns, so one worker has the last of each"
    assert estimate.total(plan.runs, 64) == 50, "no shorter than the longest run"
    said = "about 2 min, 2 runs at a time (1 row from a few iterations, the others from records)"
    assert estimate.told(plan.runs, 2) == said
    assert estimate.told(plan.runs[::2], 1) == "about 2 min (from records of these rows)"


@pytest.mark.parametrize(("workers", "seconds"), [(1, 9), (2, 6), (3, 3), (8, 3)])
def test_three_equal_runs_on_two_cores_take_as_long_as_two_in_turn(workers: int, seconds: float) -> None:
    assert makespan([3, 3, 3], workers) == seconds


def test_what_is_left_counts_the_shares_of_runs_under_way(plan: Plan) -> None:
    estimate = Estimate({"mlp+r1": 10.0, "mlp+lsgan": 20.0})
    first, _, second, *_ = (job.key for job in plan.runs)
    assert seconds_left(plan.runs, estimate, {}, ()) == 90
    assert seconds_left(plan.runs, estimate, {first: 0.5}, ()) == 85
    assert seconds_left(plan.runs, estimate, {first: 0.5}, {second}) == 75
    assert seconds_left(plan.runs, Estimate({"mlp+r1": 10.0}), {}, ()) == 60, "an unknown row counts as the mean"
    assert seconds_left(plan.runs, Estimate(), {}, ()) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3, "a few seconds"),
        (41, "about 40 s"),
        (57, "about 1 min"),
        (200, "about 3 min"),
        (3600, "about 1 h"),
        (7900, "about 2 h 10 min"),
    ],
)
def test_durations_are_told_in_round_numbers(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_only_unknown_rows_are_measured_and_refused_ones_are_left_out(plan: Plan) -> None:
    estimate = estimate_by(costing("mlp+r1", 10, 10, 10))
    executor = Answers({"mlp+r1": 1.0, "mlp+lsgan": 7.0})
    assert look_ahead(plan, executor, estimate).refused == {}
    assert [(job.entry, job.measured) for job in executor.asked] == [("mlp+r1", False), ("mlp+lsgan", True)]
    assert estimate.measured == {"mlp+lsgan": 7.0}
    refusing = Answers({"mlp+r1": None, "mlp+lsgan": 7.0})
    outcome = look_ahead(plan, refusing, Estimate())
    assert [refused.message for refused in outcome.refused.values()] == ["it cannot"]
    assert [combination.arch.partition(":")[2] for combination in outcome.refused] == ["mlp"]


def test_a_look_ahead_tries_every_combination_also_without_yardsticks(plan: Plan) -> None:
    only_runs = Plan(plan.protocol, [*runs_among(plan.todo)], [])
    assert only_runs.tryouts() == []
    assert [job.entry for job in only_runs.tryouts(every=True)] == ["mlp+r1", "mlp+lsgan"]


def test_measured_seconds_are_near_those_of_the_run_itself_and_change_no_bit(tmp_path: Path) -> None:
    (job,) = plan_of(tmp_path, "mlp", "r1", "smoke-v1").runs
    bench = prepare(job.protocol, "cpu")
    measured = tryout.training_seconds(job, bench)
    assert measured > 0
    rules = msgspec.structs.replace(job.protocol.training, budget_kimg=10 * job.protocol.training.budget_kimg)
    longer = msgspec.structs.replace(job, protocol=msgspec.structs.replace(job.protocol, training=rules))
    assert 3 < tryout.training_seconds(longer, bench) / measured < 30


def test_what_fails_in_measured_iterations_is_left_to_the_run(tmp_path: Path, monkeypatch) -> None:
    (job,) = plan_of(tmp_path, "mlp", "r1", "smoke-v1").runs
    monkeypatch.setattr(tryout, "build_trainer", lambda *_: 1 / 0)
    assert tryout.training_seconds(job, prepare(job.protocol, "cpu")) == 0.0


def printed(plan: Plan, estimate: Estimate, *events: Event) -> str:
    """What plain lines say of these events."""
    console = Console(file=io.StringIO(), width=200)
    with PlainDisplay(console, plan) as display:
        display.expect(estimate, 2)
        for event in events:
            display.show(event)
    return console.file.getvalue()


def test_the_expected_time_is_said_before_the_first_run(plan: Plan) -> None:
    said = printed(plan, Estimate({"mlp+r1": 60.0, "mlp+lsgan": 60.0}))
    assert said.splitlines()[-1] == "about 3 min, 2 runs at a time (from records of these rows)"


def test_without_records_the_first_iterations_tell_the_time_once(plan: Plan) -> None:
    first, *_, last = plan.runs
    halves = [Progress(job.key, 6, 0.5, 30.0, share=0.5, rate=1.0, losses={}) for job in (first, last)]
    estimate = Estimate()
    said = printed(plan, estimate, *halves)
    assert said.count("in total, judging by the first iterations") == 1
    assert "about 3 min in total" in said
    assert estimate.measured == {"mlp+r1": 60.0, "mlp+lsgan": 60.0}


def test_a_grid_begins_with_one_seed_of_everything(tmp_path: Path) -> None:
    grid = plan_of(tmp_path, "mlp", "r1,lsgan", RULES)
    assert [(job.entry, job.seed) for job in grid.runs] == [
        (entry, seed) for seed in SEEDS for entry in ("mlp+r1", "mlp+lsgan")
    ]


def test_a_dry_run_says_what_would_run_and_what_cannot_and_writes_nothing(tmp_path: Path, ganbench_here) -> None:
    out = tmp_path / "runs"
    done = ganbench_here(
        "run", "--arch", "mlp,cyclegan", "--loss", "r1", "--protocol", "smoke-v1", "--out", out, "--dry-run"
    )
    assert done.returncode == 0
    said = " ".join(done.stdout.split())
    assert "mlp+r1 0 0 a few seconds" in said
    assert "cyclegan+r1 impossible 0" in said
    assert "impossible: cyclegan cannot play on digits" in said
    assert re.search(r"1 run of [\d.]+ kimg: a(bout)? .* \(1 row from a few iterations\)", said)
    assert not out.exists()


def test_a_dry_run_of_finished_runs_has_nothing_to_do(plan: Plan) -> None:
    console = Console(file=io.StringIO(), width=80)
    preview(Plan(plan.protocol, [], plan.jobs), Answers({}), Estimate(), console)
    said = " ".join(console.file.getvalue().split())
    assert "mlp+r1 – 3 mlp+lsgan – 3 nothing to run" in said
