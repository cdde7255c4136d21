"""Temporary folders of jobs: none outlives its job for long, and none in use is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from ganbench.runs import scratch
from ganbench.runs.scratch import scratch_folder

WORKER = """
import time
from ganbench.runs.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "weights").write_text("large")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _own_place(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def age(folder: Path) -> None:
    """Let a folder look as if it were made an hour ago."""
    then = time.time() - 3600
    os.utime(folder, (then, then))


def test_the_folder_is_gone_after_the_job(tmp_path) -> None:
    with scratch_folder() as folder:
        (folder / "weights").write_text("large")
        assert folder.parent == tmp_path
    assert not folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_the_folder_of_a_killed_worker_is_removed_by_the_next_and_others_stay() -> None:
    workers = [subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        killed, living = (Path(worker.stdout.readline().strip()) for worker in workers)  # type: ignore[union-attr]  # a pipe
        workers[0].send_signal(signal.SIGKILL)
        workers[0].wait()
        for folder in (killed, living):
            age(folder)
        with scratch_folder():
            assert not killed.exists()
            assert (living / "weights").exists()
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def test_a_folder_that_was_just_made_stays_although_it_is_not_locked_yet(tmp_path) -> None:
    new, old = tmp_path / f"{scratch.PREFIX}new", tmp_path / f"{scratch.PREFIX}old"
    new.mkdir()
    old.mkdir()
    age(old)
    with scratch_folder():
        assert new.exists()
        assert not old.exists()


def test_other_folders_stay(tmp_path) -> None:
    other = tmp_path / "ganbench-results"
    other.mkdir()
    age(other)
    with scratch_folder():
        assert other.exists()
