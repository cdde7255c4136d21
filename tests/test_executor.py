"""Workers that crash, hang or meet on one run: each leaves a record that says so."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from msgspec.structs import replace
from running import job_in, plan_of

from ganbench.contracts.executor import (
    Done,
    Fits,
    Judging,
    Looked,
    Message,
    Picture,
    Preparing,
    Progress,
    Refused,
    Resumed,
    Started,
    Stopping,
    Waiting,
    Warned,
)
from ganbench.plugins.protocols import load_protocol
from ganbench.records.store import read
from ganbench.runs.executors import local
from ganbench.runs.executors.local import LocalExecutor

MISBEHAVING = '''
    """A loss that misbehaves in its tenth step."""
    import ctypes, os, time
    from pathlib import Path
    from ganbench import hookimpl
    class Misbehaving:
        calls = 0
        def d_loss(self, D, real, fake):
            Misbehaving.calls += 1
            if Misbehaving.calls == 10:
                ACT
            return D(fake).mean() - D(real).mean()
        def g_loss(self, D, real, fake):
            return -D(fake).mean()
    @hookimpl
    def ganbench_loss():
        return Misbehaving()
'''


GARBAGE = (
    "[os.write(fd, b'no message' * 99) for fd in range(3, 99) if Path(f'/dev/fd/{fd}').is_socket()]; time.sleep(60)"
)


CHOOSY = '''
    """A loss that cannot be used."""
    from ganbench import Unsupported, hookimpl
    @hookimpl
    def ganbench_loss():
        raise Unsupported("not today")
'''


@pytest.fixture
def misbehaving(install_here):
    def add(act: str) -> None:
        install_here("third-party", "loss", "bad", MISBEHAVING.replace("ACT", act), module="bad_loss")

    return add


def carry_out(tmp_path: Path, timeout: float = 0.0, losses: Sequence[str] = ("bad", "hinge")):
    rules = load_protocol("smoke-v1")
    rules = replace(rules, training=replace(rules.training, timeout=timeout))
    rules = replace(rules, evaluation=replace(rules.evaluation, samples=100, metrics=("fid",), target=None))
    plan = plan_of(tmp_path / "runs", "mlp", ",".join(losses), rules)
    jobs = {job.loss.partition(":")[2]: job for job in plan.runs}
    with LocalExecutor(1) as executor:
        events = [event for event in executor.run(list(jobs.values())) if isinstance(event, Done | Refused)]
    return {name: read(job.record_file) for name, job in jobs.items()}, events


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("ctypes.string_at(0)", "the worker process died: killed by SIGSEGV"),
        ("os._exit(3)", "the worker process died: exit code 3"),
        ("raise KeyError('lost')", "KeyError: 'lost'"),
    ],
)
def test_a_crash_is_the_result_of_its_run_and_costs_no_other(act, reason, misbehaving, tmp_path) -> None:
    misbehaving(act)
    records, events = carry_out(tmp_path)
    assert (records["bad"].status, records["bad"].reason) == ("error", reason)
    assert records["hinge"].status == "ok"
    assert len(events) == 2


def test_a_worker_that_was_killed_leaves_a_run_that_can_go_on(misbehaving, tmp_path) -> None:
    misbehaving("os.kill(os.getpid(), 9)")
    records, events = carry_out(tmp_path)
    assert records["bad"].status == "interrupted"
    assert "killed by SIGKILL" in records["bad"].reason
    assert [event.lost for event in events if event.status == "interrupted"] == [True]


class Clock:
    """Real time, in which an hour goes by at every glance while the process lives whose number stands in ``file``."""

    def __init__(self, file: Path) -> None:
        self.file, self.ahead = file, 0.0

    def monotonic(self) -> float:
        with suppress(OSError, ValueError):  # nobody hangs yet, or any more
            os.kill(int(self.file.read_text()), 0)
            self.ahead += 3600
        return time.monotonic() + self.ahead


@pytest.mark.slow
def test_a_run_that_hangs_ends_as_timeout(misbehaving, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(local, "time", Clock(tmp_path / "hangs"))
    misbehaving(f"open({str(tmp_path / 'hangs')!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    records, _ = carry_out(tmp_path, timeout=1800)
    assert records["bad"].status == "timeout"
    assert "no sign of life for longer than the 1800 s allowed" in records["bad"].reason
    assert records["hinge"].status == "ok"


@pytest.mark.slow
def test_two_commands_on_one_run_do_it_once(patience, quick) -> None:
    command = ("-m", "ganbench", "run", "--arch", "mlp", "--loss", "patient", "--protocol", quick)
    first = patience.start(*command)
    patience.begin(first)
    second = patience.start(*command)
    said = patience.heard(second, "another process is working on this run")
    patience.end()
    outputs = [first.communicate()[0], said + second.communicate()[0]]
    assert [first.returncode, second.returncode] == [0, 0]
    assert "another process is working on this run" in outputs[1]
    assert "75 %" in outputs[0]
    assert "75 %" not in outputs[1], "it must not train once more"


@pytest.mark.slow
@pytest.mark.parametrize("act", ["os.fork()", "os.fork() or time.sleep(60)"])
def test_a_copy_that_a_plugin_forks_writes_nothing_and_hangs_nobody(act, misbehaving, tmp_path) -> None:
    misbehaving(act)
    records, events = carry_out(tmp_path, losses=["bad"])
    assert (records["bad"].status, len(events)) == ("ok", 1)
    (file,) = tmp_path.rglob("history.jsonl")
    steps = [json.loads(line)["step"] for line in file.read_text().splitlines()]
    assert steps == sorted(set(steps))


@pytest.mark.slow
@pytest.mark.parametrize("act", [GARBAGE, "os.closerange(3, 100); time.sleep(60)"])
def test_a_plugin_that_breaks_the_connection_of_its_worker_costs_its_run_alone(act, misbehaving, tmp_path) -> None:
    misbehaving(act)
    records, events = carry_out(tmp_path)
    assert (records["bad"].status, records["hinge"].status) == ("error", "ok")
    assert "the connection to the worker broke" in records["bad"].reason
    assert len(events) == 2


MESSAGES = [
    Started("a"),
    Resumed("a", 0.5, 1.0),
    Waiting("a"),
    Preparing("a", "preparing faces", 0.5),
    Progress("a", 10, 0.5, 2.0, 0.5, 250.0, {"d_loss": 1.0}),
    Picture("a", np.zeros((1, 2, 2, 3), np.uint8)),
    Looked("a", 0.5, "fid@c:1", 2.0),
    Judging("a"),
    Done("a", "ok", "", {"fid": 1.0}),
    Fits("a"),
    Refused("a", "it cannot be", "leave it", broken=True),
    Stopping(),
    Warned("be careful"),
]


def test_every_kind_of_message_and_nothing_else_is_heard_from_a_worker() -> None:
    assert {type(message) for message in MESSAGES} == set(get_args(Message))
    seat = local._Seat()
    seat.pipe, worker = Pipe()
    for message in MESSAGES:
        worker.send(message)
        assert (repr(seat.hear()), seat.silent) == (repr(message), False)
    worker.send({"kind": "done", "key": "a"})
    assert (seat.hear(), seat.silent) == (None, True)


SETTINGS = """
    import torch
    torch.set_num_threads(3); torch.use_deterministic_algorithms(False); torch.set_flush_denormal(True)
