"""Runs from end to end, in this process, on real digits."""

from __future__ import annotations

import dataclasses
import itertools
import json
import statistics
import warnings
from io import StringIO
from pathlib import Path
from shutil import copytree
from typing import NamedTuple

import pytest
import running
import torch
from msgspec.structs import replace
from painted import size_of
from rich.console import Console
from running import weights_in

from ganbench.contracts.executor import Done, Event, Judging, Looked, Picture, Progress, TrainingJob, YardstickJob
from ganbench.contracts.protocol import Protocol
from ganbench.device.load import Load
from ganbench.errors import Doubt, GanbenchWarning, PluginError, ProtocolError, Unsupported
from ganbench.evaluation.yardsticks import YARDSTICKS
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import FORMAT, Company, Record
from ganbench.records.store import read, write
from ganbench.runs import checkpoint, recording
from ganbench.runs.changes import parse_changes
from ganbench.runs.display import PlainDisplay
from ganbench.runs.plan import Plan
from ganbench.runs.recording import Recording
from ganbench.training.trainer import Window


def plan_of(tmp_path: Path, arch: str = "dcgan", loss: str = "wgan-gp", *rules: Protocol | str, **options) -> Plan:
    return running.plan_of(tmp_path / "runs", arch, loss, *rules, **options)


def only_run(tmp_path: Path, *names: Protocol | str, **options) -> TrainingJob:
    (job,) = plan_of(tmp_path, *names, **options).runs
    return job


def carry_out(job: TrainingJob | YardstickJob, stop_after: int | None = None) -> tuple[Record, list[Event]]:
    """The record, and the events up to its end; the run is stopped after so many windows."""
    events: list[Event] = []

    def should_stop() -> bool:
        return stop_after is not None and sum(isinstance(e, Progress) for e in events) >= stop_after

    return running.carry_out(job, events.append, should_stop), events


class Finished(NamedTuple):
    """A run that was not disturbed."""

    home: Path
    job: TrainingJob
    record: Record
    events: list[Event]

    @property
    def folder(self) -> Path:
        return Path(self.job.folder)

    def copy(self, home: Path) -> TrainingJob:
        """The job of the same run, as if it had been finished in another folder."""
        copytree(self.home / "runs", home / "runs")
        return only_run(home)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    home = tmp_path_factory.mktemp("finished")
    job = only_run(home)
    return Finished(home, job, *carry_out(job))


