"""The check that waits for a GPU (``benchmarks/gpu.sh``): its steps work on a CPU, as far as that goes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import gpu_steps
import graphs_against_eager as graphs
import msgspec
import pytest
from gpu_steps import Step, carry_out_all, steps_on
from gpu_wheels import missing
from graphs_against_eager import COMBINATIONS, PROTOCOLS, Comparison, Failure, compare_all, outcome_of
from runs_at_once import together
from test_against_textbook import Duel

from ganbench import plugins
from ganbench.plugins.protocols import load_protocol

BENCHMARKS = Path(gpu_steps.__file__).parent
SCRIPT = BENCHMARKS / "gpu.sh"


def ours(kind: str) -> set[str]:
    return {source.name for source in plugins.of_kind(kind) if source.package == "ganbench"}


@pytest.mark.parametrize("reader", [["bash", "-n"], ["shellcheck"]], ids=["bash", "shellcheck"])
def test_the_script_is_well_formed(reader) -> None:
    if not shutil.which(reader[0]):
        pytest.skip(f"there is no {reader[0]} here")
    assert subprocess.run([*reader, SCRIPT], capture_output=True, check=False).returncode == 0


# -- its steps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_file_that_a_step_names_is_there(device, tmp_path) -> None:
    steps = steps_on(device, tmp_path, tmp_path / "runs")
    named = [Path(word) for step in steps for word in step.command if word.endswith((".py", ".toml"))]
    assert len(named) >= 4
    assert [path for path in named if not path.is_file()] == []


def test_the_results_are_eight_files_at_most_and_every_published_table_is_timed(tmp_path) -> None:
    steps = steps_on("cuda", tmp_path, tmp_path / "runs")
    assert len({"summary.json", "log.txt", *(step.file for step in steps)} - {""}) <= 8
    names = [step.name for step in steps]
    assert len(set(names)) == len(names)
    tables = {path.parent.name for path in (BENCHMARKS.parents[1] / "leaderboards").glob("*/records")}
    assert {name.removeprefix("time-") for name in names if name.startswith("time-")} == tables


def python(name: str, code: str, seconds: int = 60, **more) -> Step:
    return Step(name, seconds, (sys.executable, "-c", code), **more)


def test_a_step_that_fails_or_hangs_stops_no_other_and_the_summary_tells(tmp_path) -> None:
    made = tmp_path / "made"
    late = f"""
import signal, time
signal.signal(signal.SIGTERM, lambda *_: exit(open({str(made)!r}, "w").write("so far")))
time.sleep(600)
"""
    steps = [
        python("fails", "print('why'); raise SystemExit(3)"),
        python("hangs", late, 3, file="made.json", made=made),
        python("prints", "print('{}')", file="printed.json", output=True),
    ]
    summary = carry_out_all(steps, tmp_path, "cpu")
    assert [(one.step, one.status) for one in summary.steps] == [
        ("fails", "failed"),
        ("hangs", "out of time"),
        ("prints", "passed"),
    ]
    assert summary.steps[0].tail == ["why"]
    assert (tmp_path / "made.json").read_text() == "so far"
    assert (tmp_path / "printed.json").read_text() == "{}\n"
    assert msgspec.json.decode((tmp_path / "summary.json").read_bytes(), type=gpu_steps.Summary) == summary


def test_without_time_left_no_step_begins(tmp_path) -> None:
    summary = carry_out_all([python("late", "raise SystemExit('begun')")], tmp_path, "cpu", total=1.0)
    assert [one.status for one in summary.steps] == ["not begun"]


# -- graphs against eager ----------------------------------------------------------------------------------------------


def test_every_baseline_arch_is_compared_with_every_baseline_loss() -> None:
    assert set(COMBINATIONS) == {(arch, loss) for arch in ours("arch") for loss in ours("loss")}
    assert len(COMBINATIONS) == len(set(COMBINATIONS))
    assert set(PROTOCOLS.values()) <= ours("protocol")


def test_recorded_and_plain_iterations_are_compared_and_timed() -> None:
    found = outcome_of("mlp", "hinge", "cpu")
    assert isinstance(found, Comparison)
    assert (found.mode, found.same_bits, found.good) == ("graph", True, True)
    assert found.graph_ms > 0
    assert found.eager_ms > 0


def test_other_bits_are_noticed(monkeypatch) -> None:
    seeds, build = iter([0, 1]), graphs.trainer_of

    def other(job, bench):
        return build(msgspec.structs.replace(job, seed=next(seeds)), bench)

    monkeypatch.setattr(graphs, "trainer_of", other)
    found = outcome_of("mlp", "hinge", "cpu")
    assert isinstance(found, Comparison)
    assert not found.good


def test_a_combination_that_is_not_meant_to_be_is_no_fault() -> None:
    found = outcome_of("r3gan", "hinge", "cpu")
    assert isinstance(found, Failure)
    assert found.unsupported
    assert found.good
    assert "spectral" in found.why


def test_the_report_is_written_after_each_combination_until_time_is_over() -> None:
    lefts = []
    compare_all([("mlp", "no such loss")] * 3, "cpu", 60.0, lambda report: lefts.append(report.left))
    assert lefts == [2, 1, 0]
    report = compare_all([("mlp", "hinge")], "cpu", 0.0, lambda report: lefts.append(report.left))
    assert (report.left, report.compared) == (1, [])
    assert not outcome_of("mlp", "no such loss", "cpu").good


# -- the others --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_several_runs_train_over_the_same_seconds() -> None:
    found = together("smoke-v1", 2, "cpu", 0.5)
    assert found.modes == ["eager", "eager"]
    assert min(found.rates) > 0
    assert found.total == pytest.approx(sum(found.rates), abs=0.2)


def test_the_textbook_loop_reaches_our_weights() -> None:
    duel = Duel("digits-16", "wgan-gp")
    for _ in range(2):
        duel.step_ours()
        duel.step_theirs()
    assert duel.apart() < 0.02


def test_the_wide_networks_are_those_of_a_valid_protocol() -> None:
    rules = load_protocol(str(BENCHMARKS / "wide.toml"))
    assert (rules.training.precision, rules.training.layout) == ("bf16", "channels-last")


def test_wheels_are_gathered_of_all_but_torch_and_what_the_machine_has() -> None:
    needed = missing([], "3.12")
    assert {"scipy", "typer", "msgspec", "pytest", "pytest-timeout", "pluggy"} <= needed
    assert not {"torch", "torchvision", "numpy", "pillow", "ganbench"} & needed
    assert missing(["scipy"], "3.12") == needed - {"scipy"}
