"""Runs that were judged with something that has changed since, and starts under rules that were corrected since."""

from __future__ import annotations

import warnings
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from msgspec.structs import replace
from PIL import Image
from rich.console import Console
from running import plan_of

from ganbench import Evaluating, Protocol, Training
from ganbench.contracts.executor import Done, Event, Fits, Job, Progress, Refused, Started
from ganbench.errors import Doubt, GanbenchWarning, ProtocolError
from ganbench.records.store import read, write
from ganbench.runs.display import Display, PlainDisplay
from ganbench.runs.executors.inline import InlineExecutor
from ganbench.runs.executors.local import LocalExecutor
from ganbench.runs.plan import Plan
from ganbench.runs.session import Outcome, carry_out

pytestmark = pytest.mark.filterwarnings(
    "ignore:60 samples are:ganbench.errors.Doubt", "ignore:50 samples are:ganbench.errors.Doubt"
)
EXTRACTOR = '''
    """Features from weights at a path, or in the environment."""
    import os
    from pathlib import Path
    import torch
    from ganbench import DataError, Extractor, hookimpl
    class Weighted(Extractor):
        name, version = "weighted", "1"
        def __init__(self, weight):
            super().__init__()
            self.register_buffer("weight", torch.tensor(weight))
        def forward(self, x):
            return x.flatten(1).double()[:, :8] * self.weight, None
    @hookimpl
    def ganbench_extractor(argument):
        file = Path(argument or os.environ["GANBENCH_WEIGHTED"])
        if not file.exists():
            raise DataError(f"there are no weights at {file.name}", "check the path")
        return Weighted(float(file.read_text()))
'''
METRIC = '''
    """How bright samples are."""
    from ganbench import hookimpl
    class Level:
        columns = {{"{column}": "info"}}
        version = 1
        def __call__(self, evaluation):
            return {{"{column}": evaluation.fake.double().mean().item()}}
    @hookimpl
    def ganbench_metric():
        return Level()
'''
RULES = Protocol(
    name="mine-v1", dataset="digits", resolution=16, seeds=(0, 1, 2),
    training=Training(budget_kimg=0.064, batch=32, width=8),
    evaluation=Evaluating(samples=60, metrics=("fid",), headline="fid", extractor="raw", yardsticks=("noise",)),
)  # fmt: skip


@pytest.fixture
def weighted(install_here, tmp_path) -> Path:
    """The file of weights that the extractor ``weighted`` reads."""
    install_here("third-party", "extractor", "weighted", EXTRACTOR, module="weighted_extractor")
    (tmp_path / "weights").write_text("1.0")
    return tmp_path / "weights"


def judged_with(rules: Protocol = RULES, **changes) -> Protocol:
    return replace(rules, evaluation=replace(rules.evaluation, **changes))


def planned(tmp_path: Path, rules: Protocol = RULES, arch: str = "mlp", seeds: tuple[int, ...] = (0,), **options):
    return plan_of(tmp_path / "runs", arch, "lsgan", rules, seeds=seeds, **options)