def rows_in(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_a_run_leaves_its_record(finished) -> None:
    assert read(finished.job.record_file) == finished.record
    assert finished.record.status == "ok", finished.record.reason
    assert finished.record.cost.images == 960


def test_a_record_holds_the_scores_of_every_metric(finished) -> None:
    names = {name.partition("@")[0] for name in finished.record.scores}
    assert {"fid", "is", "kid", "precision", "recall", "density", "coverage", "modes_covered"} <= names


def test_an_older_checkpoint_whose_job_has_no_label_can_still_be_sampled(finished, tmp_path) -> None:
    newer, older = finished.folder / "checkpoint.pt", tmp_path / "checkpoint.pt"
    state = torch.load(newer, weights_only=True)
    job = json.loads(state["job"])
    assert job.pop("label") == "dcgan+wgan-gp"
    torch.save(state | {"job": json.dumps(job)}, older)
    assert torch.equal(checkpoint.samples_of(older, 4, 0), checkpoint.samples_of(newer, 4, 0))


def test_a_score_names_the_extractor_in_whose_features_it_was_computed(finished) -> None:
    fid = next(name for name in finished.record.scores if name.startswith("fid@"))
    assert fid == f"fid@{finished.record.extractor}"
    assert finished.record.extractor.startswith("digits-cnn:")


def test_a_record_holds_the_size_of_both_players_and_the_speed_of_the_run(finished) -> None:
    assert set(finished.record.parameters) == {"G", "D"}
    assert min(finished.record.parameters.values()) > 1000
    assert finished.record.speed.train > 0
    assert finished.record.speed.sample > 0
    assert finished.record.environment.threads == 1


def test_a_history_ends_with_the_budget_and_has_the_scores_of_both_looks(finished) -> None:
    rows = rows_in(finished.folder)
    assert rows[-1]["kimg"] == 0.96
    scored = [f"fid@{finished.record.extractor}" in row for row in rows]
    assert scored.count(True) == 2, "one look on the way, one at the end"


def test_a_run_leaves_a_picture_of_its_beginning_and_of_every_look(finished) -> None:
    pictures = sorted((finished.folder / "samples").glob("*.png"))
    assert [size_of(picture) for picture in pictures] == [(402, 402)] * 3


def test_a_run_tells_of_its_progress_its_pictures_and_its_judging(finished) -> None:
    assert {type(event) for event in finished.events} == {Progress, Picture, Looked, Judging}
    looks = [(event.name.partition("@")[0], event.kimg) for event in finished.events if isinstance(event, Looked)]
    assert looks == [("fid", look.kimg) for look in finished.record.curve]


def test_the_same_run_gives_the_same_bits_and_scores(finished, tmp_path) -> None:
    again = only_run(tmp_path)
    record, _ = carry_out(again)
    assert record.scores == finished.record.scores
    assert all(map(torch.equal, weights_in(Path(again.folder)), weights_in(finished.folder)))


class Resumed(NamedTuple):
    """A run that was stopped after three windows and then went on."""

    folder: Path
    stopped: Record
    planned: set[str]
    record: Record
    events: list[Event]


@pytest.fixture(scope="module")
def resumed(tmp_path_factory) -> Resumed:
    home = tmp_path_factory.mktemp("resumed")
    job = only_run(home)
    stopped, _ = carry_out(job, stop_after=3)
    planned = {todo.key for todo in plan_of(home).todo}
    return Resumed(Path(job.folder), stopped, planned, *carry_out(job))


def test_an_interrupted_run_is_recorded_as_such_and_planned_again(resumed) -> None:
    assert resumed.stopped.status == "interrupted"
    assert 0 < resumed.stopped.cost.images < 960
    assert resumed.planned >= {"dcgan+wgan-gp, seed 0"}


def test_an_interrupted_run_does_not_begin_again(resumed) -> None:
    assert resumed.record.status == "ok"
    assert sum(isinstance(event, Progress) for event in resumed.events) < 6


def test_an_interrupted_run_goes_on_to_the_same_bits(finished, resumed) -> None:
    assert resumed.record.scores == finished.record.scores
    assert all(map(torch.equal, weights_in(finished.folder), weights_in(resumed.folder)))


def test_the_history_of_an_interrupted_run_has_every_step_once(finished, resumed) -> None:
    one, other = ([row["step"] for row in rows_in(run.folder)] for run in (finished, resumed))
    assert one == other


def test_cpu_seconds_stand_beside_seconds_and_survive_a_resumption(resumed) -> None:
    rows, then, now = rows_in(resumed.folder), resumed.stopped.cost, resumed.record.cost
    spent = [row["cpu_seconds"] for row in rows]
    assert spent == sorted(spent)
    assert 0 < then.train_cpu_seconds < now.train_cpu_seconds == spent[-1]
    assert then.train_cpu_seconds in spent, "what was spent before the interruption counts"


def test_the_speed_of_a_resumed_run_is_the_median_of_all_its_windows(resumed) -> None:
    rates = [row["images_per_cpu_second"] for row in rows_in(resumed.folder)[2:]]
    assert resumed.record.speed.train_cpu == pytest.approx(statistics.median(rates), abs=0.1)


def test_every_look_says_how_many_cpu_seconds_were_spent_up_to_it(resumed) -> None:
    spent = [row["cpu_seconds"] for row in rows_in(resumed.folder)]
    assert [look.cpu_seconds in spent for look in resumed.record.curve] == [True] * 2


@pytest.fixture
def busy(monkeypatch) -> None:
    """Something else keeps the machine busy."""
    readings = (Load(wall=t, ticks=10 * t, stolen=t, waiting=t / 2) for t in itertools.count(1.0))
    monkeypatch.setattr(Load, "now", lambda: next(readings))
    monkeypatch.setattr(recording, "load_average", lambda: 1.5)


@pytest.mark.usefixtures("busy")
def test_what_kept_the_machine_busy_is_recorded_over_both_parts_of_a_resumed_run(tmp_path) -> None:
    job = only_run(tmp_path)
    carry_out(job, stop_after=3)
    record, _ = carry_out(job)
    assert record.company == Company(load=1.5, steal=0.1, pressure=0.5)


@pytest.mark.usefixtures("busy")
def test_costs_and_company_survive_in_the_state_of_a_recording(tmp_path) -> None:
    kept = Recording(tmp_path, torch.device("cpu"), alone=True)
    kept.spend(Window(1, 32, 2.0, 1.5, 32, {}))
    with kept.watched():
        pass
    again = Recording(tmp_path, torch.device("cpu"), alone=True)
    again.restore(kept.state())
    assert again.cost(32) == kept.cost(32)
    assert again.company() == kept.company() != Company()


def test_looking_more_often_leaves_the_weights_bit_identical(finished, tmp_path) -> None:
    rules = finished.job.protocol
    often = replace(rules, evaluation=replace(rules.evaluation, checks=6))
    watched = replace(finished.job, protocol=often, folder=str(tmp_path))
    carry_out(watched)
    assert len(list((tmp_path / "samples").iterdir())) > len(list((finished.folder / "samples").iterdir()))
    assert all(map(torch.equal, weights_in(finished.folder), weights_in(tmp_path)))


def test_an_interrupted_run_of_other_settings_is_not_gone_on_with(tmp_path) -> None:
    job = only_run(tmp_path)
    carry_out(job, stop_after=3)
    other = replace(job, recipe_changes={"lr": 0.1}, changes={"lr": "0.1"})
    with pytest.warns(GanbenchWarning, match="starts over: since its checkpoint at .* kimg, the settings changed"):
        record, events = carry_out(other)
    assert record.cost.images == 960
    assert sum(isinstance(event, Progress) for event in events) == 6


def test_a_finished_run_is_not_repeated_unless_forced(finished, tmp_path) -> None:
    job = finished.copy(tmp_path)
    assert job.key in {j.key for j in plan_of(tmp_path).finished}
    assert job.key in {j.key for j in plan_of(tmp_path, force=True).todo}


def test_a_finished_run_is_repeated_if_its_code_has_changed(finished, tmp_path) -> None:
    job, record = finished.copy(tmp_path), finished.record
    write(replace(record, loss=replace(record.loss, source="0" * 12)), job.record_file)
    assert job.key in {j.key for j in plan_of(tmp_path).changed}


@pytest.fixture
def older(finished, tmp_path) -> TrainingJob:
    """A finished run whose record has the format before this one, and hashes that do not compare."""
    job, record = finished.copy(tmp_path), finished.record
    write(replace(record, format=FORMAT - 1, loss=replace(record.loss, source="0" * 12)), job.record_file)
    return job


def test_a_finished_run_of_an_older_record_format_stands(older, tmp_path) -> None:
    plan = plan_of(tmp_path)
    assert (older.key in {j.key for j in plan.finished}, plan.changed) == (True, [])
    record = read(older.record_file)
    assert carry_out(older) == (record, []), "nothing is trained"
    write(replace(record, format=FORMAT), older.record_file)
    assert carry_out(older)[1] != [], "hashes of this format do compare"


def test_runs_of_an_older_record_format_are_counted_in_a_sentence(older, tmp_path) -> None:
    version, plan = read(older.record_file).environment.ganbench, plan_of(tmp_path)
    assert plan.older == {version: 1}
    console = Console(file=StringIO(), width=200)
    with PlainDisplay(console, plan):
        pass
    assert f"; 1 made by ganbench {version} are kept as results of that version" in console.file.getvalue()


def test_a_finished_run_shows_the_headline_and_two_columns_of_its_protocol(tmp_path) -> None:
    plan, console = plan_of(tmp_path), Console(file=StringIO(), width=200)
    (job,) = plan.runs
    names = ["modes_covered@c:1", "coverage@c:1", "is@c:1", "fid@c:1", "hq_fraction@c:1"]
    with PlainDisplay(console, plan) as display:
        display.show(Done(job.key, "ok", "", {name: float(i) for i, name in enumerate(names)}))
    assert f"{job.key}: fid 3, is 2, coverage 1 (" in console.file.getvalue()


def test_a_headline_that_the_protocol_also_shows_is_printed_once(tmp_path) -> None:
    plan, console = plan_of(tmp_path), Console(file=StringIO(), width=200)
    shown = ("fid", "coverage", "hq_fraction")
    rules = replace(plan.protocol, evaluation=replace(plan.protocol.evaluation, shown=shown))
    plan, (job,) = dataclasses.replace(plan, protocol=rules), plan.runs
    with PlainDisplay(console, plan) as display:
        display.show(Done(job.key, "ok", "", {"fid@c:1": 3.0, "coverage@c:1": 1.0, "hq_fraction@c:1": 4.0}))
    assert f"{job.key}: fid 3, coverage 1, hq_fraction 4 (" in console.file.getvalue()


def test_a_doubt_is_said_before_training_begins(tmp_path) -> None:
    job = only_run(tmp_path)
    hopeless = replace(job.protocol, evaluation=replace(job.protocol.evaluation, target=1e-9))
    events = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", Doubt)
        with pytest.raises(Doubt, match="the target fid 1e-09 is out of reach: real data score"):
            running.carry_out(replace(job, protocol=hopeless), events.append)
    assert (events, Path(job.folder).exists()) == ([], False)


def test_runs_under_other_rules_of_the_same_name_are_not_overwritten(finished, tmp_path) -> None:
    job = finished.copy(tmp_path)
    rules = replace(job.protocol, training=replace(job.protocol.training, batch=16))
    with pytest.raises(ProtocolError, match="holds a run of 'smoke-v1' under other rules"):
        plan_of(tmp_path, "dcgan", "wgan-gp", rules)
    assert read(job.record_file) == finished.record


def test_force_keeps_the_record_of_the_last_time_until_the_new_one_is_finished(finished, tmp_path) -> None:
    finished.copy(tmp_path)
    again = only_run(tmp_path, force=True)
    stopped, _ = carry_out(again, stop_after=2)
    assert stopped.status == "interrupted"
    assert read(again.record_file) == finished.record
    record, events = carry_out(again)
    assert record.bits == finished.record.bits
    assert sum(isinstance(event, Progress) for event in events) == 6
    assert read(again.record_file) == record


def test_a_training_that_leaves_the_finite_numbers_is_recorded_as_diverged(tmp_path) -> None:
    job = only_run(tmp_path, loss="wgan", changes=parse_changes(["lr=1e30", "loss.clip=1e30"]))
    record, _ = carry_out(job)
    assert record.status == "diverged"
    assert "not finite at iteration" in record.reason
    assert record.scores == {}
    assert job.key in {
        j.key for j in plan_of(tmp_path, loss="wgan", changes=parse_changes(["lr=1e30", "loss.clip=1e30"])).finished
    }


def test_a_run_over_its_time_is_recorded_as_such(tmp_path) -> None:
    record, _ = carry_out(only_run(tmp_path, changes=parse_changes(["timeout=0.000001"])))
    assert record.status == "timeout"


def test_settings_of_the_user_reach_the_loss_and_the_recipe_and_mark_the_row(tmp_path) -> None:
    record, _ = carry_out(only_run(tmp_path, changes=parse_changes(["loss.weight=3", "lr=1e-4", "budget_kimg=0.2"])))
    assert record.recipe["loss.weight"] == 3
    assert (record.recipe["lr"], record.recipe_from["lr"], record.recipe_from["betas"]) == (1e-4, "--set", "the loss")
    assert record.changes == {"loss.weight": "3", "lr": "1e-4", "budget_kimg": "0.2"}
    assert record.cost.images == 224
    assert record.digest == load_protocol("smoke-v1").digest


def test_an_arch_without_the_normalisation_of_the_loss_names_the_loss(tmp_path) -> None:
    with pytest.raises(Unsupported) as caught:
        carry_out(only_run(tmp_path, "r3gan", "hinge", seeds=[0]))
    assert "r3gan has no D with the normalisation 'spectral' that hinge needs: " in caught.value.message
    assert caught.value.hint == "choose another --arch or --loss"


def test_what_does_not_fit_is_declined_with_the_reason(tmp_path) -> None:
    job = only_run(tmp_path, "dcgan", "wgan-gp", "ring-v1", seeds=[0])
    with pytest.raises(
        Unsupported, match=r"dcgan cannot play on ring: needs 2-D images, not points of shape 2"
    ) as caught:
        carry_out(job)
    assert "another --protocol (see `ganbench plugins protocol`)" in caught.value.hint
    assert not Path(job.folder).exists()


BATCH_NORM_ARCH = '''
    """An arch that ignores what the loss wants."""
    from torch import nn
    from ganbench import GAN, hookimpl
    @hookimpl
    def ganbench_arch(data, z_dim):
        n = 256
        D = nn.Sequential(nn.Flatten(), nn.Linear(n, 8), nn.BatchNorm1d(8), nn.Linear(8, 1), nn.Flatten(0))
        return GAN(nn.Sequential(nn.Linear(z_dim, n), nn.Tanh(), nn.Unflatten(1, (1, 16, SIDE))), D, z_dim)
    SIDE = 16
'''


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        (BATCH_NORM_ARCH, Unsupported, "batch normalisation in D"),
        (
            BATCH_NORM_ARCH.replace("nn.BatchNorm1d(8), ", "").replace("SIDE = 16", "SIDE = 8"),
            PluginError,
            "cannot play on two samples: RuntimeError",
        ),
        (
            BATCH_NORM_ARCH.replace("nn.BatchNorm1d(8), ", "").replace(", nn.Flatten(0))", ")"),
            PluginError,
            r"D returns shape \(2, 1\) for two samples",
        ),
        ("from ganbench import hookimpl\n@hookimpl\ndef ganbench_arch(data): return 3", PluginError, "returned a int"),
    ],
)
def test_an_arch_that_breaks_its_contract_is_declined_before_training(
    code, error, said, tmp_path, install_here
) -> None:
    install_here("third-party", "arch", "odd", code, module=f"odd_{abs(hash(code))}")
    job = only_run(tmp_path, arch="odd")
    with pytest.raises(error, match=said):
        carry_out(job)


