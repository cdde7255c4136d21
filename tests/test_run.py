"""Runs from end to end, in this process and through the command line, on real digits."""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import textwrap
import warnings
from io import StringIO
from pathlib import Path

import msgspec
import pytest
import running
import torch
from msgspec.structs import replace
from PIL import Image
from rich.console import Console
from running import trained, weights_in

from ganbench.contracts.executor import Event, Job, Judging, Picture, Progress
from ganbench.contracts.protocol import Protocol
from ganbench.device.load import Load
from ganbench.errors import Doubt, GanbenchWarning, PluginError, ProtocolError, Unsupported
from ganbench.evaluation.yardsticks import YARDSTICKS
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import FORMAT, Company, Record
from ganbench.records.store import read, write
from ganbench.runs import recording
from ganbench.runs.changes import parse_changes
from ganbench.runs.display import PlainDisplay
from ganbench.runs.plan import Plan
from ganbench.runs.recording import Recording
from ganbench.training.trainer import Window


def plan_of(tmp_path: Path, arch: str = "dcgan", loss: str = "wgan-gp", *rules: Protocol | str, **options) -> Plan:
    return running.plan_of(tmp_path / "runs", arch, loss, *rules, **options)


def only_run(tmp_path: Path, *names: Protocol | str, **options) -> Job:
    (job,) = trained(plan_of(tmp_path, *names, **options))
    return job


def carry_out(job: Job, stop_after: int | None = None) -> tuple[Record, list[Event]]:
    """The record, and the events up to its end; the run is stopped after so many windows."""
    events: list[Event] = []

    def should_stop() -> bool:
        return stop_after is not None and sum(isinstance(e, Progress) for e in events) >= stop_after

    return running.carry_out(job, events.append, should_stop), events


def size_of(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as image:
        return image.size


def test_a_run_leaves_a_record_a_history_pictures_and_weights(tmp_path) -> None:
    job = only_run(tmp_path)
    record, events = carry_out(job)
    folder = Path(job.folder)
    assert read(folder / "record.json") == record
    assert record.status == "ok", record.reason
    assert record.cost.images == 960
    names = {name.partition("@")[0] for name in record.scores}
    assert {"fid", "is", "kid", "precision", "recall", "density", "coverage", "modes_covered"} <= names
    fid = next(name for name in record.scores if name.startswith("fid@"))
    assert fid == f"fid@{record.extractor}"
    assert record.extractor.startswith("digits-cnn:")
    assert {"G", "D"} == set(record.parameters)
    assert min(record.parameters.values()) > 1000
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert rows[-1]["kimg"] == 0.96
    assert [fid in row for row in rows].count(True) == 2, "one look on the way, one at the end"
    pictures = sorted((folder / "samples").glob("*.png"))
    assert len(pictures) == 3
    assert size_of(pictures[-1]) == (402, 402)
    assert {type(event) for event in events} == {Progress, Picture, Judging}
    assert record.speed.train > 0
    assert record.speed.sample > 0
    assert record.environment.threads == 1


def test_the_same_run_gives_the_same_bits_and_scores(tmp_path) -> None:
    first, second = only_run(tmp_path / "a"), only_run(tmp_path / "b")
    one, _ = carry_out(first)
    other, _ = carry_out(second)
    assert one.scores == other.scores
    assert all(map(torch.equal, weights_in(Path(first.folder)), weights_in(Path(second.folder))))


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path) -> None:
    whole, broken = only_run(tmp_path / "a"), only_run(tmp_path / "b")
    expected, _ = carry_out(whole)
    stopped, _ = carry_out(broken, stop_after=3)
    assert stopped.status == "interrupted"
    assert 0 < stopped.cost.images < 960
    plan = plan_of(tmp_path / "b")
    assert broken.key in {job.key for job in plan.todo}
    resumed, events = carry_out(broken)
    assert resumed.status == "ok"
    assert sum(isinstance(event, Progress) for event in events) < 6, "it must not begin again"
    assert resumed.scores == expected.scores
    assert all(map(torch.equal, weights_in(Path(whole.folder)), weights_in(Path(broken.folder))))
    history = [json.loads(line)["step"] for line in Path(broken.folder, "history.jsonl").read_text().splitlines()]
    assert history == [
        json.loads(line)["step"] for line in Path(whole.folder, "history.jsonl").read_text().splitlines()
    ]


