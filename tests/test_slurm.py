"""Jobs of SLURM: submitted once, followed through files, continued when their time is over. SLURM is imitated."""

from __future__ import annotations

import os
import signal
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import imitated_slurm
import pytest
from installing import add_package
from msgspec import json
from msgspec.structs import replace

from ganbench import Done, Places, Started, Unsupported, Warned
from ganbench.contracts.executor import Progress, Resumed
from ganbench.records.store import read
from ganbench.runs.executors.inline import InlineExecutor
from ganbench.testing import check_executor
from ganbench.testing.jobs import LONG, hear, record_of, small_job
from ganbench_baselines.executor import slurm, slurm_events, slurm_task
from ganbench_baselines.executor.slurm import SlurmExecutor, settings_of
from ganbench_baselines.executor.slurm_arrays import Entry, State, found, hash_of, home_of
from ganbench_baselines.executor.slurm_events import Reader, Writer
from ganbench_baselines.executor.slurm_task import Task

with_submitit = pytest.mark.slurm
TWO = Places(jobs=2, device="cpu")


# -- messages in files -------------------------------------------------------------------------------------------------


def test_messages_are_read_once_in_their_order(tmp_path) -> None:
    file, messages = tmp_path / "0.events", [Started("a"), Warned("be careful"), Done("a", "ok", "")]
    reader = Reader(file)
    assert reader.read() == []
    writer = Writer(file)
    for message in messages[:2]:
        writer.write(message)
    assert reader.read() == messages[:2]
    writer.write(messages[2])
    assert (reader.read(), reader.read()) == (messages[2:], [])


def test_half_a_message_is_left_unread_and_removed_by_the_next_attempt(tmp_path) -> None:
    file = tmp_path / "0.events"
    Writer(file).write(Started("a"))
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:-1])
    assert Reader(file).read() == [Started("a")]
    Writer(file).write(Done("a", "ok", ""))
    assert Reader(file).read() == [Started("a"), Done("a", "ok", "")]


# -- a task ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def task(tmp_path, monkeypatch) -> Task:
    """A task whose training lasts until it is asked to stop."""
    monkeypatch.setattr(slurm_task, "LOOK_SECONDS", 0.0)

    def perform(job, say, should_stop, threads) -> None:
        say(Started("a"))
        while not should_stop():
            time.sleep(0.01)
        say(Done("a", "interrupted", "stopped"))

    monkeypatch.setattr(slurm_task, "perform", perform)
    return Task(SimpleNamespace(key="a"), tmp_path / "0.events", tmp_path / "stop", 1)


def test_a_task_ends_once_the_stop_file_is_there(task) -> None:
    task.stop.touch()
    task()
    assert Reader(task.events).read() == [Started("a"), Done("a", "interrupted", "stopped")]


@with_submitit
def test_a_task_whose_time_is_over_is_queued_again_and_stays_one_job(task) -> None:
    again = []

    def time_is_over() -> None:
        while not Reader(task.events).read():
            time.sleep(0.01)
        again.append(task.checkpoint())

    asking = Thread(target=time_is_over)
    asking.start()
    task()
    asking.join()
    (submission,) = again
    submission.function.stop.touch()
    submission.function()
    assert Reader(task.events).read() == [Started("a"), Done("a", "interrupted", "stopped")]


@with_submitit
def test_a_task_that_is_over_already_does_not_go_back_into_the_queue(task) -> None:
    task.stop.touch()
    task()
    assert task.checkpoint() is None


# -- settings ----------------------------------------------------------------------------------------------------------


@with_submitit
def test_settings_have_submitits_names_with_or_without_the_prefix() -> None:
    asked = settings_of(
        "cluster=local, partition=gpu,slurm_account=007,gpus_per_node=2,mem_gb=1.5,exclusive=true", TWO, 3
    )
    assert asked.cluster == "local"
    assert asked.parameters == {
        "name": "ganbench",
        "cpus_per_task": 1,
        "slurm_array_parallelism": 3,
        "timeout_min": 60,
        "slurm_partition": "gpu",
        "slurm_account": "007",
        "gpus_per_node": 2,
        "mem_gb": 1.5,
        "slurm_exclusive": True,
    }
    assert "timeout_min" not in settings_of("cluster=local,time=30", TWO, 3).parameters


@with_submitit
@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("cluster=local,gpu", "'gpu' has no value"),
        ("cluster=moon", "there is no cluster 'moon'"),
        ("cluster=local,patrition=gpu", "sbatch has no setting 'patrition'"),
        ("cluster=local,time=1:30", "time=1:30 is no number of minutes"),
        ("partition=gpu", "this machine has no SLURM"),
    ],
)
def test_a_wrong_setting_is_named(argument, said, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unsupported, match=said):
        SlurmExecutor(argument, TWO)