"""


@pytest.mark.slow
def test_a_plugin_that_turns_torchs_switches_fails_and_leaves_the_next_run_alone(misbehaving, tmp_path) -> None:
    misbehaving("; ".join(line.strip() for line in SETTINGS.strip().splitlines()))
    records, _ = carry_out(tmp_path)
    assert records["bad"].status == "error"
    assert "a plugin changed torch's settings (threads 1 -> 3" in records["bad"].reason
    assert records["bad"].scores == {}
    alone, _ = carry_out(tmp_path / "alone", losses=["hinge"])
    assert records["hinge"].bits == alone["hinge"].bits
    assert records["hinge"].environment.threads == 1


def test_what_a_plugin_prints_is_in_the_log_of_its_run_and_not_among_the_results(
    misbehaving, ganbench_command, quick, tmp_path
) -> None:
    misbehaving("print('hello from the loss', flush=True)")
    ran = ganbench_command("run", "--arch", "mlp", "--loss", "bad", "--protocol", quick, "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["rows"]
    assert "hello from the loss" not in ran.stderr
    log = (tmp_path / "runs/quick-v1/mlp+bad/seed0/log.txt").read_text()
    assert "hello from the loss" in log
    assert log.splitlines()[-1].endswith("ended: ok")


def test_a_refused_run_leaves_no_folder_with_a_log(install_here, tmp_path) -> None:
    install_here("third-party", "loss", "choosy", CHOOSY, module="choosy_loss")
    job = job_in(tmp_path, "mlp", "choosy")
    with LocalExecutor(1) as executor:
        (refused,) = [event for event in executor.run([job]) if isinstance(event, Refused)]
    assert "not today" in refused.message
    assert not Path(job.folder).exists()


ARCH = '''
    """A tiny arch."""
    from torch import nn
    from ganbench import GAN, hookimpl
    @hookimpl
    def ganbench_arch(data, z_dim):
        G = nn.Sequential(nn.Linear(z_dim, 256), nn.Tanh(), nn.Unflatten(1, (1, 16, 16)))
        return GAN(G, nn.Sequential(nn.Flatten(), nn.Linear(256, 1), nn.Flatten(0)), z_dim)
'''


@pytest.mark.slow
def test_components_of_one_name_from_two_packages_run_side_by_side(install, ganbench_command, quick, tmp_path) -> None:
    install("one", "arch", "tiny", ARCH, module="one_tiny")
    install("other", "arch", "tiny", ARCH, module="other_tiny")
    arguments = ("--loss", "lsgan", "--protocol", quick, "--jobs", "2", "-q")
    ran = ganbench_command("run", "--arch", "one:tiny,other:tiny", *arguments)
    assert ran.returncode == 0, ran.stderr
    folders = sorted(path.name for path in (tmp_path / "runs/quick-v1").iterdir() if "tiny" in path.name)
    assert len(folders) == 2
    assert all(read(tmp_path / "runs/quick-v1" / name / "seed0/record.json").status == "ok" for name in folders)
    for package in ("one", "other"):
        assert f"{package}:tiny" in ran.stdout