def test_cpu_seconds_stand_beside_seconds_and_survive_a_resumption(tmp_path) -> None:
    job = only_run(tmp_path)
    stopped, _ = carry_out(job, stop_after=3)
    resumed, _ = carry_out(job)
    rows = [json.loads(line) for line in Path(job.folder, "history.jsonl").read_text().splitlines()]
    spent = [row["cpu_seconds"] for row in rows]
    assert spent == sorted(spent)
    assert 0 < stopped.cost.train_cpu_seconds < resumed.cost.train_cpu_seconds == spent[-1]
    assert stopped.cost.train_cpu_seconds in spent, "what was spent before the interruption counts"
    rates = [row["images_per_cpu_second"] for row in rows[2:]]
    assert resumed.speed.train_cpu == pytest.approx(statistics.median(rates), abs=0.1)
    assert [look.cpu_seconds in spent for look in resumed.curve] == [True] * len(resumed.curve)


def test_what_kept_the_machine_busy_is_recorded_over_both_parts_of_a_resumed_run(tmp_path, monkeypatch) -> None:
    readings = (Load(wall=t, ticks=10 * t, stolen=t, waiting=t / 2) for t in itertools.count(1.0))
    monkeypatch.setattr(Load, "now", lambda: next(readings))
    monkeypatch.setattr(recording, "load_average", lambda: 1.5)
    job = only_run(tmp_path)
    carry_out(job, stop_after=3)
    resumed, _ = carry_out(job)
    assert resumed.company == Company(load=1.5, steal=0.1, pressure=0.5)
    kept = Recording(Path(job.folder), torch.device("cpu"), alone=True)
    kept.spend(Window(1, 32, 2.0, 1.5, 32, {}))
    with kept.watched():
        pass
    again = Recording(Path(job.folder), torch.device("cpu"), alone=True)
    again.restore(kept.state())
    assert again.cost(32) == kept.cost(32)
    assert again.company() == kept.company() != Company()


def test_looking_more_often_leaves_the_weights_bit_identical(tmp_path) -> None:
    job = only_run(tmp_path / "a")
    often = replace(job.protocol, evaluation=replace(job.protocol.evaluation, checks=6))
    watched = replace(job, protocol=often, folder=str(tmp_path / "b"))
    carry_out(job)
    carry_out(watched)
    assert len(list(Path(watched.folder, "samples").iterdir())) > len(list(Path(job.folder, "samples").iterdir()))
    assert all(map(torch.equal, weights_in(Path(job.folder)), weights_in(Path(watched.folder))))


def test_an_interrupted_run_of_other_settings_is_not_gone_on_with(tmp_path) -> None:
    job = only_run(tmp_path)
    carry_out(job, stop_after=3)
    other = replace(job, recipe_changes={"lr": 0.1}, changes={"lr": "0.1"})
    with pytest.warns(GanbenchWarning, match="begins anew: since its checkpoint at .* kimg, the settings changed"):
        record, events = carry_out(other)
    assert record.cost.images == 960
    assert sum(isinstance(event, Progress) for event in events) == 6


def test_a_finished_run_is_not_repeated_unless_forced_or_its_code_changed(tmp_path) -> None:
    job = only_run(tmp_path)
    record, _ = carry_out(job)
    assert job.key in {j.key for j in plan_of(tmp_path).finished}
    assert job.key in {j.key for j in plan_of(tmp_path, force=True).todo}
    edited = msgspec.structs.replace(record, loss=msgspec.structs.replace(record.loss, source="0" * 12))
    write(edited, job.record_file)
    assert job.key in {j.key for j in plan_of(tmp_path).changed}


