"""Where runs are stored when their workers are elsewhere: whole files, the record last, and nothing lost or twice."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path

import fsspec
import msgspec
import pytest
import toy
from msgspec.structs import replace
from running import QUICK, bits, carry_out, job_in, never, plan_of, unheard

from ganbench.contracts.executor import Done, Job, Message, Progress, Refused, Resumed
from ganbench.errors import GanbenchError, GanbenchWarning, RecordError
from ganbench.records.store import read, write
from ganbench.runs import session, storage
from ganbench.runs.display import Display
from ganbench.runs.executors.inline import InlineExecutor
from ganbench.runs.executors.log import RunLog
from ganbench.runs.executors.work import outcome_of
from ganbench.runs.plan import stored_at
from ganbench.runs.storage import Storage, Unshared, collect, runs_folder

ROW = "quick-v1/mlp+hinge/seed0"
numbers = itertools.count()


@pytest.fixture(params=["folder", "object store"])
def address(request, tmp_path) -> str:
    """Where a run is stored: in a folder, or where files are objects."""
    if request.param == "folder":
        (tmp_path / "shared").mkdir()
        return f"{tmp_path}/shared/{ROW}"
    return objects()


def objects() -> str:
    """An address of a run in an object store of this process, with nothing in it."""
    return f"memory://bucket-{next(numbers)}/{ROW}"


@pytest.fixture
def here(tmp_path) -> Path:
    """The scratch folder of a worker."""
    return tmp_path / "scratch/seed0"


def attempt(address: str, folder: Path) -> Storage:
    """What a worker that is about to begin has fetched."""
    store = Storage(address)
    store.fetch(folder)
    return store


def stored(address: str) -> dict[str, bytes]:
    """Name -> content, of everything that is stored of a run."""
    store = Storage(address)
    return {
        str(path).removeprefix(store.root)[1:]: store.system.cat_file(path) for path in store.system.find(store.root)
    }


def finished(folder: Path, level: float = 0.5) -> bytes:
    """A run that is over: its record and weights."""
    write(toy.make(level=level), folder / "record.json")
    (folder / "checkpoint.pt").write_bytes(b"weights of %d" % (100 * level))
    return (folder / "record.json").read_bytes()


# -- checkpoints -------------------------------------------------------------------------------------------------------


def test_the_latest_checkpoint_is_stored_alone_under_the_name_of_its_content(address, here, tmp_path) -> None:
    store = attempt(address, here)
    for content in (b"first", b"second"):
        (here / "checkpoint.pt").write_bytes(content)
        store.keep(here)
    checkpoints = {name for name in stored(address) if name.startswith("checkpoints/")}
    assert checkpoints == {f"checkpoints/{storage._name_of(b'second')}"}
    attempt(address, tmp_path / "next")
    assert (tmp_path / "next/checkpoint.pt").read_bytes() == b"second"


@pytest.mark.parametrize("damaged", ["checkpoints/", "checkpoint.json"])
def test_half_a_checkpoint_is_never_read(damaged, address, here, tmp_path) -> None:
    store = attempt(address, here)
    (here / "checkpoint.pt").write_bytes(b"everything")
    store.keep(here)
    (name,) = (name for name in stored(address) if name.startswith(damaged))
    store.system.pipe_file(f"{store.root}/{name}", stored(address)[name][:-3])
    attempt(address, tmp_path / "next")
    assert not (tmp_path / "next/checkpoint.pt").exists()


@pytest.mark.parametrize("name", ["../../secret", "..\\secret", "C:secret", "/secret"])
def test_a_checkpoint_elsewhere_is_not_read(name, tmp_path) -> None:
    root = tmp_path / "shared" / ROW
    (root / "checkpoints").mkdir(parents=True)
    for secret in (root.parent / "secret", root / "checkpoints" / name.strip("/.\\")):
        secret.write_bytes(b"secret")
    (root / "checkpoint.json").write_bytes(msgspec.json.encode(storage.Latest(name)))
    attempt(str(root), tmp_path / "next")
    assert not (tmp_path / "next/checkpoint.pt").exists()


def test_what_has_not_changed_is_not_stored_again(address, here, monkeypatch) -> None:
    store, written = attempt(address, here), list[str]()
    (here / "history.jsonl").write_text("{}\n")
    (here / ".lock").touch()
    monkeypatch.setattr(store, "_write", lambda path, content: written.append(path.removeprefix(f"{store.root}/")))
    for _ in range(2):
        store.keep(here)
    assert written == ["history.jsonl"]


# -- records -----------------------------------------------------------------------------------------------------------


def test_the_record_comes_last(address, here, monkeypatch) -> None:
    store, written = attempt(address, here), list[str]()
    finished(here)
    (here / "samples").mkdir()
    (here / "samples/0.png").write_bytes(b"picture")
    write_one, pipe = store._write, store.system.pipe_file
    monkeypatch.setattr(store, "_write", lambda path, content: (written.append(path), write_one(path, content)))
    monkeypatch.setattr(store.system, "pipe_file", lambda *a, **named: (written.append(a[0]), pipe(*a, **named)))
    store.finish(here)
    assert len(set(written)) == 3
    assert [path.rpartition("/")[2] == "record.json" for path in dict.fromkeys(written)] == [False, False, True]


def test_a_run_in_progress_has_no_record(address, here) -> None:
    store = attempt(address, here)
    write(toy.make(status="interrupted"), here / "record.json")
    store.keep(here)
    assert "record.json" not in stored(address)


def test_of_two_workers_with_one_run_the_first_to_finish_counts(tmp_path) -> None:
    address = objects()
    first, second = (attempt(address, tmp_path / name) for name in "ab")
    records = [finished(tmp_path / name, level) for name, level in (("a", 0.25), ("b", 0.75))]
    first.finish(tmp_path / "a")
    second.finish(tmp_path / "b")
    assert stored(address)["record.json"] == records[0]


def test_a_finished_run_leaves_no_checkpoint_to_resume_from(address, here) -> None:
    store = attempt(address, here)
    (here / "checkpoint.pt").write_bytes(b"everything")
    store.keep(here)
    finished(here)
    store.finish(here)
    assert {*stored(address)} == {"record.json", "checkpoint.pt"}


def test_checkpoints_of_a_row_with_brackets_in_its_name_are_removed(here) -> None:
    address = f"memory://bucket-{next(numbers)}/quick-v1/mlp+hinge+betas=[0.5, 0.9]/seed0"
    store = attempt(address, here)
    (here / "checkpoint.pt").write_bytes(b"everything")
    store.keep(here)
    finished(here)
    store.finish(here)
    assert {*stored(address)} == {"record.json", "checkpoint.pt"}


def test_a_result_that_was_set_aside_earlier_comes_along_and_so_keeps_its_name(address, here, tmp_path) -> None:
    old = tmp_path / "old"
    finished(old)
    for name in ("record.old.json", "history.jsonl", "strip.webp"):
        (old / name).write_text(name)
    Storage(address).finish(old)
    attempt(address, here)
    assert {"record.old.json", "history.jsonl", "strip.webp", "record.json"} <= {file.name for file in here.iterdir()}


def test_a_forced_run_keeps_the_old_record_until_it_is_over(address, here, tmp_path) -> None:
    old = finished(tmp_path / "old")
    Storage(address).finish(tmp_path / "old")
    store = attempt(address, here)
    (here / "checkpoint.pt").write_bytes(b"new")
    store.keep(here)
    assert stored(address)["record.json"] == old
    new = finished(here, 0.75)
    store.finish(here)
    assert stored(address)["record.json"] == new


def test_a_run_that_is_repeated_because_code_has_changed_resumes_after_a_kill(address, here, tmp_path) -> None:
    old = finished(tmp_path / "old")
    Storage(address).finish(tmp_path / "old")
    store = attempt(address, here)
    assert (here / "record.json").read_bytes() == old
    for name in ("record", "checkpoint"):
        file = next(here.glob(f"{name}.*"))
        file.rename(file.with_stem(f"{name}.old"))  # as a run does
    write(toy.make(status="interrupted"), here / "record.json")
    (here / "checkpoint.pt").write_bytes(b"everything")
    store.keep(here)
    assert stored(address)["record.old.json"] == old
    again = attempt(address, tmp_path / "next")
    assert (tmp_path / "next/checkpoint.pt").read_bytes() == b"everything"
    assert not (tmp_path / "next/record.json").exists()
    new = finished(tmp_path / "next", 0.75)
    again.finish(tmp_path / "next")
    assert (stored(address)["record.json"], stored(address)["record.old.json"]) == (new, old)


def test_a_finished_run_is_stored_although_the_network_fails_for_a_moment(address, here, monkeypatch) -> None:
    store, calls = attempt(address, here), list[str]()
    finished(here)
    write_one = store._write

    def failing(path: str, content: bytes) -> None:
        calls.append(path)
        if len(calls) == 1:
            raise OSError("connection reset")
        write_one(path, content)

    monkeypatch.setattr(store, "_write", failing)
    monkeypatch.setattr(storage, "PAUSES", (0.0,))
    store.finish(here)
    assert {*stored(address)} == {"record.json", "checkpoint.pt"}


def test_the_log_of_an_earlier_attempt_goes_on(address, here, tmp_path) -> None:
    store = attempt(address, here)
    (here / "log.txt").write_text("first\n")
    store.keep(here)
    attempt(address, tmp_path / "next")
    assert (tmp_path / "next/log.txt").read_text() == "first\n"


# -- from and to other machines ----------------------------------------------------------------------------------------


def test_a_worker_without_the_shared_folder_says_so(tmp_path, here) -> None:
    with pytest.raises(Unshared, match=r"the worker on .* cannot see .*elsewhere\n") as caught:
        Storage(f"{tmp_path}/elsewhere/{ROW}").fetch(here)
    assert caught.value.hint == "give all machines a shared folder, or --out s3://BUCKET/FOLDER"


def test_small_files_come_home_and_weights_stay(tmp_path, here) -> None:
    address = objects()
    store = attempt(address, here)
    record = finished(here)
    (here / "history.jsonl").write_text("{}\n")
    store.finish(here)
    home = tmp_path / "home/seed0"
    collect(replace(job_in(tmp_path, rules=QUICK), store=address, folder=str(home)), over=True)
    assert (home / "record.json").read_bytes() == record
    assert sorted(file.name for file in home.iterdir()) == ["history.jsonl", "record.json"]


def test_a_run_whose_record_is_nowhere_is_an_error(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(storage, "SEEN_AFTER", 0)
    job = job_in(tmp_path / "runs", rules=QUICK)
    job = replace(job, store=job.folder)
    collect(job, over=False)
    with pytest.raises(Unshared, match="mlp\\+hinge, seed 0 is over, but its record is not in"):
        collect(job, over=True)


def test_names_that_lead_out_of_the_folder_are_left_behind(tmp_path, monkeypatch) -> None:
    address, home = objects(), tmp_path / "home/seed0"
    store = Storage(address)
    store.system.pipe_file(f"{store.root}/samples/0.png", b"picture")
    names = ["samples/0.png", "samples/../../../evil", "..\\evil", "C:evil"]
    monkeypatch.setattr(store.system, "find", lambda root: [f"{root}/{name}" for name in names])
    monkeypatch.setattr(store.system, "cat_file", lambda path: b"picture")
    store.collect(home)
    written = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()}
    assert written == {"home/seed0/samples/0.png", "home/seed0/record.json"}


def test_an_address_that_is_a_chain_is_refused_and_such_a_folder_is_not(tmp_path) -> None:
    with pytest.raises(GanbenchError, match="chain of file systems"):
        Storage("memory://bucket/a::b/row/seed0")
    assert Storage(f"{tmp_path}/a::b/row/seed0").root == f"{tmp_path}/a::b/row/seed0"


def test_a_log_that_cannot_be_written_costs_nothing() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    RunLog(Full()).write("begins")


def test_records_of_an_address_are_those_that_are_there_now(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    address = f"memory://bucket-{next(numbers)}"
    for seed in (0, 1):
        folder = tmp_path / f"seed{seed}"
        finished(folder)
        Storage(f"{address}/toy-v1/row/seed{seed}").finish(folder)
    folder = runs_folder(address)
    records = ["toy-v1/row/seed0/record.json", "toy-v1/row/seed1/record.json"]
    assert sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.*")) == records
    system, root = storage.reached(address)
    system.rm_file(f"{root}/{records[0]}")
    assert [file.relative_to(runs_folder(address)).as_posix() for file in folder.rglob("*.*")] == records[1:]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nowhere://bucket/runs", "cannot reach nowhere://bucket/runs"),
        ("broken://bucket/runs", "cannot read broken://bucket/runs: OSError: no route to host"),
    ],
)
def test_an_address_that_cannot_be_reached_is_named(address, said, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fsspec.register_implementation("broken", Broken, clobber=True)
    with pytest.raises(GanbenchError) as caught:
        runs_folder(address)
    assert caught.value.message.startswith(said)
    assert caught.value.hint


class Broken(fsspec.AbstractFileSystem):
    """A file system behind a network that is down."""

    protocol = "broken"

    def ls(self, path, detail=True, **_):
        raise OSError("no route to host")

    find = ls


# -- runs --------------------------------------------------------------------------------------------------------------


def ended(job: Job, say: Callable[[Message], None] = unheard, should_stop: Callable[[], bool] = never) -> str:
    """How a job ends that works in a scratch folder."""
    outcome = outcome_of(job, say, should_stop)
    return outcome.status if isinstance(outcome, Done) else outcome.message


def test_a_run_that_is_stopped_on_one_machine_resumes_on_another_with_the_same_bits(address, tmp_path) -> None:
    job = replace(job_in(tmp_path / "never", rules=QUICK), store=address)
    heard = list[Message]()
    assert ended(job, heard.append, lambda: any(isinstance(said, Progress) for said in heard)) == "interrupted"
    assert "record.json" not in stored(address)
    again = list[Message]()
    assert ended(job, again.append) == "ok"
    assert any(isinstance(said, Resumed) for said in again)
    files, alone = stored(address), carry_out(job_in(tmp_path / "alone", rules=QUICK))
    (tmp_path / "record.json").write_bytes(files["record.json"])
    assert bits(read(tmp_path / "record.json")) == bits(alone)
    assert {"checkpoint.pt", "history.jsonl", "strip.webp"} <= {*files}
    assert not Path(job.folder).exists()


def test_a_run_goes_on_where_workers_elsewhere_or_here_have_left_it(tmp_path) -> None:
    """Both directions, in one folder: stopped elsewhere, gone on here, stopped here, gone on elsewhere."""
    here = job_in(tmp_path / "shared", rules=QUICK)
    elsewhere = replace(here, store=str(Path(here.folder).resolve()))
    Path(here.folder).parents[2].mkdir(parents=True, exist_ok=True)
    heard = list[Message]()

    def went_on() -> bool:
        return any(isinstance(said, Progress) for said in heard)

    windows = 0
    for attempt, job in enumerate((elsewhere, here, elsewhere, here)):
        heard.clear()
        assert ended(job, heard.append, went_on) == "interrupted"
        assert any(isinstance(said, Resumed) for said in heard) == (attempt > 0)
        windows += sum(isinstance(said, Progress) for said in heard)
        assert Path(here.folder, "checkpoint.json").exists() == (job is elsewhere)
        assert Path(here.folder, "checkpoints").exists() == (job is elsewhere)
    heard.clear()
    assert ended(elsewhere, heard.append) == "ok"
    windows += sum(isinstance(said, Progress) for said in heard)
    undisturbed = list[Message]()
    alone = carry_out(job_in(tmp_path / "alone", rules=QUICK), undisturbed.append)
    assert bits(read(here.record_file)) == bits(alone)
    assert windows == sum(isinstance(said, Progress) for said in undisturbed), "nothing was done twice"


def test_a_forced_run_that_is_stopped_leaves_the_old_result_as_it_was(address, tmp_path) -> None:
    job = replace(job_in(tmp_path / "never", rules=QUICK), store=address)
    assert ended(job) == "ok"
    before = stored(address)
    heard = list[Message]()
    stopped = ended(replace(job, fresh=True), heard.append, lambda: any(isinstance(said, Progress) for said in heard))
    assert stopped == "interrupted"
    after = stored(address)
    assert {name: after[name] for name in ("record.json", "checkpoint.pt")} == {
        name: before[name] for name in ("record.json", "checkpoint.pt")
    }
    heard.clear()
    assert ended(replace(job, fresh=True), heard.append) == "ok"
    assert any(isinstance(said, Resumed) for said in heard)
    new = stored(address)
    assert new["record.json"] != before["record.json"]
    assert not [name for name in new if name.startswith("checkpoints/") or name == "checkpoint.json"]
    (tmp_path / "new.json").write_bytes(new["record.json"])
    (tmp_path / "old.json").write_bytes(before["record.json"])
    assert bits(read(tmp_path / "new.json")) == bits(read(tmp_path / "old.json"))


def test_without_force_a_stopped_forced_run_has_replaced_nothing(address, tmp_path) -> None:
    job = replace(job_in(tmp_path / "never", rules=QUICK), store=address)
    assert ended(job) == "ok"
    before = stored(address)
    heard = list[Message]()
    ended(replace(job, fresh=True), heard.append, lambda: any(isinstance(said, Progress) for said in heard))
    assert ended(job) == "ok"
    assert stored(address)["record.json"] == before["record.json"]
    assert stored(address)["checkpoint.pt"] == before["checkpoint.pt"]


def test_a_storage_that_fails_later_costs_its_run_alone(tmp_path, monkeypatch) -> None:
    jobs = plan_of(tmp_path / "never", "mlp", "hinge", QUICK, seeds=[0, 1]).runs
    base = objects().removesuffix("/seed0")
    first, second = (replace(job, store=f"{base}/seed{job.seed}") for job in jobs)
    monkeypatch.setattr(storage, "PAUSES", (0, 0))
    assert ended(first) == "ok"

    def broken(*_: object) -> None:
        raise OSError("no answer")

    monkeypatch.setattr(Storage, "_get", broken)
    outcome = outcome_of(second, unheard, never)
    assert isinstance(outcome, Done)
    assert outcome.lost
    assert "no answer" in outcome.reason


def test_results_that_cannot_come_home_now_are_fetched_later(tmp_path, monkeypatch) -> None:
    plan = stored_at(plan_of(tmp_path / "home", "mlp", "hinge", QUICK), f"memory://bucket-{next(numbers)}/runs")
    monkeypatch.setattr(storage, "PAUSES", (0,))
    collect, failures = Storage.collect, iter(range(2))

    def failing(self: Storage, folder: Path) -> None:
        if next(failures, None) is not None:
            raise RecordError("no answer")
        collect(self, folder)

    monkeypatch.setattr(Storage, "collect", failing)
    outcome = session.carry_out(plan, InlineExecutor(), Display(), patience=session.Patience(retries=1))
    assert outcome == session.Outcome()
    assert read(plan.runs[0].record_file).status == "ok"


def test_a_storage_that_fails_refuses_the_run_at_its_first_progress(tmp_path, monkeypatch) -> None:
    job = replace(job_in(tmp_path / "never", rules=QUICK), store=objects())
    heard = list[Message]()

    def broken(*_: object, **__: object) -> None:
        raise OSError("access denied")

    monkeypatch.setattr(Storage, "_write", broken)
    outcome = outcome_of(job, heard.append, never)
    assert isinstance(outcome, Refused)
    assert "access denied" in outcome.message
    assert not any(isinstance(said, Progress) for said in heard)


def test_a_storage_that_fails_for_a_moment_costs_nothing(tmp_path, monkeypatch) -> None:
    address = objects()
    job = replace(job_in(tmp_path / "never", rules=QUICK), store=address)
    write_one, calls = Storage._write, itertools.count()

    def failing(self: Storage, path: str, content: bytes) -> None:
        if next(calls) in range(8, 12):
            raise OSError("connection reset")
        write_one(self, path, content)

    monkeypatch.setattr(Storage, "_write", failing)
    with pytest.warns(GanbenchWarning, match="connection reset; this is tried again"):
        assert ended(job) == "ok"
    assert "record.json" in stored(address)
