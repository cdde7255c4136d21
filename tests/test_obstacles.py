"""Folders in the place of files and the reverse, an output that cannot be written, processes that cannot be started:
one sentence with the next step, and nothing lost."""

from __future__ import annotations

import errno
import subprocess
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from running import QUICK, job_in, never, unheard

from ganbench.contracts.executor import Done, Job, Refused
from ganbench.errors import GanbenchError, GanbenchWarning
from ganbench.records.store import read
from ganbench.runs.executors.local import LocalExecutor
from ganbench.runs.executors.work import outcome_of


def quick_job(out: Path, *, force: bool = False) -> Job:
    return job_in(out, rules=QUICK, force=force)


def put_in_the_way(name: str, folder: Path) -> None:
    """A folder in the place of a file, or a file in that of a folder."""
    if "." in name:
        (folder / name).mkdir(parents=True)
        (folder / name / "mine").write_text("mine")
    else:
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("mine")


NAMES = ["record.json", "checkpoint.pt", "strip.webp", ".lock", "samples", "samples/000000.96-kimg.png", ""]


@pytest.mark.parametrize("name", NAMES)
def test_force_renames_what_is_in_the_way_of_a_run_and_deletes_nothing(name, tmp_path) -> None:
    folder = Path(quick_job(tmp_path).folder)
    put_in_the_way(name, folder)
    job = quick_job(tmp_path, force=True)
    with pytest.warns(GanbenchWarning, match=r"was in the way and is now called .*\.old"):
        event = outcome_of(job, unheard, never)
    assert isinstance(event, Done), event
    assert read(job.record_file).status == "ok"
    path = folder / name
    aside = path.with_name(f"{path.stem}.old{path.suffix}")
    assert (aside / "mine" if aside.is_dir() else aside).read_text() == "mine"


@pytest.mark.parametrize("name", NAMES[1:])
def test_what_is_in_the_way_of_a_run_is_named(name, tmp_path) -> None:
    job = quick_job(tmp_path)
    put_in_the_way(name, Path(job.folder))
    event = outcome_of(job, unheard, never)
    assert isinstance(event, Refused), "the record says nothing of an error of the plugins"
    kinds = "a folder, not a file" if "." in name else "a file, not a folder"
    assert event.hint.startswith(f"{Path(job.folder, name)} is {kinds}: rename it")


def test_a_record_that_cannot_be_read_is_in_the_way_unless_the_run_is_forced(tmp_path) -> None:
    job = quick_job(tmp_path)
    job.record_file.parent.mkdir(parents=True)
    job.record_file.write_text("{")
    with pytest.raises(GanbenchError, match="is not a readable record"):
        quick_job(tmp_path)
    assert quick_job(tmp_path, force=True).key == job.key


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["plugins", "--json"]])
def test_an_output_that_cannot_be_written_is_said_in_a_sentence(arguments) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "ganbench", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error: cannot write the output: No space left on device",
    )


def test_a_reader_that_has_read_enough_ends_a_command_in_silence() -> None:
    command = [sys.executable, "-m", "ganbench", "plugins"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() in (0, 1)
    process.stderr.close()


def test_what_only_the_system_can_say_is_a_sentence(ganbench_here) -> None:
    done = ganbench_here("show", "m" * 300)
    assert done.returncode == 2
    assert done.stderr.startswith("error: File name too long: mmm")


def test_a_worker_that_cannot_be_started_is_said_in_a_sentence(tmp_path, monkeypatch) -> None:
    def refuse(self: BaseProcess) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(BaseProcess, "start", refuse)
    with pytest.raises(GanbenchError, match="cannot start a worker process: Too many"), LocalExecutor(2) as executor:
        list(executor.run([quick_job(tmp_path)]))