def test_a_finished_run_of_an_older_record_format_stands_and_that_is_said(tmp_path) -> None:
    job = only_run(tmp_path)
    record, _ = carry_out(job)
    old = replace(record, format=FORMAT - 1, loss=replace(record.loss, source="0" * 12))
    write(old, job.record_file)
    plan = plan_of(tmp_path)
    assert (job.key in {j.key for j in plan.finished}, plan.changed) == (True, [])
    version = record.environment.ganbench
    assert plan.older == {version: 1}
    console = Console(file=StringIO(), width=200)
    with PlainDisplay(console, plan):
        pass
    assert f"; 1 made by ganbench {version} are kept as results of that version" in console.file.getvalue()
    assert carry_out(job) == (old, []), "nothing is trained"
    write(replace(old, format=FORMAT), job.record_file)
    assert carry_out(job)[1] != [], "hashes of this format do compare"


def test_a_doubt_is_said_before_training_begins(tmp_path) -> None:
    job = only_run(tmp_path)
    hopeless = replace(job.protocol, evaluation=replace(job.protocol.evaluation, target=1e-9))
    events = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", Doubt)
        with pytest.raises(Doubt, match="the target fid 1e-09 is out of reach: real data score"):
            running.carry_out(replace(job, protocol=hopeless), events.append)
    assert (events, Path(job.folder).exists()) == ([], False)


def test_runs_under_other_rules_of_the_same_name_are_not_overwritten(tmp_path) -> None:
    job = only_run(tmp_path)
    record, _ = carry_out(job)
    rules = replace(job.protocol, training=replace(job.protocol.training, batch=16))
    with pytest.raises(ProtocolError, match="holds a run of 'smoke-v1' under other rules"):
        plan_of(tmp_path, "dcgan", "wgan-gp", rules)
    assert read(job.record_file) == record


def test_force_keeps_the_record_of_the_last_time_until_the_new_one_is_finished(tmp_path) -> None:
    record, _ = carry_out(only_run(tmp_path))
    again = only_run(tmp_path, force=True)
    stopped, _ = carry_out(again, stop_after=2)
    assert stopped.status == "interrupted"
    assert read(again.record_file) == record
    finished, events = carry_out(again)
    assert finished.bits == record.bits
    assert sum(isinstance(event, Progress) for event in events) == 6
    assert read(again.record_file) == finished


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
    assert [bool(job.yardstick) for job in plan.queue(1)] == [True] * count + [False]
    assert [bool(job.yardstick) for job in plan.queue(2)] == [False] + [True] * count
    assert {job.key for job in plan.queue(2)} == {job.key for job in plan.todo}


SMOKE = load_protocol("smoke-v1")
WITH_ALL_YARDSTICKS = replace(SMOKE, evaluation=replace(SMOKE.evaluation, yardsticks=tuple(YARDSTICKS)))


@pytest.mark.parametrize("name", YARDSTICKS)
def test_every_yardstick_leaves_a_record(name, tmp_path) -> None:
    job = next(job for job in plan_of(tmp_path, "mlp", "hinge", WITH_ALL_YARDSTICKS).jobs if job.yardstick == name)
    record, _ = carry_out(job)
    assert read(job.record_file) == record
    assert record.entry == name


def test_yardsticks_are_in_the_order_that_gives_the_scores_their_meaning(tmp_path) -> None:
    fids = {}
    for job in plan_of(tmp_path, "mlp", "hinge", WITH_ALL_YARDSTICKS).jobs:
        if job.yardstick:
            record, _ = carry_out(job)
            fids[record.entry] = next(value for title, value in record.scores.items() if title.startswith("fid@"))
    real, gaussian, one_class, noise = (fids[name] for name in ("real data", "gaussian fit", "one class", "noise"))
    assert max(real, fids["training data"]) < fids["class gaussians"] < gaussian < min(one_class, noise)


# -- through the command line ----------------------------------------------------------------------------------------


