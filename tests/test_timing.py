"""Timing rows: which rounds count, what is written, and that nothing is written when the machine is not idle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import toy
from commands import command_here
from msgspec.structs import replace
from running import job_in

from ganbench import plugins
from ganbench.cli import time as command
from ganbench.contracts.protocol_file import read_toml
from ganbench.device import load
from ganbench.device.load import Load
from ganbench.errors import GanbenchError, RecordError
from ganbench.records.record import Component
from ganbench.records.store import write
from ganbench.records.timing import Round, Timing, read_timing, read_timings, write_timing
from ganbench.runs import timing
from ganbench.runs.rounds import Deviation, Unsteady, deviations, unsteady
from ganbench.runs.setup import component_of
from ganbench.runs.stopwatch import Facts, by_device
from ganbench.runs.timing import Timed, time_rows

STEADY = Round(step_ms=10.0, step_cpu_ms=10.0, samples_per_second=5000.0, product_ms=2.5, steal=0.0, pressure=0.0)
NOISY_HERE = 1e9
"""A tolerance for what is tested on a machine that does other things as well."""
TIMING = toy.timing(
    "dcgan+wgan-gp", 3200.0, tricks=(Component("pacgan:2", "ganbench", "0.2.0", "t1"),), rounds=(STEADY, STEADY)
)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch) -> None:
    """Nothing waits for a disturbance to pass."""
    monkeypatch.setattr(timing, "PASS_SECONDS", 0.0)


def off(*rounds: Round, on_cpu: bool = True, others: Sequence[Round] = ()) -> list[bool]:
    """Which rounds of a row are off by more than 5 %."""
    found = deviations({"row": rounds, "others": others}, 0.05, on_cpu=on_cpu)
    return [one.off(0.05) for one in found["row"]]


# -- judging rounds ----------------------------------------------------------------------------------------------------


def test_steady_rounds_all_count() -> None:
    assert off(STEADY, replace(STEADY, step_ms=10.4), replace(STEADY, product_ms=2.6)) == [False] * 3


def test_a_round_beside_a_slow_product_is_off_even_if_its_own_step_is_not() -> None:
    assert off(STEADY, STEADY, replace(STEADY, product_ms=2.7)) == [False, False, True]


def test_a_round_beside_a_fast_product_is_off_too() -> None:
    assert off(STEADY, STEADY, replace(STEADY, product_ms=2.3)) == [False, False, True]


def test_the_median_product_is_that_of_all_rows() -> None:
    slow = replace(STEADY, product_ms=4.0)
    assert off(slow, slow, others=[STEADY] * 3) == [True, True]


def test_a_round_whose_step_is_far_from_its_rows_median_is_off() -> None:
    slow = replace(STEADY, step_ms=10.6, step_cpu_ms=10.6)
    assert off(STEADY, STEADY, slow, others=[slow] * 9) == [False, False, True]


def test_a_step_is_compared_with_rounds_that_nothing_disturbed() -> None:
    disturbed = replace(STEADY, step_ms=15.0, step_cpu_ms=15.0, product_ms=3.5)
    others = [STEADY] * 5
    assert off(STEADY, STEADY, disturbed, disturbed, disturbed, others=others) == [False, False, True, True, True]


def test_a_process_that_waited_for_a_core_is_off_although_every_round_did() -> None:
    waited = replace(STEADY, step_cpu_ms=9.0)
    assert off(waited, waited, waited) == [True] * 3
    assert off(waited, waited, waited, on_cpu=False) == [False] * 3


def test_a_gpu_may_have_another_clock_in_each_row() -> None:
    light, heavy = replace(STEADY, clock_mhz=1980.0), replace(STEADY, clock_mhz=1500.0)
    found = deviations({"light": [light] * 3, "heavy": [heavy] * 3}, 0.05, on_cpu=False)
    assert not any(far.off(0.05) for row in found.values() for far in row)


def test_a_gpu_whose_clock_fell_is_off() -> None:
    fast, slow = replace(STEADY, clock_mhz=1755.0), replace(STEADY, clock_mhz=1600.0)
    assert off(fast, fast, slow, on_cpu=False) == [False, False, True]
    assert off(fast, fast, STEADY, on_cpu=False) == [False] * 3, "a clock that is not known"


def test_on_a_gpu_a_stretch_is_timed_by_its_own_events(monkeypatch) -> None:
    said: list[str] = []

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            said.append("record")

        def synchronize(self) -> None:
            said.append("wait")

        def elapsed_time(self, other: object) -> float:
            return 12.5  # milliseconds

    monkeypatch.setattr(torch.cuda, "Event", Event)
    with by_device(torch.device("cuda")) as stretch:
        said.append("work")
    assert (said, stretch.seconds) == (["record", "work", "record", "wait"], 0.0125)
    with by_device(torch.device("cpu")) as stretch:
        pass
    assert stretch.seconds == 0


def test_the_error_says_how_many_rounds_were_off_by_how_much_and_what_helps() -> None:
    error = unsteady("dcgan+hinge", [Deviation(0, 0, 0), Deviation(0.31, -0.4, 0)], 0.05, 2)
    assert error.message == (
        "1 of 2 rounds of dcgan+hinge were off by more than 5% (its matrix product by up to 31% and its step by up to "
        "40%), so fewer than 2 are left and nothing was written"
    )
    assert "stop other work on this machine" in error.hint
    assert "--rounds" in error.hint


# -- a session with rows that play a script ----------------------------------------------------------------------------


class Scripted:
    """In place of a row's process: answers with the rounds of a script, the last of them for ever."""

    script: dict[str, list[Round]]
    asked: list[str]

    def __init__(self, job) -> None:
        self.job, self.row = job, f"{job.arch.partition(':')[2]}+{job.loss.partition(':')[2]}"
        self.rounds: list[Round] = []
        self.on_cpu, self.facts, self.refusal = True, None, None

    def begin(self) -> None: ...

    def ask(self, question: str) -> None:
        self.asked.append(f"{question} {self.row}")
        if question == "round":
            script = self.script[self.row]
            self.rounds.append(script[min(len(self.rounds), len(script) - 1)])
            return
        part = Component("p", "ganbench", "0", "s")
        self.facts = Facts(part, part, (), toy.CPU, True, 32, 1e6, 2e6, 1e11, 300.0, "eager")

    def end(self) -> None: ...