@pytest.mark.skipif(find_spec("submitit") is not None, reason="submitit is installed")
def test_without_submitit_it_says_what_to_install() -> None:
    with pytest.raises(Unsupported) as caught:
        SlurmExecutor("cluster=local", TWO)
    assert caught.value.hint == "pip install 'ganbench[slurm]'"


# -- submitted by an earlier command -----------------------------------------------------------------------------------


def note(job, array: str, number: str, cluster: str = "local") -> Path:
    """The state that a command left, whose job has this number."""
    folder = home_of(job) / array
    folder.mkdir(parents=True)
    (folder / "array.json").write_bytes(json.encode(State(cluster, (Entry(number, hash_of(job)),))))
    return folder


@pytest.mark.slurm
def test_only_a_job_that_still_runs_is_found_by_the_next_command(tmp_path) -> None:
    job, other, third = (small_job(tmp_path, seed, elsewhere=True) for seed in range(3))
    note(job, "1", str(os.getpid()))
    ended = note(other, "2", str(os.getpid()))
    Writer(ended / "0.events").write(Done(other.key, "ok", ""))
    note(third, "3", str(2**22 + 1))
    assert [each.job for each in found([job, other, third], "local")] == [job]
    assert found([replace(job, tryout=True)], "local") == []
    assert found([replace(job, fresh=True)], "local") == [], "it asks for a new result"


@pytest.mark.slurm
def test_a_job_is_found_however_its_folder_is_typed_and_without_force(tmp_path, monkeypatch) -> None:
    job = small_job(tmp_path, 0, elsewhere=True)
    note(replace(job, fresh=True), "1", str(os.getpid()))
    monkeypatch.chdir(tmp_path)
    typed = replace(job, folder=os.path.relpath(job.folder))
    assert [each.job for each in found([typed], "local")] == [typed]
    assert [each.job.fresh for each in found([replace(typed, fresh=True)], "local")] == [True]


def test_a_damaged_message_hides_those_after_it_and_is_no_error(tmp_path) -> None:
    file = tmp_path / "0.events"
    Writer(file).write(Started("a"))
    with file.open("ab") as half:
        half.write(b"\3\0\0\0abc")
    assert Reader(file).read() == [Started("a")]


