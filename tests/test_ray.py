"""Runs on a Ray cluster: whatever dies, every run ends exactly once, with the bits of this machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from importlib.metadata import distribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import toy
from clustered import add_machine, is_on, machines, object_store
from commands import command_here
from installing import add_package, surroundings
from msgspec.structs import replace
from running import QUICK, bits, plan_of

from ganbench import plugins
from ganbench.contracts.executor import (
    Done,
    Executor,
    Job,
    Judging,
    Message,
    Places,
    Progress,
    Resumed,
    Started,
    Stopping,
    TrainingJob,
    Warned,
    lost,
)
from ganbench.errors import GanbenchError, Unsupported
from ganbench.records.store import read
from ganbench.runs.display import Display
from ganbench.runs.executors.local import LocalExecutor
from ganbench.runs.plan import Plan, stored_at
from ganbench.runs.session import Outcome, Patience, carry_out
from ganbench.testing import check_executor
from ganbench_baselines.executor import ray, ray_cluster
from ganbench_baselines.executor.ray import RayExecutor
from ganbench_baselines.executor.ray_worker import Arrival, Versions

LONG = replace(QUICK, name="long-v1", training=replace(QUICK.training, budget_kimg=3.2))
"""Rules of runs of a hundred iterations, so that there is time to kill something."""


# -- what needs no Ray -------------------------------------------------------------------------------------------------


def machine(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": resources}


MIXED = [machine(CPU=4.0), machine(CPU=3.0, GPU=2.0), machine(alive=False, CPU=64.0, GPU=8.0)]


@pytest.mark.parametrize(
    ("places", "needed", "runs"),
    [
        (Places(device="cpu"), {"CPU": 1}, 7),
        (Places(device="cpu", threads=2), {"CPU": 2}, 3),
        (Places(device="auto"), {"CPU": 1, "GPU": 1.0}, 2),
        (Places(device="cuda", jobs_per_gpu=3), {"CPU": 1, "GPU": 0.3333}, 3),
        (Places(device="cpu", threads=5), {"CPU": 5}, 0),
    ],
)
def test_a_run_takes_cores_and_a_share_of_a_gpu_of_one_machine(places, needed, runs) -> None:
    assert ray_cluster.needs(MIXED, places) == needed
    assert ray_cluster.room(MIXED, needed) == runs


@pytest.mark.parametrize(
    ("device", "said"),
    [("cuda", "no machine of the Ray cluster has a GPU"), ("cuda:1", "--device cuda:1: Ray chooses"), ("mps", "mps")],
)
def test_a_device_that_the_cluster_does_not_have_is_refused(device, said) -> None:
    with pytest.raises(Unsupported, match=said):
        ray_cluster.needs([machine(CPU=4.0)], Places(device=device))


def test_without_ray_the_message_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Unsupported, match="--executor ray needs Ray") as caught:
        plugins.build(plugins.find("executor", "ray"), argument="", places=Places())
    assert caught.value.hint == "pip install 'ganbench[ray]'"


def test_workers_know_the_folders_of_data_and_import_nothing_from_their_own(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"GANBENCH_DATA": "data", "GANBENCH_PLUGINS": "a,b", "SECRET": "of the user"}.items():
        monkeypatch.setenv(name, value)
    known = ray_cluster.surroundings(2)
    assert known["GANBENCH_DATA"] == str(tmp_path / "data")
    assert known["GANBENCH_PLUGINS"] == "a,b"
    assert (known["OMP_NUM_THREADS"], known["PYTHONSAFEPATH"]) == ("2", "1")
    assert "SECRET" not in known


def test_plugins_travel_with_the_metadata_that_announce_them(install_here, site) -> None:
    install_here("third-party", "loss", "plain", toy.LOSS, module="third_party")
    assert [str(site / name) for name in ("third_party.py", "third_party-1.0.dist-info")] == [
        path for path in ray_cluster.packages() if path.startswith(str(site))
    ]
    own = str(distribution("ganbench")._path)  # type: ignore[attr-defined]  # not in the interface
    assert own not in ray_cluster.packages()


# -- a cluster that follows a script -----------------------------------------------------------------------------------


class RayError(Exception):
    """What Ray raises if an actor is dead."""


class Actor:
    """An actor that arrives, unless its script is empty, and says what its script lists for each job."""

    def __init__(self, said: Sequence[Any], versions: Versions | None) -> None:
        self.said, self.versions, self.halted, self.jobs = list(said), versions, 0, list[Job]()
        self.arrive, self.halt, self.work = (SimpleNamespace(remote=act) for act in (self.come, self.stop, self.begin))
        self.work.options = lambda num_returns: self.work

    def come(self) -> Any:
        return Ref(Arrival("host", 7, self.versions) if self.versions else RayError("it cannot start"))

    def stop(self) -> None:
        self.halted += 1

    def begin(self, job: Job) -> Any:
        self.jobs.append(job)
        return Stream(job, self.said)


class Ref:
    def __init__(self, value: Any) -> None:
        self.value = value


class Stream:
    """The messages of one job; ``None`` in a script is a message that does not come yet."""

    def __init__(self, job: Job, said: list[Any]) -> None:
        self.job, self.said = job, said

    def __next__(self) -> Ref:
        if not self.said or self.said[0] is END:
            self.said[:1] = []
            raise StopIteration
        said = self.said.pop(0)
        return Ref(said(self.job.key) if callable(said) else said)


def training(key: str) -> Progress:
    return Progress(key, 1, 0.1, 1.0, 0.5, 100.0, {})


END = object()
DONE = [Started, lambda key: Done(key, "ok", ""), END]
DEAD = RayError("The actor died")


class Cluster:
    """In place of the module ``ray``: its actors follow the scripts in turn, then work as they should."""

    exceptions = SimpleNamespace(RayError=RayError)

    def __init__(self, *scripts: Sequence[Any], versions: Sequence[Versions | None] = ()) -> None:
        self.scripts, self.versions = list(scripts), list(versions)
        self.actors, self.killed, self.late = list[Actor](), list[Actor](), False

    def nodes(self) -> list[dict[str, Any]]:
        return [machine(CPU=1.0), machine(CPU=1.0)]

    def remote(self, kind: type) -> Cluster:
        # the actor class has no type here
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self.hire))  # type: ignore[return-value]

    def hire(self, home: str, threads: int) -> Actor:
        script = self.scripts.pop(0) if self.scripts else DONE * 9
        self.actors.append(Actor(script, self.versions.pop(0) if self.versions else Versions.here()))
        return self.actors[-1]

    def wait(self, refs: Sequence[Any], num_returns: int = 1, timeout: float = 0) -> tuple[list[Any], list[Any]]:
        ready = [ref for ref in refs if not self.late and not (isinstance(ref, Stream) and ref.said[:1] == [None])]
        return ready[:num_returns], []

    def get(self, ref: Ref) -> Any:
        if isinstance(ref.value, Exception):
            raise ref.value
        return ref.value

    def kill(self, actor: Actor) -> None:
        self.killed.append(actor)


@pytest.fixture
def scripted(monkeypatch) -> Callable[..., tuple[RayExecutor, Cluster]]:
    """An executor on a cluster with these scripts."""

    def build(*scripts: Sequence[Any], jobs: int = 1, **options: Any) -> tuple[RayExecutor, Cluster]:
        cluster = Cluster(*scripts, **options)
        monkeypatch.setattr(ray, "imported", lambda address: cluster)
        monkeypatch.setattr(ray, "connected", lambda address, threads: nullcontext(cluster))
        return RayExecutor("somewhere:6379", Places(jobs=jobs, device="cpu")), cluster

    return build


def said_of(executor: RayExecutor, jobs: Sequence[Job]) -> list[Message]:
    with executor:
        return list(executor.run(jobs))


@pytest.fixture
def jobs(tmp_path) -> list[TrainingJob]:
    return plan_of(tmp_path, "mlp", "hinge,lsgan", QUICK, seeds=[0, 1]).runs


def test_workers_take_one_job_after_another(scripted, jobs) -> None:
    executor, cluster = scripted(jobs=2)
    said = said_of(executor, jobs)
    assert executor.workers == len(cluster.actors) == 2
    assert Counter(map(type, said)) == {Started: 4, Done: 4}
    assert sorted(job.key for actor in cluster.actors for job in actor.jobs) == sorted(job.key for job in jobs)
    assert cluster.killed == cluster.actors


def test_a_worker_that_dies_in_a_run_loses_it_and_another_takes_the_place(scripted, jobs) -> None:
    executor, cluster = scripted([Started, DEAD])
    first, second = jobs[:2]
    said = said_of(executor, jobs[:2])
    assert said[:2] == [Started(first.key), lost(first, "the worker on host, process 7, died")]
    assert said[2:] == [Started(second.key), Done(second.key, "ok", "")]
    assert cluster.killed[0] is cluster.actors[0]


def test_a_machine_that_dies_is_named(scripted, jobs) -> None:
    executor, _ = scripted([Started, RayError("The actor died because its node has died.")])
    assert said_of(executor, jobs[:1])[1] == lost(jobs[0], "host was lost")


def test_a_run_that_did_not_begin_is_not_lost(scripted, jobs) -> None:
    executor, cluster = scripted([DEAD])
    assert said_of(executor, jobs[:1]) == [Started(jobs[0].key), Done(jobs[0].key, "ok", "")]
    assert [actor.jobs for actor in cluster.actors] == [[replace(jobs[0], workers=1)]] * 2


def test_a_worker_that_says_nothing_at_the_end_has_lost_its_run(scripted, jobs) -> None:
    executor, _ = scripted([Started, END])
    assert said_of(executor, jobs[:1])[1:] == [lost(jobs[0], "the worker on host ended it without a result")]


def test_a_worker_that_dies_after_its_run_costs_nothing(scripted, jobs) -> None:
    executor, cluster = scripted([*DONE[:2], DEAD])
    assert Counter(map(type, said_of(executor, jobs))) == {Started: 4, Done: 4}
    assert len(cluster.actors) == 2


def test_workers_that_cannot_start_are_not_replaced_for_ever(scripted, jobs) -> None:
    executor, cluster = scripted(versions=[None] * 99)
    with pytest.raises(Unsupported, match="the workers of the Ray cluster die as they start: it cannot start"):
        said_of(executor, jobs)
    assert len(cluster.actors) == 5


def test_a_machine_with_another_version_is_refused(scripted, jobs) -> None:
    executor, _ = scripted(versions=[Versions("0.0.1", "2.0")])
    with pytest.raises(Unsupported, match=r"host has ganbench 0\.0\.1 with torch 2\.0, but this machine has ganbench"):
        said_of(executor, jobs)


def test_stop_halts_what_runs_and_starts_nothing(scripted, jobs) -> None:
    executor, cluster = scripted([Started, None, lambda key: Done(key, "interrupted", ""), END])
    said = list[Message]()
    with executor:
        for message in executor.run(jobs):
            said.append(message)
            if isinstance(message, Started):
                executor.stop()
            if isinstance(message, Stopping):
                cluster.actors[0].said.pop(0)
    assert [type(message) for message in said] == [Started, Stopping, Done]
    assert cluster.actors[0].halted == 1


def test_a_run_that_goes_on_after_its_time_is_ended(scripted, jobs, monkeypatch) -> None:
    monkeypatch.setattr(ray, "GRACE_SECONDS", 0)
    executor, cluster = scripted([Started, training, None])
    job = replace(jobs[0], limit=1e-9)
    assert said_of(executor, [job])[2:] == [lost(job, "it did not stop when its 1e-09 s were over")]
    assert cluster.killed == cluster.actors


def test_a_run_that_is_judged_after_its_time_is_let_finish(scripted, jobs, monkeypatch) -> None:
    monkeypatch.setattr(ray, "GRACE_SECONDS", 0)
    executor, cluster = scripted([Started, Judging, None, *DONE[1:]])
    said = list[Message]()
    with executor:
        for message in executor.run([replace(jobs[0], limit=1e-9)]):
            said.append(message)
            if isinstance(message, Judging):
                cluster.actors[0].said.pop(0)
    assert [type(message) for message in said] == [Started, Judging, Done]


def test_a_cluster_without_a_free_worker_is_waited_for_with_one_warning(scripted, jobs, monkeypatch) -> None:
    monkeypatch.setattr(ray, "LONGEST_START", 0)
    executor, cluster = scripted()
    cluster.late = True
    said = list[Message]()
    with executor:
        for message in executor.run(jobs[:1]):
            said.append(message)
            cluster.late = False
    assert [type(message) for message in said] == [Warned, Started, Done]


# -- on a cluster ------------------------------------------------------------------------------------------------------

BUCKET = "bucket"


class Machines(NamedTuple):
    """A cluster, and the environment of commands that use it."""

    cluster: Any
    environment: Mapping[str, str]

    @property
    def address(self) -> str:
        return str(self.cluster.address)


@pytest.fixture(scope="module")
def two() -> Iterator[Machines]:
    """Two machines with a core each, and an object store that they know."""
    with object_store(BUCKET) as environment, machines(2) as cluster:
        yield Machines(cluster, environment)


def on(two: Machines, jobs: int = 2) -> RayExecutor:
    return RayExecutor(two.address, Places(jobs=jobs, device="cpu"))


def grid(out: Path, rules: Any = QUICK) -> Plan:
    """Four runs; their files are stored where they are."""
    return stored_at(plan_of(out, "mlp", "hinge,lsgan", rules, seeds=[0, 1]), "", elsewhere=True)


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Callable[[Any], dict[str, Any]]:
    """The bits of the four runs under some rules, from processes of this machine."""
    known = dict[str, dict[str, Any]]()

    def bits_of(rules: Any) -> dict[str, Any]:
        if rules.name not in known:
            plan = plan_of(tmp_path_factory.mktemp(rules.name), "mlp", "hinge,lsgan", rules, seeds=[0, 1])
            with LocalExecutor(1) as executor:
                carry_out(plan, executor, Display())
            known[rules.name] = bits_in(plan)
        return known[rules.name]

    return bits_of


def bits_in(plan: Plan) -> dict[str, Any]:
    return {job.key: bits(read(job.record_file)) for job in plan.runs}


class Heard(Display):
    """Keeps the events that a session shows; ``heed`` is called with each."""

    def __init__(self, heed: Callable[[Message], object] = lambda said: None) -> None:
        self.events, self.heed, self.lines = list[Message](), heed, list[str]()

    def show(self, event: Message) -> None:
        self.events.append(event)
        self.heed(event)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def ends(self) -> Counter[str]:
        return Counter(event.key for event in self.events if isinstance(event, Done))


@pytest.mark.ray
def test_every_run_ends_once_in_workers_that_stay_with_the_bits_of_this_machine(two, here, tmp_path) -> None:
    plan, heard = grid(tmp_path), Heard()
    with on(two) as executor:
        assert executor.workers == 2
        outcome = carry_out(plan, executor, heard)
    assert outcome == Outcome()
    assert heard.ends() == {job.key: 1 for job in plan.runs}
    assert bits_in(plan) == here(QUICK)
    logs = [Path(job.folder, "log.txt").read_text() for job in plan.runs]
    assert len({re.search(r"process (\d+)", log)[1] for log in logs}) == 2


@pytest.mark.ray
def test_it_keeps_the_contract_of_executors(two) -> None:
    def kill(executor: Executor) -> None:
        assert isinstance(executor, RayExecutor)
        os.kill(next(seat.process for seat in executor._seats if seat.job), signal.SIGKILL)

    check_executor(lambda: on(two), kill=kill)


@pytest.mark.ray
def test_a_machine_that_is_gone_costs_its_runs_some_time(two, here, tmp_path) -> None:
    third, plan, doomed = add_machine(two.cluster), grid(tmp_path, LONG), list[str]()

    def heed(said: Message) -> None:
        for seat in executor._seats:
            if isinstance(said, Progress) and not doomed and seat.job and is_on(seat.process, third):
                doomed.append(seat.job.key)
                two.cluster.remove_node(third, allow_graceful=False)

    heard = Heard(heed)
    with on(two, jobs=3) as executor:
        outcome = carry_out(plan, executor, heard, patience=Patience(retries=2))
    assert outcome == Outcome()
    assert len(doomed) == 1
    assert any(line.startswith(doomed[0]) and "it is tried again later" in line for line in heard.lines)
    assert heard.ends() == {job.key: 1 for job in plan.runs}
    assert bits_in(plan) == here(LONG)


@pytest.mark.ray
def test_a_grid_that_is_stopped_goes_on_with_other_workers(two, here, tmp_path) -> None:
    plan = grid(tmp_path, LONG)
    with on(two) as executor:
        first = Heard(lambda said: executor.stop() if isinstance(said, Progress) else None)
        carry_out(plan, executor, first)
    assert sum(isinstance(said, Stopping) for said in first.events) <= 1
    ends = [said for said in first.events if isinstance(said, Done)]
    assert {said.status for said in ends} == {"interrupted"}
    assert 1 <= len(ends) <= 2
    with on(two) as executor:
        second = Heard()
        assert carry_out(plan, executor, second) == Outcome()
    resumed = {said.key for said in second.events if isinstance(said, Resumed)}
    assert resumed == {said.key for said in ends}
    assert bits_in(plan) == here(LONG)


def command(two: Machines, folder: Path, *arguments: str, site: Path | None = None) -> subprocess.Popen[str]:
    """Start a command in ``folder``, in a process group of its own."""
    known = surroundings(site or folder, **two.environment, NO_COLOR="1", COLUMNS="160")
    return subprocess.Popen(
        [sys.executable, "-m", "ganbench", *arguments],
        cwd=folder,
        env=known,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def of_ray(two: Machines, loss: str = "hinge,lsgan") -> Sequence[str]:
    return ("run", "--arch", "mlp", "--loss", loss, "--executor", "ray", "--address", two.address, "--device", "cpu")


@pytest.mark.ray
def test_a_command_that_is_killed_goes_on_when_it_is_called_again(two, here, tmp_path) -> None:
    rules = toy.QUICK.replace("quick-v1", "long-v1").replace("0.96", "3.2").replace("seeds = [0]", "seeds = [0, 1]")
    (tmp_path / "long.toml").write_text(rules)
    arguments = [*of_ray(two), "--protocol", "long.toml", "--retries", "5"]
    first, limit = command(two, tmp_path, *arguments), time.monotonic() + 300
    while not list(tmp_path.glob("runs/long-v1/*/*/checkpoint.json")):
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < limit
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    second = command(two, tmp_path, *arguments, "--json")
    said, complained = second.communicate(timeout=500)
    assert second.returncode == 0, complained
    assert len(json.loads(said)["rows"]) == 2, "and nothing else is on standard output"
    files = sorted(tmp_path.glob("runs/long-v1/*/*/record.json"))
    assert len(files) == 4
    found = {f"{file.parent.parent.name}, seed {file.parent.name[4:]}": bits(read(file)) for file in files}
    assert found == here(LONG)


@pytest.mark.ray
def test_runs_are_stored_in_an_object_store_and_the_table_is_read_from_there(two, here, tmp_path, monkeypatch) -> None:
    (tmp_path / "quick.toml").write_text(toy.QUICK.replace("seeds = [0]", "seeds = [0, 1]"))
    out = f"s3://{BUCKET}/runs"
    process = command(two, tmp_path, *of_ray(two), "--protocol", "quick.toml", "--out", out, "--json")
    said, complained = process.communicate(timeout=500)
    assert process.returncode == 0, complained
    assert {row["name"] for row in json.loads(said)["rows"]} == {"mlp+hinge", "mlp+lsgan"}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    table = command_here(tmp_path)("leaderboard", "quick.toml", "--runs", out, "--format", "json", "--no-published")
    assert table.returncode == 0, table.stderr
    assert json.loads(table.stdout)["rows"] == json.loads(said)["rows"]
    files = sorted((tmp_path / "another").rglob("record.json"))
    assert [bits(read(file)) for file in files] == [here(QUICK)[key] for key in sorted(here(QUICK))]


@pytest.mark.ray
def test_a_plugin_that_only_this_machine_has_reaches_the_workers(two, tmp_path) -> None:
    add_package(tmp_path / "site", "third-party", "loss", "plain", toy.LOSS)
    (tmp_path / "quick.toml").write_text(toy.QUICK)
    arguments = [*of_ray(two, "plain"), "--protocol", "quick.toml", "-q"]
    process = command(two, tmp_path, *arguments, site=tmp_path / "site")
    _, complained = process.communicate(timeout=500)
    assert process.returncode == 0, complained
    assert len(list(tmp_path.glob("runs/quick-v1/mlp+plain/seed0/record.json"))) == 1


@pytest.mark.ray
def test_a_file_in_the_working_directory_is_not_imported(two, tmp_path, monkeypatch) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('an attack')\n")
    monkeypatch.chdir(tmp_path)
    plan = grid(tmp_path / "runs")
    with on(two) as executor:
        (end,) = [said for said in executor.run(plan.todo[:1]) if isinstance(said, Done)]
    assert end.status == "ok"


@pytest.mark.ray
@pytest.mark.parametrize(
    ("places", "said"),
    [
        (Places(device="cpu", threads=2), "no machine of the Ray cluster has 2 CPU"),
        (Places(device="cuda"), "no machine of the Ray cluster has a GPU"),
    ],
)
def test_a_cluster_without_room_is_refused(places, said, two) -> None:
    with pytest.raises(Unsupported, match=said), RayExecutor(two.address, places):
        pass


@pytest.mark.ray
@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "127.0.0.1:1", "[::1]:1", "127.0.0.1:99999"])
def test_an_address_without_a_cluster_is_an_error_with_a_next_step(address) -> None:
    with pytest.raises(GanbenchError, match=re.escape(address)) as caught, RayExecutor(address, Places()):
        pass
    assert caught.value.hint


@pytest.mark.ray
def test_without_an_address_a_cluster_is_started_on_this_machine_and_ended(tmp_path) -> None:
    (tmp_path / "quick.toml").write_text(toy.QUICK)
    known = surroundings(tmp_path, HOME=str(tmp_path), NO_COLOR="1")
    arguments = ["run", "--arch", "mlp", "--loss", "hinge", "--protocol", "quick.toml", "--executor", "ray", "--json"]
    ran = subprocess.run(
        [sys.executable, "-m", "ganbench", *arguments],
        cwd=tmp_path,
        env=known,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert len(json.loads(ran.stdout)["rows"]) == 1