@pytest.fixture
def scripted(monkeypatch) -> type[Scripted]:
    """Rows play ``script``; ``asked`` lists what they were asked for."""
    Scripted.script, Scripted.asked = {}, []
    monkeypatch.setattr(timing, "_Worker", Scripted)
    return Scripted


def jobs_of(folder: Path, *rows: str):
    """A job for each row, such as ``mlp+hinge``."""
    (folder / "quick.toml").write_text(toy.QUICK)
    rules = read_toml(folder / "quick.toml")
    jobs = []
    for row in rows:
        jobs.append(job_in(folder / "runs", *row.split("+"), rules))
    return jobs


def test_rows_take_turns_and_each_is_first_as_often(scripted, tmp_path) -> None:
    scripted.script = {"mlp+hinge": [STEADY], "dcgan+r1": [STEADY]}
    time_rows(jobs_of(tmp_path, "mlp+hinge", "dcgan+r1"), 2, lambda line: None)
    one, other = "round mlp+hinge", "round dcgan+r1"
    assert scripted.asked[:4] == [one, other, other, one]


def test_a_round_that_is_off_is_repeated_and_only_by_its_row(scripted, tmp_path) -> None:
    slow = replace(STEADY, product_ms=5.0, step_ms=20.0, step_cpu_ms=20.0)
    scripted.script = {"mlp+hinge": [STEADY, slow, STEADY], "dcgan+r1": [STEADY]}
    timed = time_rows(jobs_of(tmp_path, "mlp+hinge", "dcgan+r1"), 3, lambda line: None)
    assert [scripted.asked.count(f"round {row}") for row in ("mlp+hinge", "dcgan+r1")] == [4, 3]
    assert [(len(one.rounds), one.repeated) for one in timed.timings] == [(3, 1), (3, 0)]
    assert len({one.started for one in timed.timings}) == 1, "rows of one session are known by its beginning"
    assert slow not in timed.timings[0].rounds