class Heard(Display):
    """A display that remembers its events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def show(self, event: Event) -> None:
        self.events.append(event)

    @property
    def trained(self) -> set[str]:
        return {event.key for event in self.events if isinstance(event, Progress)}

    @property
    def ended(self) -> list[str]:
        return [event.key for event in self.events if isinstance(event, Done)]


def carried_out(plan: Plan) -> tuple[Outcome, Heard]:
    heard = Heard()
    return carry_out(plan, InlineExecutor(), heard), heard


def opening(plan: Plan) -> str:
    console = Console(file=StringIO(), width=300)
    with PlainDisplay(console, plan):
        pass
    return console.file.getvalue()


def keys(jobs: list[Job]) -> list[str]:
    return [job.key for job in jobs]


RUN, NOISE = "mlp+lsgan, seed 0", "noise, seed 0"


# -- stale -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["path", "environment"])
def test_a_finished_run_is_repeated_when_its_judges_weights_have_changed(
    named, weighted, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("GANBENCH_WEIGHTED", str(weighted))
    rules = judged_with(extractor=f"weighted:{weighted}" if named == "path" else "weighted")
    carried_out(planned(tmp_path, rules))
    assert keys(planned(tmp_path, rules).finished) == [NOISE, RUN]
    before = read(planned(tmp_path, rules).jobs[-1].record_file)
    weighted.write_text("2.0")
    plan = planned(tmp_path, rules)
    assert (plan.finished, keys(plan.todo), keys(plan.changed)) == ([], [NOISE, RUN], [NOISE, RUN])
    _, heard = carried_out(plan)
    after = read(plan.jobs[-1].record_file)
    assert f", because the extractor has changed since ({before.extractor}, now {after.extractor})" in opening(plan)
    assert heard.trained == {RUN}
    assert before.extractor != after.extractor
    assert before.bits.weights == after.bits.weights
    assert keys(planned(tmp_path, rules).finished) == [NOISE, RUN]


def test_finished_runs_whose_extractor_is_gone_are_kept_and_that_is_said(weighted, tmp_path) -> None:
    rules = judged_with(extractor=f"weighted:{weighted}")
    carried_out(planned(tmp_path, rules))
    weighted.unlink()
    with pytest.warns(Doubt, match="finished runs are kept, but whether weighted:.* unknown: there are no weights at"):
        assert keys(planned(tmp_path, rules).finished) == [NOISE, RUN]


def test_the_plugin_whose_code_has_changed_is_named(tmp_path) -> None:
    carried_out(planned(tmp_path))
    file = planned(tmp_path).jobs[-1].record_file
    record = read(file)
    write(replace(record, loss=replace(record.loss, source="0" * 12)), file)
    assert "; 1 run is repeated, because the code of the loss lsgan has changed since" in opening(planned(tmp_path))


@pytest.mark.parametrize("package", ["one", "two"])
def test_a_run_is_repeated_for_either_of_two_metrics_of_one_name(package, install_here, tmp_path) -> None:
    for name in ("one", "two"):
        install_here(f"package-{name}", "metric", "level", METRIC.format(column=f"level_{name}"))
    rules = judged_with(metrics=("fid", "package-one:level", "package-two:level"))
    carried_out(planned(tmp_path, rules))
    plan = planned(tmp_path, rules)
    assert (keys(plan.finished), keys(plan.todo)) == ([NOISE, RUN], [])
    file, metric = plan.jobs[-1].record_file, f"package-{package}:level"
    record = read(file)
    edited = record.metrics | {metric: replace(record.metrics[metric], source="0" * 12)}
    write(replace(record, metrics=edited), file)
    assert "repeated, because the code of the metric level has changed since" in opening(planned(tmp_path, rules))
    assert carried_out(planned(tmp_path, rules))[1].trained == {RUN}


def test_code_that_only_the_record_used_has_changed_for_plan_and_worker_alike(tmp_path) -> None:
    carried_out(planned(tmp_path))
    file = planned(tmp_path).jobs[-1].record_file
    record = read(file)
    write(replace(record, metrics=record.metrics | {"gone": replace(record.metrics["fid"], name="gone")}), file)
    assert "; 1 run is repeated, because the code of the metric gone has changed since" in opening(planned(tmp_path))
    assert carried_out(planned(tmp_path))[1].trained == {RUN}


def pictures(folder: Path, seed: int) -> None:
    numbers = np.random.default_rng(seed)
    for i in range(150):
        (folder / f"class{i % 2}").mkdir(parents=True, exist_ok=True)
        pixels = numbers.integers(0, 256, (16, 16)).astype("uint8")
        Image.fromarray(pixels).save(folder / f"class{i % 2}" / f"{i}.png")


def test_that_data_have_changed_since_is_said_once_and_the_same_process_notices(tmp_path) -> None:
    pictures(tmp_path / "images", 0)
    rules = judged_with(replace(RULES, dataset=f"folder:{tmp_path / 'images'}"), samples=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Doubt)
        carried_out(planned(tmp_path, rules))
        assert carried_out(planned(tmp_path, rules))[1].trained == set()
        pictures(tmp_path / "images", 1)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("default", GanbenchWarning)
            warnings.simplefilter("ignore", Doubt)
            _, heard = carried_out(planned(tmp_path, rules))
    assert heard.trained == {RUN}
    (sentence,) = {str(one.message) for one in said}
    assert sentence.startswith(f"the data {rules.dataset} have changed since the last run (")
    assert sentence.endswith("; finished jobs are repeated")


def test_a_finished_run_is_kept_when_its_data_have_moved(tmp_path) -> None:
    """Where a folder lies is no rule, and no code."""
    pictures(tmp_path / "images", 0)
    rules = judged_with(replace(RULES, dataset=f"folder:{tmp_path / 'images'}"), samples=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Doubt)
        carried_out(planned(tmp_path, rules))
        (tmp_path / "images").rename(tmp_path / "moved")
        plan = planned(tmp_path, replace(rules, dataset=f"folder:{tmp_path / 'moved'}"))
        _, heard = carried_out(plan)
    assert plan.changed == []
    assert (heard.ended, heard.trained) == ([NOISE, RUN], set())


# -- corrected starts --------------------------------------------------------------------------------------------------


CORRECTED = judged_with(samples=50)


def started(tmp_path: Path, rules: Protocol = RULES) -> Job:
    """An ``interrupted`` record without a checkpoint, and a scored yardstick."""
    plan = planned(tmp_path, rules)
    carried_out(plan)
    job = plan.jobs[-1]
    Path(job.folder, "checkpoint.pt").unlink()
    write(
        replace(read(job.record_file), status="interrupted", reason="it was started but never finished"),
        job.record_file,
    )
    return job


@pytest.mark.parametrize("correction", [{"samples": 50}, {"extractor": "digits-cnn"}])
def test_an_untrained_start_under_other_rules_is_replaced_and_that_is_said(correction, tmp_path) -> None:
    job = started(tmp_path)
    elsewhere = tmp_path / "runs/mine-v1/noise/seed2"
    Path(tmp_path / "runs/mine-v1/noise/seed0").rename(elsewhere)  # of a seed that is not asked for now
    rules = judged_with(**correction)
    plan = planned(tmp_path, rules)
    assert plan.finished == []
    assert "; folders of an earlier start under other rules are replaced, because nothing was trained" in opening(plan)
    outcome, _ = carried_out(plan)
    assert outcome.fatal is None
    assert read(job.record_file).digest == rules.digest != RULES.digest
    assert read(job.record_file).status == "ok"
    assert not elsewhere.exists()


def test_a_corrected_resolution_is_no_reason_to_refuse_yardsticks_alone(tmp_path) -> None:
    plan = planned(tmp_path)
    plan.todo[:] = plan.yardsticks
    carried_out(plan)
    assert planned(tmp_path, replace(RULES, resolution=32)).leftovers == [tmp_path / "runs/mine-v1/noise/seed0"]


@pytest.mark.parametrize("kept", ["finished", "resumable", "in progress"])
def test_trained_or_resumable_runs_under_other_rules_are_refused_even_if_unasked(kept, tmp_path) -> None:
    job = planned(tmp_path).jobs[-1]
    if kept == "finished":
        carried_out(planned(tmp_path))
    else:
        started(tmp_path)
        if kept == "resumable":
            Path(job.folder, "checkpoint.pt").touch()
    lock = FileLock(Path(job.folder, ".lock"))
    if kept == "in progress":
        lock.acquire()
    for arch in ("mlp", "dcgan"):
        with pytest.raises(ProtocolError, match=r"mlp.lsgan/seed0 holds a run of 'mine-v1' under other rules"):
            planned(tmp_path, CORRECTED, arch=arch)
    lock.release()
    assert job.record_file.exists()


def test_what_cannot_play_is_refused_before_any_yardstick_is_scored(tmp_path) -> None:
    points = replace(RULES, dataset="ring", resolution=None)
    outcome, heard = carried_out(planned(tmp_path, points, arch="dcgan"))
    assert "dcgan cannot play on ring: needs 2-D images" in outcome.fatal.message
    assert heard.ended == []
    assert list(tmp_path.glob("runs/**/record.json")) == []


def test_combinations_that_cannot_play_are_left_out_once_and_the_others_run(tmp_path) -> None:
    points = replace(RULES, dataset="ring", resolution=None)
    plan = planned(tmp_path, points, "dcgan,mlp", seeds=(0, 1))
    outcome, heard = carried_out(plan)
    assert (outcome.fatal, len(outcome.declined)) == (None, 1)
    assert heard.trained == {"mlp+lsgan, seed 0", "mlp+lsgan, seed 1"}
    refused = [event.key for event in heard.events if isinstance(event, Refused)]
    assert refused == ["dcgan+lsgan, seed 0", "dcgan+lsgan, seed 1"]
    kinds = {type(event) for event in heard.events}
    assert {Started, Done} <= kinds
    assert Fits not in kinds


def test_yardsticks_are_not_scored_if_no_combination_can_play(tmp_path) -> None:
    points = replace(RULES, dataset="ring", resolution=None)
    outcome, heard = carried_out(plan_of(tmp_path / "runs", "dcgan", "lsgan,hinge", points))
    assert (outcome.fatal, len(outcome.declined), heard.ended) == (None, 1, [])


def test_a_metric_that_cannot_score_a_row_is_named_with_it_before_any_work(tmp_path) -> None:
    rules = judged_with(metrics=("fid", "intra-fid"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Doubt)
        outcome, heard = carried_out(planned(tmp_path, rules))
    said = "the metric 'intra-fid' cannot score mlp+lsgan: mlp takes no labels"
    assert said in outcome.fatal.message, "the doubt, which is an error here"
    assert (heard.ended, heard.trained) == ([], set())


def test_a_metric_without_a_score_even_of_real_data_is_named_before_training(tmp_path) -> None:
    rules = judged_with(metrics=("fid", "is"), yardsticks=("real data",))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Doubt)
        outcome, heard = carried_out(planned(tmp_path, rules))
    said = "the metric 'is' has no score for real data: needs logits, but the protocol's extractor does not classify"
    assert said in outcome.fatal.message
    assert heard.trained == set()


FAILING = '''
    """A metric that fails."""
    from ganbench import hookimpl
    class Failing:
        columns, version = {"never": "min"}, 1
        def __call__(self, evaluation): raise KeyError("lost")
    @hookimpl
    def ganbench_metric(): return Failing()
'''


@pytest.mark.parametrize(("headline", "row"), [("never", "real data"), ("fid", "the yardstick 'noise'")])
def test_a_metric_that_fails_is_named_with_the_row_it_fails_on(headline, row, install_here, tmp_path) -> None:
    install_here("third-party", "metric", "failing", FAILING, module="failing_metric")
    yardsticks = () if headline == "never" else ("noise",)
    rules = judged_with(metrics=("fid", "failing"), headline=headline, yardsticks=yardsticks)
    outcome, _ = carried_out(planned(tmp_path, rules))
    assert outcome.fatal.message == f"{row} cannot be scored: the metric 'failing' failed: KeyError: 'lost'"


def test_workers_that_tryouts_leave_idle_start_meanwhile_and_none_for_nothing(monkeypatch, tmp_path) -> None:
    begun, given = [], []
    with LocalExecutor(2) as executor:
        monkeypatch.setattr(executor, "_start", begun.append)
        monkeypatch.setattr(executor, "_give", lambda seat, job: given.append(job))
        assert (list(executor.run([])), begun) == ([], [])
        tryouts = planned(tmp_path).tryouts()
        assert (list(executor.run(tryouts)), len(begun), given) == ([], 2, tryouts)


# -- yardsticks of the seeds that are shown ----------------------------------------------------------------------------


def test_one_seed_draws_its_yardsticks_and_a_later_run_of_the_others_the_rest(tmp_path) -> None:
    plan = planned(tmp_path, seeds=(1,))
    assert keys(plan.jobs) == ["noise, seed 1", "mlp+lsgan, seed 1"]
    carried_out(plan)
    whole = planned(tmp_path, seeds=())
    assert set(keys(whole.finished)) == set(keys(plan.jobs))
    assert keys(whole.todo) == [NOISE, RUN, "mlp+lsgan, seed 2", "noise, seed 2"]


def test_a_seed_beyond_the_protocol_is_shown_beside_one_draw_of_each_yardstick(tmp_path) -> None:
    assert keys(planned(tmp_path, seeds=(7,)).jobs) == [NOISE, "mlp+lsgan, seed 7"]


def test_a_process_that_tries_another_judge_by_an_environment_variable_gets_it(weighted, tmp_path, monkeypatch) -> None:
    other = tmp_path / "other"
    other.write_text("3.0")
    rules = judged_with(extractor="weighted", yardsticks=())
    tags = []
    for seed, file in enumerate([weighted, other]):
        monkeypatch.setenv("GANBENCH_WEIGHTED", str(file))
        plan = planned(tmp_path, rules, seeds=(seed,))
        carried_out(plan)
        tags.append(read(plan.jobs[-1].record_file).extractor)
    assert len(set(tags)) == 2