def test_a_message_that_cannot_be_written_is_left_out_unless_it_is_the_end(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(slurm_events, "PAUSES", (0.0, 0.0))
    writer, real, failures = Writer(tmp_path / "0.events"), Writer._append, list[bytes]()

    def failing(self: Writer, frame: bytes) -> None:
        failures.append(frame)
        if len(failures) in (1, 2):
            raise OSError("stale file handle")
        real(self, frame)

    monkeypatch.setattr(Writer, "_append", failing)
    writer.write(Warned("left out"))
    writer.write(Done("a", "ok", ""))
    assert Reader(tmp_path / "0.events").read() == [Done("a", "ok", "")]


def test_a_part_of_a_message_is_removed_again(tmp_path) -> None:
    file = tmp_path / "0.events"
    writer = Writer(file)
    writer.write(Started("a"))
    resource = import_module("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 3, before[1]))
    try:
        writer.write(Warned("the disk is full in the middle of this"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    writer.write(Done("a", "ok", ""))
    assert Reader(file).read() == [Started("a"), Done("a", "ok", "")]


def test_an_array_that_was_removed_meanwhile_or_never_submitted_is_passed_over(tmp_path) -> None:
    job = small_job(tmp_path, 0, elsewhere=True)
    (home_of(job) / "0").mkdir(parents=True)
    assert found([job], "local") == []


# -- in processes of this machine --------------------------------------------------------------------------------------


def task_of(controller: int) -> int:
    """The process in which submitit's local controller has its task."""
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        children = Path(f"/proc/{controller}/task/{controller}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.05)
    raise AssertionError("it has no task")


waits_for_none = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
"""Submitit's local jobs are not waited for, since real ones outlive the command, too."""
needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")


def numbers(folder: Path) -> list[int]:
    """The processes of all local jobs below a folder for runs."""
    states = [json.decode(file.read_bytes(), type=State) for file in folder.glob(".slurm/*/array.json")]
    return [int(entry.number) for state in states for entry in state.entries]


@with_submitit
@waits_for_none
@needs_proc
def test_it_keeps_the_contract_of_executors() -> None:
    homes = []

    class Noting(SlurmExecutor):
        def run(self, jobs):
            homes.extend(home_of(job).parent for job in jobs)
            yield from super().run(jobs)

    def kill(executor) -> None:
        os.kill(task_of(numbers(homes[-1])[0]), signal.SIGKILL)

    check_executor(lambda: Noting("cluster=local", TWO), kill)


@with_submitit
@waits_for_none
@needs_proc
def test_a_run_whose_time_is_over_is_continued_with_the_same_bits(tmp_path) -> None:
    job = small_job(tmp_path / "slurm", 0, 3.2, elsewhere=True)
    twin = small_job(tmp_path / "here", 0, 3.2)
    told = []

    def heed(said) -> None:
        if isinstance(said, Progress) and not told:
            told.append(said)
            os.kill(task_of(numbers(tmp_path / "slurm")[0]), signal.SIGUSR2)

    heard = hear(SlurmExecutor("cluster=local", TWO), [job], heed)
    hear(InlineExecutor(), [twin])
    assert [type(said) for said in heard.messages].count(Started) == 1
    assert any(isinstance(said, Resumed) for said in heard.messages)
    assert record_of(job).bits == record_of(twin).bits
    assert not list(tmp_path.glob("slurm/.slurm")), "nothing is left of the array"


@with_submitit
def test_runs_go_on_if_the_command_is_killed_and_the_same_command_collects_them(patience, quick, tmp_path) -> None:
    code = "from ganbench_baselines.executor.slurm import ganbench_executor"
    add_package(patience.site, "third-party", "executor", "queue", code)
    command = ("-m", "ganbench", "run", "--arch", "mlp", "--loss", "patient", "--protocol", quick)
    command += ("--executor", "queue:cluster=local", "--quiet")
    first = patience.start(*command)
    patience.begin(first)
    first.kill()
    first.wait()
    assert len([*tmp_path.glob("runs/.slurm/*/array.json")]) == 1
    second = patience.start(*command)
    patience.end()
    said = second.communicate()[0]
    assert second.returncode == 0, said
    (record,) = tmp_path.glob("runs/quick-v1/*/seed0/record.json")
    assert read(record).status == "ok"
    assert record.with_name("log.txt").read_text().count("begins on") == 1, "it must not be submitted twice"
    assert not list(tmp_path.glob("runs/.slurm"))


# -- with the programs of SLURM, imitated ------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> SlurmExecutor:
    for name, value in imitated_slurm.install(tmp_path / "slurm").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(imitated_slurm, "HOME", tmp_path / "slurm")
    monkeypatch.setattr(import_module("submitit").SlurmJob.watcher, "_delay_s", 2)
    return SlurmExecutor("partition=any,time=5", TWO)


@with_submitit
def test_an_array_is_submitted_continued_and_collected(cluster, tmp_path) -> None:
    jobs = [small_job(tmp_path / "runs", seed, 3.2, elsewhere=True) for seed in range(2)]
    told = []

    def heed(said) -> None:
        if isinstance(said, Progress) and said.key == jobs[1].key and not told:
            told.append(said)
            imitated_slurm.signal_step("1000_1", signal.SIGUSR2)

    heard = hear(cluster, jobs, heed)
    assert [record_of(job).status for job in jobs] == ["ok", "ok"]
    assert [said.key for said in heard.messages if isinstance(said, Resumed)] == [jobs[1].key]
    script = (tmp_path / "slurm" / "1000.sh").read_text()
    for line in ("--partition=any", "--time=5", "--array=0-1%2", "--job-name=ganbench"):
        assert f"#SBATCH {line}" in script.replace("'", "")


@with_submitit
def test_more_jobs_than_an_array_may_have_are_several_arrays(cluster, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(slurm, "LARGEST_ARRAY", 1)
    jobs = [small_job(tmp_path / "runs", seed, elsewhere=True) for seed in range(2)]
    hear(cluster, jobs)
    assert [record_of(job).status for job in jobs] == ["ok", "ok"]
    assert sorted(file.name for file in (tmp_path / "slurm").glob("*.sh")) == ["1000.sh", "1001.sh"]


@with_submitit
def test_a_job_that_slurm_ended_is_lost_and_its_reason_is_told(cluster, tmp_path) -> None:
    job = small_job(tmp_path / "runs", 0, LONG, elsewhere=True)
    killed = []

    def heed(said) -> None:
        if isinstance(said, Progress) and not killed:
            killed.append(said)
            imitated_slurm.signal_step("1000", signal.SIGKILL)

    (*_, ending) = hear(cluster, [job], heed).messages
    assert ending == Done(job.key, "interrupted", "job 1000 of SLURM ended as out_of_memory", lost=True)
    assert list(tmp_path.glob("runs/.slurm/*/logs/*")), "its logs are kept"


@with_submitit
def test_what_sbatch_says_against_a_job_is_told(cluster, tmp_path) -> None:
    (tmp_path / "slurm" / "sbatch").write_text("#!/bin/sh\necho 'invalid partition specified: any' >&2; exit 1\n")
    with pytest.raises(Unsupported, match=r"SLURM does not take the jobs: .*invalid partition specified: any"):
        hear(cluster, [small_job(tmp_path / "runs", 0, elsewhere=True)])
    assert not list(tmp_path.glob("runs/.slurm/*"))