def test_what_is_published_is_the_median_of_good_rounds(scripted, tmp_path) -> None:
    steps = [10.0, 10.2, 9.8, 10.4, 40.0]
    scripted.script = {"mlp+hinge": [replace(STEADY, step_ms=step, step_cpu_ms=step) for step in (*steps, 10.0)]}
    (one,) = time_rows(jobs_of(tmp_path, "mlp+hinge"), 5, lambda line: None).timings
    assert one.step_ms == 10.0
    assert one.train == one.train_cpu == 32_000 / 10.0
    assert 0 < one.train_iqr < 150
    assert one.peak_share == round(3e6 * one.train / 1e11, 4)


def test_a_round_of_few_rows_is_followed_by_a_pause_but_not_the_last(scripted, monkeypatch, tmp_path) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(timing, "PASS_SECONDS", 3600.0)
    monkeypatch.setattr(timing.time, "sleep", pauses.append)
    scripted.script = {"mlp+hinge": [STEADY]}
    time_rows(jobs_of(tmp_path, "mlp+hinge"), 3, lambda line: None)
    assert [pause > 3000 for pause in pauses] == [True, True]


def test_a_machine_that_stays_busy_ends_the_session_after_three_times_the_rounds(scripted, tmp_path) -> None:
    scripted.script = {"mlp+hinge": [replace(STEADY, step_cpu_ms=5.0)], "dcgan+r1": [STEADY]}
    with pytest.raises(Unsteady, match="6 of 6 rounds of mlp"):
        time_rows(jobs_of(tmp_path, "mlp+hinge", "dcgan+r1"), 2, lambda line: None)
    assert scripted.asked.count("round dcgan+r1") == 2


def test_on_a_busy_machine_the_command_writes_nothing_and_its_exit_code_is_one(
    scripted, ganbench_here, quick, tmp_path
) -> None:
    scripted.script = {"mlp+hinge": [replace(STEADY, step_cpu_ms=5.0)]}
    ran = ganbench_here("time", quick, "--arch", "mlp", "--loss", "hinge", "--rounds", "2")
    assert ran.returncode == 1
    assert "error: 6 of 6 rounds of mlp+hinge were off by more than 5%" in ran.stderr
    assert not list(tmp_path.rglob("timings"))