def test_the_whole_pipeline_runs_and_finished_runs_are_not_repeated(ganbench_command, ganbench_here, tmp_path) -> None:
    arguments = ("run", "--arch", "dcgan,mlp", "--loss", "hinge", "--protocol", "smoke-v1", "--jobs", "2")
    first = ganbench_command(*arguments)
    assert first.returncode == 0, first.stderr
    for word in ("dcgan", "mlp", "hinge", "real data", "gaussian fit", "one class", "noise", "fid", "1/1"):
        assert word in first.stdout
    record = tmp_path / "runs/smoke-v1/dcgan+hinge/seed0/record.json"
    written = record.stat().st_mtime_ns
    again = ganbench_command(*arguments)
    assert again.returncode == 0
    assert "2 already finished" in again.stdout
    assert record.stat().st_mtime_ns == written
    table = ganbench_here("leaderboard", "smoke-v1")
    assert table.returncode == 0
    assert "mlp" in table.stdout
    shown = ganbench_here("show", "runs/smoke-v1/dcgan+hinge/seed0")
    assert "digits-cnn:" in shown.stdout
    assert "spectral" in shown.stdout
    drawn = ganbench_here("sample", "runs/smoke-v1/dcgan+hinge/seed0", "-n", "9", "--out", "grid.png")
    assert drawn.returncode == 0, drawn.stderr
    assert size_of(tmp_path / "grid.png") == (152, 152)
    published = ganbench_here("leaderboard", "smoke-v1", "--write")
    assert published.returncode == 0, published.stderr
    assert (tmp_path / "leaderboards/smoke-v1/README.md").exists()
    assert len(list((tmp_path / "leaderboards/smoke-v1/records").iterdir())) == 6


def test_one_job_at_a_time_and_two_give_the_same_bits(ganbench_command, quick, tmp_path) -> None:
    arguments = ("run", "--arch", "dcgan", "--loss", "wgan-gp,r1", "--protocol", quick, "-q")
    for jobs, out in (("1", "one"), ("2", "two")):
        result = ganbench_command(*arguments, "--jobs", jobs, "--out", out)
        assert result.returncode == 0, result.stderr
    for loss in ("wgan-gp", "r1"):
        one, two = (tmp_path / out / f"quick-v1/dcgan+{loss}/seed0" for out in ("one", "two"))
        assert all(map(torch.equal, weights_in(one), weights_in(two)))
        assert read(one / "record.json").scores == read(two / "record.json").scores


def test_json_is_all_that_stands_on_standard_output(ganbench_command, quick) -> None:
    result = ganbench_command("run", "--arch", "mlp", "--loss", "lsgan", "--protocol", quick, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)


def test_ctrl_c_leaves_an_interrupted_record_and_the_same_command_goes_on(patience, quick, tmp_path) -> None:
    attentive = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    attentive += "runpy.run_module('ganbench', run_name='__main__')"  # a background job would ignore Ctrl-C
    command = ("-c", attentive, "run", "--arch", "mlp", "--loss", "patient", "--protocol", quick)
    process = patience.start(*command)
    said = patience.interrupted(process)
    folder = tmp_path / "runs/quick-v1/mlp+patient/seed0"
    assert process.returncode == 130, said
    assert "resumes from the last checkpoint" in said
    assert "Traceback" not in said
    assert read(folder / "record.json").status == "interrupted"
    first = (folder / "history.jsonl").read_text().splitlines()[0]
    process = patience.start(*command)
    said = process.communicate()[0]
    assert process.returncode == 0, said
    assert "seed 0: resumes at" in said
    assert read(folder / "record.json").status == "ok"
    assert (folder / "history.jsonl").read_text().splitlines()[0] == first, "the first window was not trained again"


CRASHING = """
    from ganbench import hookimpl
    class Crashing:
        def d_loss(self, D, real, fake): raise KeyError("lost")
        def g_loss(self, D, real, fake): return -D(fake).mean()
    @hookimpl
    def ganbench_loss(): return Crashing()
"""


def test_a_plugin_that_crashes_gives_exit_code_1_and_the_place_where_it_happened(
    ganbench_command, install, quick, tmp_path
) -> None:
    install("third-party", "loss", "crashing", CRASHING)
    done = ganbench_command("run", "--arch", "mlp", "--loss", "crashing", "--protocol", quick, "-q")
    assert done.returncode == 1
    (file,) = tmp_path.glob("runs/quick-v1/mlp+crashing/seed0/error.txt")
    assert "the traceback is in runs/quick-v1/mlp+crashing/seed0/error.txt" in done.stdout
    assert 'raise KeyError("lost")' in file.read_text()


