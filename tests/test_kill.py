"""kill -9 at any moment: the same command resumes, and ends with the bits of an undisturbed run."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing as mp
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from installing import surroundings
from marks import slow_but
from msgspec.structs import replace
from running import bits, carry_out, job_in

from ganbench.contracts.executor import Progress
from ganbench.errors import GanbenchWarning
from ganbench.pages.folder import check_folder, write_folder
from ganbench.plugins.protocols import load_protocol
from ganbench.records import files
from ganbench.records.history import read_history
from ganbench.records.record import Record
from ganbench.records.store import read
from ganbench.runs import checkpoint, run, runner
from ganbench.runs.setup import prepare

TIMES = {"seconds", "cpu_seconds", "images_per_second", "images_per_cpu_second", "load"}
"""Fields of a history that no two runs share."""


def history(folder: Path) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in read_history(folder / "history.jsonl")]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def die_at(fatal: int, act: Callable[[], object]) -> int:
    """Run ``act`` in a forked process that is killed at its ``fatal``-th fsync or rename; return its exit code."""

    def doomed() -> None:
        calls = 0

        def counting(real):
            def call(*arguments):
                nonlocal calls
                calls += 1
                if calls == fatal:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments)

            return call

        files.os.fsync, Path.replace = counting(os.fsync), counting(Path.replace)
        act()

    process = mp.get_context("fork").Process(target=doomed)
    process.start()
    process.join()
    return process.exitcode


@pytest.fixture(autouse=True)
def _no_checkpoint_because_time_has_passed(monkeypatch) -> None:
    """Files are counted here: a machine that is slow must not add any."""
    monkeypatch.setattr(run, "CHECKPOINT_SECONDS", math.inf)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Record, list[dict]]:
    job = job_in(tmp_path_factory.mktemp("undisturbed"))
    return carry_out(job), history(Path(job.folder))


@pytest.mark.parametrize("fatal", slow_but([2, 13, 16, 19, 21], range(1, 22)))
def test_a_run_killed_while_it_writes_any_of_its_files_ends_with_the_same_bits(fatal, undisturbed, tmp_path) -> None:
    job = job_in(tmp_path)
    code = die_at(fatal, lambda: carry_out(job))
    assert code == (-signal.SIGKILL if fatal <= 20 else 0), "ten files, each with an fsync and a rename"
    if fatal in range(5, 19):
        assert read(job.record_file).status == "interrupted"
    events: list = []
    assert bits(carry_out(job, events.append)) == bits(undisturbed[0])
    windows = sum(isinstance(event, Progress) for event in events)
    assert windows == (30 if fatal <= 10 else 15 if fatal <= 14 else 0), "what a checkpoint holds is not done again"
    assert history(Path(job.folder)) == undisturbed[1]
    assert not list(Path(job.folder).rglob("*.tmp"))
    assert set(torch.load(Path(job.folder, "checkpoint.pt"), weights_only=True)) == {"job", "gan", "averaged"}


def test_a_checkpoint_that_does_not_fit_costs_a_restart_from_untouched_weights(undisturbed, tmp_path) -> None:
    job = job_in(tmp_path)
    assert die_at(13, lambda: carry_out(job)) == -signal.SIGKILL
    file = Path(job.folder, "checkpoint.pt")
    state = torch.load(file, weights_only=True)
    state["gan"] = {name: value + 1 for name, value in state["gan"].items()}  # loaded before the sizes are compared
    last = [name for name in state["gan"] if name.startswith("discriminator.")][-1]
    state["gan"][last] = torch.zeros(3, 3)
    checkpoint.save(state, file)
    with pytest.warns(GanbenchWarning, match="starts over: its checkpoint does not fit the players; the old "):
        assert bits(carry_out(job)) == bits(undisturbed[0])


def test_data_that_changed_since_are_not_gone_on_with(tmp_path, monkeypatch) -> None:
    job = job_in(tmp_path)
    assert die_at(13, lambda: carry_out(job)) == -signal.SIGKILL
    bench = prepare(job.protocol, "cpu")
    other = dataclasses.replace(bench.dataset, train=bench.dataset.train[torch.arange(700)])
    monkeypatch.setattr(runner, "prepare", lambda *_: dataclasses.replace(bench, dataset=other))
    events: list = []
    with pytest.warns(GanbenchWarning, match=r"since its checkpoint at 0.48 kimg, the data changed"):
        record = carry_out(job, events.append)
    assert sum(isinstance(event, Progress) for event in events) == 30
    assert record.dataset_hash == other.fingerprint
    assert (
        torch.load(Path(job.folder, "checkpoint.old.pt"), weights_only=True)["identity"]["the data"]
        != other.fingerprint
    )
    assert carry_out(job, events.append) == record, "and what is finished is not repeated"
    monkeypatch.undo()
    with pytest.warns(GanbenchWarning, match="the data digits have changed since"):
        assert carry_out(job).dataset_hash == bench.dataset.fingerprint


def test_half_a_line_of_history_costs_nothing(undisturbed, tmp_path) -> None:
    job = job_in(tmp_path)
    assert die_at(11, lambda: carry_out(job)) == -signal.SIGKILL
    with Path(job.folder, "history.jsonl").open("a") as file:
        file.write('{"step": 21, "kim')
    assert bits(carry_out(job)) == bits(undisturbed[0])
    assert history(Path(job.folder)) == undisturbed[1]


def test_an_unreadable_checkpoint_costs_a_restart_and_not_the_run(undisturbed, tmp_path) -> None:
    job = job_in(tmp_path)
    assert die_at(12, lambda: carry_out(job)) == -signal.SIGKILL
    file = Path(job.folder, "checkpoint.pt")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.warns(GanbenchWarning, match="starts over: its checkpoint is damaged; the old checkpoint is"):
        assert bits(carry_out(job)) == bits(undisturbed[0])


@pytest.mark.parametrize("fatal", range(1, 5))
def test_a_table_killed_while_it_is_written_is_whole_and_can_be_written_again(fatal, undisturbed, tmp_path) -> None:
    protocol, folder = load_protocol("smoke-v1"), tmp_path / "smoke-v1"
    one, both = [undisturbed[0]], [undisturbed[0], replace(undisturbed[0], seed=1)]
    write_folder(one, protocol, folder)
    write_folder(both, protocol, tmp_path / "whole")
    before, after = contents(folder), contents(tmp_path / "whole")
    assert die_at(fatal, lambda: write_folder(both, protocol, folder)) == -signal.SIGKILL
    for name, content in contents(folder).items():
        assert content in (before.get(name), after[name])
    write_folder(both, protocol, folder)
    assert contents(folder) == after
    assert check_folder(folder, protocol) == []
    assert not list(folder.rglob("*.tmp"))


HELD = '''
    """A loss that counts its steps in the folder ``HELD`` and stops at 60 until the file ``free`` is there."""
    import os, time
    from pathlib import Path
    from ganbench import hookimpl
    class Held:
        steps = 0
        def d_loss(self, D, real, fake):
            if "HELD" in os.environ:
                self.count(Path(os.environ["HELD"]))
            return D(fake).mean() - D(real).mean()
        def g_loss(self, D, real, fake): return -D(fake).mean()
        def count(self, folder):
            Held.steps += 1
            with (folder / str(os.getpid())).open("ab") as file:
                file.write(b".")
            for _ in range(60_000):  # ten minutes, should the test be gone
                if Held.steps <= 60 or (folder / "free").exists():
                    break
                time.sleep(0.01)
    @hookimpl
    def ganbench_loss(): return Held()
'''


@pytest.mark.slow
def test_a_grid_killed_again_and_again_ends_with_the_bits_of_an_undisturbed_one(
    ganbench_command, install, site, tmp_path
) -> None:
    """Each run has 200 steps and a checkpoint every 50. From there it takes at most 60 until it is killed, three times:
    too few to come to its end. The grid is killed first, since it resumes by itself where only a worker was killed."""
    install("third-party", "loss", "held", HELD)
    rules = ganbench_command("protocols", "show", "smoke-v1").stdout
    for old, new in {
        "smoke-v1": "long-v1",
        "budget_kimg = 0.96": "budget_kimg = 6.4",
        "checks = 2": "checks = 4",
        '["real data", "gaussian fit", "one class", "noise"]': "[]",
        '["fid", "is", "kid", "precision-recall", "density-coverage", "modes"]': '["fid"]',
    }.items():
        assert old in rules
        rules = rules.replace(old, new)
    (tmp_path / "long.toml").write_text(rules)
    arguments = ["run", "--arch", "mlp,dcgan", "--loss", "held", "--protocol", "long.toml", "--jobs", "2", "-q"]
    assert ganbench_command(*arguments, "--out", "whole").returncode == 0
    rng = random.Random(0)
    for number, whom in enumerate(("everything", "everything", "worker")):
        held = tmp_path / f"held-{number}"
        held.mkdir()
        _kill_once([*arguments, "--out", "broken"], tmp_path, site, held, whom, rng)
    last = ganbench_command(*arguments, "--out", "broken")
    assert last.returncode == 0, last.stderr
    for arch in ("mlp", "dcgan"):
        one, other = (tmp_path / out / f"long-v1/{arch}+held/seed0" for out in ("whole", "broken"))
        assert bits(read(one / "record.json")) == bits(read(other / "record.json"))
        assert history(one) == history(other)


def _kill_once(arguments: list[str], folder: Path, site: Path, held: Path, whom: str, rng: random.Random) -> None:
    """Start the grid, wait until its runs have come a little further, and kill it or a worker of it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ganbench", *arguments],
        cwd=folder,
        env=surroundings(site, HELD=str(held)),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wanted, limit = rng.randint(30, 60), time.monotonic() + 600
    try:
        while max((file.stat().st_size for file in held.iterdir()), default=0) < wanted:
            assert process.poll() is None, "the grid ended before it could be killed"
            assert time.monotonic() < limit, "no step was taken"
            time.sleep(0.01)
        time.sleep(rng.random() * 0.2)
        if whom == "worker":
            os.kill(int(rng.choice(sorted(file.name for file in held.iterdir()))), signal.SIGKILL)
            (held / "free").touch()
            assert process.wait(timeout=600) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