def test_after_ctrl_c_nothing_is_written_and_the_exit_code_is_130(
    scripted, monkeypatch, ganbench_here, quick, tmp_path
) -> None:
    ended = []
    monkeypatch.setattr(scripted, "ask", lambda self, question: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(scripted, "end", lambda self: ended.append(self.row))
    ran = ganbench_here("time", quick, "--arch", "mlp,dcgan", "--loss", "hinge")
    assert ran.returncode == 130
    assert "nothing was written" in ran.stdout
    assert ended == ["mlp+hinge", "dcgan+hinge"]
    assert not list(tmp_path.rglob("timings"))


# -- the command with real processes -----------------------------------------------------------------------------------


@pytest.fixture
def tolerant(monkeypatch) -> None:
    """The command takes every round for a good one."""
    monkeypatch.setattr(command, "time_rows", partial(time_rows, tolerance=NOISY_HERE))


class Both(NamedTuple):
    """Two rows that one command timed, in a folder."""

    folder: Path
    printed: str
    rows: list[Timing]


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Both:
    folder = tmp_path_factory.mktemp("timed")
    (folder / "quick.toml").write_text(toy.QUICK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "time_rows", partial(time_rows, tolerance=NOISY_HERE))
        arguments = ("--arch", "mlp", "--loss", "hinge,wgan-gp", "--rounds", "2", "--device", "cpu")
        ran = command_here(folder)("time", "quick.toml", *arguments)
    assert ran.returncode == 0, ran.stderr
    rows, errors = read_timings((folder / "runs" / "quick-v1" / "timings").glob("*.json"))
    assert errors == []
    return Both(folder, ran.stdout, rows)


def test_the_command_writes_a_sealed_file_for_each_row_and_says_where(both) -> None:
    assert [one.entry for one in both.rows] == ["mlp+hinge", "mlp+wgan-gp"]
    assert all(one.entry in both.printed for one in both.rows)
    assert "timing records: runs/quick-v1/timings" in both.printed


def test_a_timing_holds_its_rounds_and_all_of_its_figures(both) -> None:
    for one in both.rows:
        assert len(one.rounds) == 2
        assert min(one.train, one.train_cpu, one.sample, one.d_flops, one.g_flops, one.peak_share) > 0


def test_a_timing_says_of_which_code_it_is_and_with_how_many_threads(both) -> None:
    for one in both.rows:
        assert one.arch == component_of(plugins.find("arch", "mlp"))
        assert one.environment.threads == 1
        assert one.environment.core.startswith("ast1:")


def test_a_penalty_costs_d_a_second_pass(both) -> None:
    assert both.rows[1].d_flops > both.rows[0].d_flops


def test_timing_a_row_trains_nothing(both) -> None:
    assert not (both.folder / "runs" / "quick-v1" / "mlp+hinge").exists()


@pytest.mark.slow
def test_as_json_the_command_prints_what_it_writes(tolerant, ganbench_here, quick, tmp_path) -> None:
    ran = ganbench_here("time", quick, "--arch", "mlp", "--loss", "hinge", "--rounds", "2", "--device", "cpu", "--json")
    assert ran.returncode == 0, ran.stderr
    (file,) = (tmp_path / "runs" / "quick-v1" / "timings").iterdir()
    (printed,) = json.loads(ran.stdout)["timings"]
    assert printed == {name: value for name, value in json.loads(file.read_text()).items() if name != "seal"}


@pytest.mark.slow
def test_a_row_that_does_not_fit_is_left_out_and_the_others_are_timed(tolerant, ganbench_here, quick, tmp_path) -> None:
    ran = ganbench_here("time", quick, "--arch", "mlp,wavegan", "--loss", "hinge", "--rounds", "2", "--device", "cpu")
    assert ran.returncode == 1
    assert "left out: wavegan+hinge: wavegan cannot play on digits" in ran.stdout
    assert [file.name.partition("+Some")[0][:9] for file in tmp_path.rglob("timings/*.json")] == ["mlp+hinge"]


def test_a_name_that_nothing_has_is_refused_before_anything_is_started(ganbench_here, quick) -> None:
    ran = ganbench_here("time", quick, "--arch", "dcgn", "--loss", "hinge")
    assert ran.returncode == 2
    assert "no arch called 'dcgn' - did you mean 'dcgan'?" in ran.stderr


def test_a_trick_without_an_arch_is_refused(ganbench_here, quick) -> None:
    ran = ganbench_here("time", quick, "--trick", "pacgan:2")
    assert ran.returncode == 2
    assert "no --arch given" in ran.stderr


def test_the_command_is_imported_without_anything_heavy() -> None:
    code = "import sys, ganbench.cli.time; sys.exit(not {'torch', 'numpy'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_process_that_dies_leaves_no_file(install_here, tmp_path) -> None:
    install_here("third-party", "loss", "deadly", toy.LOSS.replace("return -D(fake).mean()", "import os; os._exit(3)"))
    jobs = jobs_of(tmp_path, "mlp+deadly")
    with pytest.raises(GanbenchError, match="its process died while it was timed: exit code 3"):
        time_rows(jobs, 2, lambda line: None)


@pytest.mark.slow
def test_ctrl_c_ends_the_processes_of_all_rows(patience, quick, tmp_path) -> None:
    process = patience.start("-m", "ganbench", "time", quick, "--arch", "mlp", "--loss", "hinge,patient")
    patience.begin(process)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[0]  # ends when the last process has closed the pipe
    assert process.returncode == 130, said
    assert "nothing was written" in said
    assert not list(tmp_path.rglob("timings"))


# -- rows of a table ---------------------------------------------------------------------------------------------------


def record_in(folder: Path, rules, entry: str, **changed) -> None:
    """A record of the only seed of these rules, by plugins as they are installed (or not)."""
    arch, loss = entry.split("+")
    facts = {"arch": component_of(plugins.find("arch", "mlp")), "loss": component_of(plugins.find("loss", loss))}
    if arch != "mlp":
        facts["arch"] = Component(arch, "gone", "1.0", "g1")
    record = toy.make(entry, 0, protocol=rules.name, digest=rules.digest, **{**facts, **changed})
    write(record, folder / rules.name / record.entry.replace(" ", "+") / "seed0" / "record.json")


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The rows that the command wants to time; it gets a made-up timing for each."""
    found: list[str] = []

    def instead(jobs, rounds: int, say: Callable[[str], None]) -> Timed:
        found.extend(job.entry for job in jobs)
        return Timed([TIMING for _ in jobs])

    monkeypatch.setattr(command, "time_rows", instead)
    return found


def test_without_names_the_complete_rows_of_the_table_are_timed(asked, ganbench_here, quick, tmp_path) -> None:
    rules = read_toml(tmp_path / quick)
    for entry in ("mlp+hinge", "mlp+r1"):
        record_in(tmp_path / "runs", rules, entry)
    record_in(tmp_path / "runs", rules, "mlp+lsgan", changes={"lr": "0.1"})
    record_in(tmp_path / "runs", rules, "mlp+wgan-gp", status="interrupted")
    ran = ganbench_here("time", quick)
    assert ran.returncode == 0, ran.stderr
    assert sorted(asked) == ["mlp+hinge", "mlp+r1"]
    assert "custom, edited or incomplete rows are not timed: " in ran.stdout
    assert "mlp+lsgan lr=0.1" in ran.stdout


def test_a_row_whose_plugin_is_gone_is_named_and_the_others_are_timed(asked, ganbench_here, quick, tmp_path) -> None:
    rules = read_toml(tmp_path / quick)
    for entry in ("mlp+hinge", "sagan+hinge"):
        record_in(tmp_path / "runs", rules, entry)
    ran = ganbench_here("time", quick)
    assert ran.returncode == 1
    assert asked == ["mlp+hinge"]
    assert "left out: sagan+hinge: no arch 'sagan' from a package 'gone' is installed" in ran.stdout
    assert len(list(tmp_path.rglob("timings/*.json"))) == 1


def test_a_table_without_rows_says_how_to_name_what_to_time(ganbench_here, quick) -> None:
    ran = ganbench_here("time", quick)
    assert ran.returncode == 2
    assert "there are no complete rows of quick-v1 to time" in ran.stderr
    assert f"ganbench time {quick} --arch" in ran.stderr


# -- timing records ----------------------------------------------------------------------------------------------------


def test_a_timing_comes_back_as_it_was_written(tmp_path) -> None:
    write_timing(TIMING, tmp_path / TIMING.file_name)
    assert read_timing(tmp_path / TIMING.file_name) == TIMING


def test_a_timing_of_code_without_a_hash_is_not_written(tmp_path) -> None:
    file = tmp_path / "timing.json"
    with pytest.raises(RecordError, match=r"cannot write a timing: .* at `\$\.loss\.source`"):
        write_timing(replace(TIMING, loss=replace(TIMING.loss, source="")), file)
    assert not file.exists()


def test_a_timing_changed_by_hand_is_not_read(tmp_path) -> None:
    file = tmp_path / "timing.json"
    write_timing(TIMING, file)
    file.write_text(file.read_text().replace("3200.0", "4200.0"))
    with pytest.raises(RecordError, match="was changed after it was written"):
        read_timing(file)


def test_a_timing_of_a_newer_format_asks_for_an_upgrade(tmp_path) -> None:
    write_timing(replace(TIMING, format=99), tmp_path / "timing.json")
    with pytest.raises(RecordError, match="timing format 99"):
        read_timing(tmp_path / "timing.json")


def test_timings_that_cannot_be_read_are_named_beside_the_others(tmp_path) -> None:
    write_timing(TIMING, tmp_path / "a.json")
    (tmp_path / "b.json").write_text("{}")
    timings, errors = read_timings(tmp_path.glob("*.json"))
    assert timings == [TIMING]
    assert [str(tmp_path / "b.json") in error.message for error in errors] == [True]


def test_a_row_timed_again_on_the_machine_takes_the_place_of_its_file(tmp_path) -> None:
    again = replace(TIMING, train=3300.0, started="2026-02-01T00:00:00+00:00")
    timing.write_all([TIMING], tmp_path)
    folder = timing.write_all([again], tmp_path)
    assert folder == tmp_path / "toy-v1" / "timings"
    assert read_timings(folder.glob("*.json")) == ([again], [])


@pytest.mark.parametrize(
    "changed",
    [
        {"digest": "e"},
        {"loss": Component("wgan-gp", "ganbench", "0.2.0", "l2")},
        {"tricks": ()},
        {"environment": toy.GPU},
        {"environment": replace(toy.CPU, core="c1")},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_other_rules_code_or_machine_get_a_file_of_their_own(changed) -> None:
    assert replace(TIMING, **changed).file_name != TIMING.file_name


def test_a_files_name_shows_the_row_and_the_machine() -> None:
    assert TIMING.file_name.startswith("dcgan+wgan-gp+pacgan-2+Some-CPU-1-thread+")


# -- the machine's counters --------------------------------------------------------------------------------------------


@pytest.fixture
def counters(tmp_path, monkeypatch) -> Callable[[str, int], None]:
    """Write the files of a kernel: the line of all CPUs, and microseconds of waiting."""
    stat, pressure = tmp_path / "stat", tmp_path / "cpu"
    monkeypatch.setattr(load, "STAT", stat)
    monkeypatch.setattr(load, "PRESSURE", pressure)

    def count(ticks: str, waited: int) -> None:
        stat.write_text(f"cpu  {ticks}\ncpu0 1 2 3\n")
        pressure.write_text(f"some avg10=0.00 avg60=0.00 avg300=0.00 total={waited}\nfull avg10=0 total=0\n")

    return count


def test_stolen_time_is_a_share_of_all_cpu_time(counters) -> None:
    counters("100 0 50 800 0 0 0 10 7 7", 0)
    before = Load.now()
    counters("150 0 70 820 0 0 0 20 9 9", 0)
    assert Load.now().since(before).steal == pytest.approx(0.1)


def test_pressure_is_the_share_of_the_time_in_which_a_task_waited(counters) -> None:
    counters("1 1 1 1 1 1 1 1", 1_000_000)
    before = Load.now()
    counters("1 1 1 1 1 1 1 1", 3_000_000)
    now = Load.now()
    assert now.since(before).waiting == pytest.approx(2.0)
    assert Load(wall=8.0, waiting=2.0).pressure == 0.25


def test_a_system_without_counters_has_no_steal_and_no_pressure(tmp_path, monkeypatch) -> None:
    for name in ("STAT", "PRESSURE"):
        monkeypatch.setattr(load, name, tmp_path / "nothing")
    stretch = Load.now().since(Load.now())
    assert (stretch.steal, stretch.pressure) == (0.0, 0.0)


def test_two_stretches_together_have_the_mean_of_their_shares() -> None:
    both = Load(wall=1.0, waiting=1.0).plus(Load(wall=3.0, waiting=0.0))
    assert both.pressure == 0.25