def test_several_workers_begin_with_a_run_and_one_worker_with_the_yardsticks(tmp_path) -> None:
    plan = plan_of(tmp_path)
    count = len(plan.protocol.evaluation.yardsticks)
    assert [isinstance(job, YardstickJob) for job in plan.queue(1)] == [True] * count + [False]
    assert [isinstance(job, YardstickJob) for job in plan.queue(2)] == [False] + [True] * count
    assert {job.key for job in plan.queue(2)} == {job.key for job in plan.todo}


SMOKE = load_protocol("smoke-v1")
WITH_ALL_YARDSTICKS = replace(SMOKE, evaluation=replace(SMOKE.evaluation, yardsticks=tuple(YARDSTICKS)))


@pytest.mark.parametrize("name", YARDSTICKS)
def test_every_yardstick_leaves_a_record(name, tmp_path) -> None:
    plan = plan_of(tmp_path, "mlp", "hinge", WITH_ALL_YARDSTICKS)
    job = next(job for job in plan.yardsticks if job.yardstick == name)
    record, _ = carry_out(job)
    assert read(job.record_file) == record
    assert record.entry == name


def test_yardsticks_are_in_the_order_that_gives_the_scores_their_meaning(tmp_path) -> None:
    fids = {}
    for job in plan_of(tmp_path, "mlp", "hinge", WITH_ALL_YARDSTICKS).yardsticks:
        record, _ = carry_out(job)
        fids[record.entry] = next(value for title, value in record.scores.items() if title.startswith("fid@"))
    real, gaussian, one_class, noise = (fids[name] for name in ("real data", "gaussian fit", "one class", "noise"))
    assert max(real, fids["training data"]) < fids["class gaussians"] < gaussian < min(one_class, noise)