DYING = CRASHING.replace('raise KeyError("lost")', "__import__('os').abort()")


def test_a_worker_that_dies_gives_exit_code_1_and_the_name_of_its_run(ganbench_command, install, quick) -> None:
    install("third-party", "loss", "dying", DYING)
    done = ganbench_command("run", "--arch", "mlp", "--loss", "dying,lsgan", "--protocol", quick, "-q")
    assert done.returncode == 1
    said = (
        "error: mlp+dying, seed 0: the worker process died: killed by SIGABRT; `ganbench plugins --check` may say why"
    )
    assert said in done.stdout
    assert "lsgan" in done.stdout, "the other run went on"


BAD_INPUT = {
    "unknown arch": (["run", "--arch", "dcgann", "--loss", "hinge"], "did you mean 'dcgan'"),
    "unknown loss": (["run", "--arch", "dcgan", "--loss", "hing"], "did you mean 'hinge'"),
    "unknown protocol": (["run", "--arch", "dcgan", "--loss", "hinge", "--protocol", "digit-16-v1"], "did you mean"),
    "no loss": (["run", "--arch", "dcgan"], "no --loss given"),
    "negative seed": (["run", "--arch", "dcgan", "--loss", "hinge", "--seed", "-1"], "--seed -1"),
    "seed of letters": (["run", "--arch", "dcgan", "--loss", "hinge", "--seed", "x"], "--seed x"),
    "unknown setting": (["run", "--arch", "dcgan", "--loss", "hinge", "--set", "lrr=1"], "--set lrr"),
    "missing protocol file": (["run", "--arch", "dcgan", "--loss", "hinge", "--protocol", "no.toml"], "no.toml"),
    "unwritable out": (["run", "--arch", "dcgan", "--loss", "hinge", "--out", "/proc/nowhere"], "cannot write to"),
    "no cuda": (
        ["run", "--arch", "dcgan", "--loss", "hinge", "--protocol", "quick.toml", "--device", "cuda:7"],
        "cuda:7",
    ),
    "no such device": (["run", "--arch", "dcgan", "--loss", "hinge", "--device", "cuda:x"], "no device 'cuda:x'"),
    "an empty name": (["run", "--arch", "", "--loss", "hinge"], "no --arch given"),
    "all and a typo": (["run", "--arch", "all,dcgann", "--loss", "hinge"], "did you mean 'dcgan'"),
    "a setting beyond numbers": (["run", "--arch", "mlp", "--loss", "hinge", "--set", "lr=inf"], "a finite number"),
    "a setting that is no number": (
        ["run", "--arch", "mlp", "--loss", "wgan-gp", "--protocol", "quick.toml", "--set", "loss.weight=abc"],
        "expected a number",
    ),
    "unfit arch": (["run", "--arch", "dcgan", "--loss", "hinge", "--protocol", "ring-v1"], "needs 2-D images"),
    "unknown loss field": (
        ["run", "--arch", "mlp", "--loss", "hinge", "--protocol", "quick.toml", "--set", "loss.x=1"],
        "has no setting 'x'",
    ),
    "nothing to show": (["show", "nowhere"], "nowhere does not exist"),
    "nothing to sample": (["sample", "nowhere"], "nowhere does not exist"),
    "unknown kind": (["plugins", "archs"], "no kind, component or package called 'archs' - did you mean 'arch'?"),
    "no records": (["leaderboard", "smoke-v1"], "no records of smoke-v1"),
    "unknown leaderboard": (["leaderboard", "nope"], "no protocol called 'nope'"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_sentence_and_exit_code_2(case, ganbench_here, quick) -> None:
    arguments, said = BAD_INPUT[case]
    result = ganbench_here(*arguments)
    assert result.returncode == 2, result.stdout + result.stderr
    assert said in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr + result.stdout


def test_a_full_disk_is_said_and_costs_no_result(ganbench_command, quick, tmp_path) -> None:
    arguments = ("run", "--arch", "mlp", "--loss", "lsgan", "--protocol", quick, "-q")
    limited = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)); "
    code = limited + "sys.argv[0] = 'ganbench'; runpy.run_module('ganbench', run_name='__main__')"
    full = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert full.returncode == 2, full.stdout + full.stderr
    assert "cannot write" in full.stderr
    assert "checkpoint.pt" in full.stderr.replace("\n", "")
    assert "Traceback" not in full.stderr
    folder = tmp_path / "runs/quick-v1/mlp+lsgan/seed0"
    assert read(folder / "record.json").status == "interrupted"
    assert not list(folder.glob(".*tmp"))
    assert ganbench_command(*arguments).returncode == 0
    assert read(folder / "record.json").status == "ok"


