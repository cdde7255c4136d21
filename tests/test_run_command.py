"""``ganbench run``: grids, Ctrl-C, full disks, crashes, bad input, edited plugins, and what is printed of them."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import NamedTuple

import pytest
import torch
from commands import Command, command_here, command_in
from installing import add_package
from painted import size_of
from patience import patience_in
from running import carry_out, job_in, weights_in
from toy import QUICK

from ganbench.records.store import read


class Grid(NamedTuple):
    """A grid that was run by one command; further ones in its folder."""

    folder: Path
    arguments: tuple[str, ...]
    printed: CompletedProcess
    command: Command


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Grid:
    folder = tmp_path_factory.mktemp("grid")
    arguments = ("run", "--arch", "dcgan,mlp", "--loss", "hinge", "--protocol", "smoke-v1", "--jobs", "2")
    return Grid(folder, arguments, command_in(folder, folder)(*arguments), command_here(folder))


def test_a_grid_is_run_and_its_table_printed_with_yardsticks(grid) -> None:
    assert grid.printed.returncode == 0, grid.printed.stderr
    for word in ("dcgan", "mlp", "hinge", "real data", "gaussian fit", "one class", "noise", "fid", "1/1"):
        assert word in grid.printed.stdout


def test_finished_runs_are_not_repeated(grid) -> None:
    record = grid.folder / "runs/smoke-v1/dcgan+hinge/seed0/record.json"
    written = record.stat().st_mtime_ns
    again = grid.command(*grid.arguments)
    assert again.returncode == 0
    assert "2 already finished" in again.stdout
    assert record.stat().st_mtime_ns == written


def test_the_table_of_a_grid_can_be_shown_again(grid) -> None:
    table = grid.command("leaderboard", "smoke-v1")
    assert table.returncode == 0
    assert "mlp" in table.stdout


def test_a_run_of_a_grid_is_shown_with_its_extractor_and_normalisation(grid) -> None:
    shown = grid.command("show", "runs/smoke-v1/dcgan+hinge/seed0")
    assert "digits-cnn:" in shown.stdout
    assert "spectral" in shown.stdout


def test_samples_of_a_run_of_a_grid_are_drawn(grid) -> None:
    drawn = grid.command("sample", "runs/smoke-v1/dcgan+hinge/seed0", "-n", "9", "--out", "grid.png")
    assert drawn.returncode == 0, drawn.stderr
    assert size_of(grid.folder / "grid.png") == (152, 152)


def test_the_table_of_a_grid_is_published_with_its_records(grid) -> None:
    published = grid.command("leaderboard", "smoke-v1", "--write")
    assert published.returncode == 0, published.stderr
    assert (grid.folder / "leaderboards/smoke-v1/README.md").exists()
    assert len(list((grid.folder / "leaderboards/smoke-v1/records").iterdir())) == 6


@pytest.mark.slow
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


class Look(NamedTuple):
    """A run as a command left it."""

    code: int
    said: str
    status: str
    first: str  # line of its history


@pytest.fixture(scope="module")
def pressed(tmp_path_factory) -> tuple[Look, Look]:
    """Ctrl-C was pressed in the middle of a run, and the same command given again."""
    folder = tmp_path_factory.mktemp("pressed")
    (folder / "quick.toml").write_text(QUICK)
    attentive = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    attentive += "runpy.run_module('ganbench', run_name='__main__')"  # a background job would ignore Ctrl-C
    command = ("-c", attentive, "run", "--arch", "mlp", "--loss", "patient", "--protocol", "quick.toml")

    def look(process: Popen[str], said: str) -> Look:
        run = folder / "runs/quick-v1/mlp+patient/seed0"
        first = (run / "history.jsonl").read_text().splitlines()[0]
        return Look(process.returncode, said, read(run / "record.json").status, first)

    with patience_in(folder, folder) as patience:
        process = patience.start(*command)
        interrupted = look(process, patience.interrupted(process))
        process = patience.start(*command)
        return interrupted, look(process, process.communicate()[0])


def test_ctrl_c_leaves_an_interrupted_record_and_says_that_it_can_go_on(pressed) -> None:
    interrupted, _ = pressed
    assert interrupted.code == 130, interrupted.said
    assert "resumes from the last checkpoint" in interrupted.said
    assert "Traceback" not in interrupted.said
    assert interrupted.status == "interrupted"


def test_after_ctrl_c_the_same_command_goes_on(pressed) -> None:
    interrupted, resumed = pressed
    assert resumed.code == 0, resumed.said
    assert "seed 0: resumes at" in resumed.said
    assert resumed.status == "ok"
    assert resumed.first == interrupted.first, "the first window was not trained again"


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


DIVERGING = CRASHING.replace('raise KeyError("lost")', "return D(real).mean() * float('nan')")


def test_after_a_run_that_diverged_no_samples_of_it_are_offered(ganbench_command, install, quick) -> None:
    install("third-party", "loss", "diverging", DIVERGING)
    done = ganbench_command("run", "--arch", "mlp", "--loss", "diverging", "--protocol", quick)
    assert done.returncode == 0, "a result"
    assert "diverged" in done.stdout
    assert "next: ganbench leaderboard" in done.stdout
    assert "ganbench sample" not in done.stdout


def test_a_seed_that_tables_leave_out_is_noted(ganbench_command, quick) -> None:
    done = ganbench_command("run", "--arch", "mlp", "--loss", "lsgan", "--protocol", quick, "--seed", "7", "--dry-run")
    assert done.returncode == 0
    assert "note: tables of quick-v1 leave out seed 7; its own seeds are 0" in done.stdout


def test_protocols_without_a_command_lists_them(ganbench_command) -> None:
    bare = ganbench_command("protocols")
    assert bare.returncode == 0
    assert bare.stdout == ganbench_command("protocols", "list").stdout
    assert "digits-16-v2" in bare.stdout


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
    "an empty name": (["run", "--arch", "", "--loss", "hinge"], "the value of --arch is empty"),
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


class Full(NamedTuple):
    """What a command left that found the disk full, and what it was."""

    folder: Path
    arguments: tuple[str, ...]
    printed: CompletedProcess
    status: str
    temporary: list[Path]


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Full:
    folder = tmp_path_factory.mktemp("full")
    (folder / "quick.toml").write_text(QUICK)
    arguments = ("run", "--arch", "mlp", "--loss", "lsgan", "--protocol", "quick.toml", "-q")
    limited = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)); "
    code = limited + "sys.argv[0] = 'ganbench'; runpy.run_module('ganbench', run_name='__main__')"
    printed = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    run = folder / "runs/quick-v1/mlp+lsgan/seed0"
    return Full(folder, arguments, printed, read(run / "record.json").status, list(run.glob(".*tmp")))


def test_a_full_disk_is_said_in_a_sentence(full) -> None:
    assert full.printed.returncode == 2, full.printed.stdout + full.printed.stderr
    assert "cannot write" in full.printed.stderr
    assert "checkpoint.pt" in full.printed.stderr.replace("\n", "")
    assert "Traceback" not in full.printed.stderr


def test_a_full_disk_leaves_an_interrupted_record_and_no_half_file(full) -> None:
    assert (full.status, full.temporary) == ("interrupted", [])


def test_when_the_disk_has_space_again_the_same_command_goes_on(full) -> None:
    assert command_here(full.folder)(*full.arguments).returncode == 0
    assert read(full.folder / "runs/quick-v1/mlp+lsgan/seed0/record.json").status == "ok"


def test_debug_shows_the_traceback(ganbench_command) -> None:
    result = ganbench_command("run", "--arch", "dcgann", "--loss", "hinge", "--debug")
    assert "Traceback" in result.stderr


def test_a_corrupt_record_is_named_and_the_good_ones_are_shown(ganbench_here, tmp_path) -> None:
    carry_out(job_in(tmp_path / "runs", "mlp", "lsgan"))
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


class Edited(NamedTuple):
    """What was printed while a loss was run, its table published, the loss edited and run again, and uninstalled."""

    first: CompletedProcess
    published: CompletedProcess
    again: CompletedProcess
    rows: list[dict]
    without: list[dict]


@pytest.fixture(scope="module")
def edited(tmp_path_factory) -> Edited:
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("edited")
    command = command_in(folder, site)

    def rows() -> list[dict]:
        return json.loads(command("leaderboard", "two.toml", "--format", "json").stdout)["rows"]

    add_package(site, "third-party", "loss", "mine", THIRD_PARTY, module="mine")
    (folder / "two.toml").write_text(textwrap.dedent(TWO_SEEDS))
    run = ("run", "--arch", "mlp", "--loss", "mine", "--protocol", "two.toml", "-q")
    first = command(*run)
    published = command("leaderboard", "two.toml", "--write")
    (site / "mine.py").write_text((site / "mine.py").read_text().replace("- 1", "- 2"))
    again, found = command(*run), rows()
    (site / "mine.py").unlink()
    (site / "third_party-1.0.dist-info/entry_points.txt").unlink()
    return Edited(first, published, again, found, rows())


def test_a_plugin_edited_under_its_old_version_is_named(edited) -> None:
    assert edited.published.returncode == 0, edited.published.stderr
    assert "edited" not in edited.first.stdout
    assert edited.again.returncode == 0, edited.again.stderr
    said = " ".join(edited.again.stdout.split())
    assert "the loss mine (third-party 1.0) was edited without a new version" in said


def test_a_row_of_an_edited_plugin_has_no_rank_beside_its_published_row(edited) -> None:
    kinds = {(row["kind"], row["here"], row["rank"] is None) for row in edited.rows if not row["yardstick"]}
    assert {("edited", True, True)} < kinds
    assert {(kind, here) for kind, here, _ in kinds} == {("edited", True), ("entry", False)}


def test_records_outlive_their_plugin(edited) -> None:
    assert len(edited.without) == len(edited.rows) > 0