def test_debug_shows_the_traceback(ganbench_command) -> None:
    result = ganbench_command("run", "--arch", "dcgann", "--loss", "hinge", "--debug")
    assert "Traceback" in result.stderr


def test_a_corrupt_record_is_named_and_the_good_ones_are_shown(ganbench_here, tmp_path) -> None:
    carry_out(only_run(tmp_path, arch="mlp", loss="lsgan"))
    bad = tmp_path / "runs/smoke-v1/mlp+hinge/seed0/record.json"
    bad.parent.mkdir(parents=True)
    bad.write_text('{"format": 1, "status"')
    result = ganbench_here("leaderboard", "smoke-v1")
    assert result.returncode == 2
    assert "lsgan" in result.stdout
    assert "mlp+hinge/seed0/record.json is not a readable record" in result.stderr.replace("\n", "")
    assert ganbench_here("leaderboard", "smoke-v1", "--write").returncode == 2
    assert not (tmp_path / "leaderboards").exists()


THIRD_PARTY = '''
    """A loss of another package."""
    from ganbench import hookimpl
    class Mine:
        def d_loss(self, D, real, fake):
            return (D(real) - 1).square().mean() + D(fake).square().mean()
        def g_loss(self, D, real, fake):
            return (D(fake) - 1).square().mean()
    @hookimpl
    def ganbench_loss():
        return Mine()
'''
TWO_SEEDS = """
    name = "two-v1"
    dataset = "digits"
    resolution = 16
    seeds = [0, 1]
    [training]
    budget_kimg = 0.064
    width = 8
    [evaluation]
    samples = 60
    metrics = ["fid"]
    headline = "fid"
    extractor = "digits-cnn"
    yardsticks = []
"""


def test_a_plugin_edited_under_its_old_version_has_no_rank_beside_its_published_row(
    ganbench_command, install, site, tmp_path
) -> None:
    install("third-party", "loss", "mine", THIRD_PARTY, module="mine")
    (tmp_path / "two.toml").write_text(textwrap.dedent(TWO_SEEDS))
    run = ("run", "--arch", "mlp", "--loss", "mine", "--protocol", "two.toml", "-q")
    assert "edited" not in ganbench_command(*run).stdout
    assert ganbench_command("leaderboard", "two.toml", "--write").returncode == 0
    source = (site / "mine.py").read_text()
    (site / "mine.py").write_text(source.replace("- 1", "- 2"))
    again = ganbench_command(*run)
    assert again.returncode == 0, again.stderr
    assert "the loss mine (third-party 1.0) was edited without a new version" in " ".join(again.stdout.split())
    table = json.loads(ganbench_command("leaderboard", "two.toml", "--format", "json").stdout)
    kinds = {(row["kind"], row["here"], row["rank"] is None) for row in table["rows"] if not row["yardstick"]}
    assert {("edited", True, True)} < kinds
    assert {(kind, here) for kind, here, _ in kinds} == {("edited", True), ("entry", False)}
    (site / "mine.py").unlink()
    (site / "third_party-1.0.dist-info/entry_points.txt").unlink()
    without = ganbench_command("leaderboard", "two.toml", "--format", "json")
    assert len(json.loads(without.stdout)["rows"]) == len(table["rows"]), "records outlive their plugin"
