"""Arrays of SLURM jobs below the folder for runs, so that a later command finds those of an earlier one."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from ganbench import Ending, Job, Message, Unsupported
from ganbench_baselines.executor.slurm_events import Reader
from ganbench_baselines.executor.slurm_task import Task

HOME = ".slurm"
STATE = "array.json"
QUIET_SECONDS = 5.0
"""Without a message, after which SLURM is asked about a job."""
GRACE_SECONDS = 5.0
"""For the last messages of a job that has ended to arrive through the shared file system."""
TIMEOUTS = 1000
"""How often a task may be continued after its time was over."""


class Entry(msgspec.Struct, frozen=True):
    """A submitted job: its number in SLURM, and a hash of what it is."""

    number: str
    job: str


class State(msgspec.Struct, frozen=True):
    """The content of ``array.json``, which says what was submitted."""

    cluster: str
    entries: tuple[Entry, ...]


class Submission:
    """A job that was submitted, by this command or an earlier one.

    Args:
        job: the job.
        array: the folder of its array.
        place: which of the array's jobs it is.
        handle: submitit's.
    """

    def __init__(self, job: Job, array: Path, place: int, handle: Any) -> None:
        self.job, self.array, self.handle = job, array, handle
        self._reader = Reader(events_file(array, place))
        self._heard, self._ended = time.monotonic(), float("inf")
        self.begun = self.over = self.lost = False

    def new(self) -> Iterator[Message]:
        """What it has said since the last call."""
        for said in self._reader.read():
            self.begun, self._heard = True, time.monotonic()
            self.over = self.over or isinstance(said, Ending)
            yield said

    def give_up(self) -> None:
        """Take it from the queue, and expect nothing more of it."""
        self.handle.cancel(check=False)
        self.over = True

    @property
    def is_dead(self) -> bool:
        """Whether it has ended without saying so, and what it said last has had the time to arrive."""
        now = time.monotonic()
        if now - self._heard > QUIET_SECONDS and now < self._ended and self.handle.done():
            self._ended = now
        return now - self._ended > GRACE_SECONDS

    @property
    def waits_again(self) -> bool:
        """Whether SLURM says that it is back in the queue."""
        return str(self.handle.state).upper() in {"PENDING", "REQUEUED"}

    @property
    def fate(self) -> str:
        """How SLURM says that it ended."""
        return f"job {self.handle.job_id} of SLURM ended as {str(self.handle.state).lower()}"


def home_of(job: Job) -> Path:
    """The folder for arrays: below that for runs, which all machines share."""
    return Path(os.path.abspath(job.folder)).parents[2] / HOME


def events_file(array: Path, place: int) -> Path:
    """The file in which a job of an array says what happens."""
    return array / f"{place}.events"


def stop_file(array: Path) -> Path:
    """The file that asks all jobs of an array to save a checkpoint and end."""
    return array / "stop"


def submitted(jobs: Sequence[Job], cluster: str, parameters: Mapping[str, Any], threads: int) -> list[Submission]:
    """Submit jobs as an array.

    Raises:
        Unsupported: SLURM refuses it; the message is SLURM's.
    """
    import submitit

    array = home_of(jobs[0]) / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    array.mkdir(mode=0o700, parents=True)
    tasks = [Task(job, events_file(array, place), stop_file(array), threads) for place, job in enumerate(jobs)]
    try:
        with _surroundings(threads):
            limits = {"slurm_max_num_timeout": TIMEOUTS, "local_max_num_timeout": TIMEOUTS}
            executor = submitit.AutoExecutor(folder=array / "logs", cluster=cluster, **limits)
            executor.update_parameters(**parameters)
            handles = executor.submit_array(tasks)
    except Exception as error:  # submitit raises what it likes, AssertionError included
        shutil.rmtree(array, ignore_errors=True)
        raise Unsupported(
            f"SLURM does not take the jobs: {' '.join(str(error).split()) or type(error).__name__}",
            "correct the settings, as in --executor slurm:partition=gpu,time=60",
        ) from error
    entries = [Entry(str(handle.job_id), hash_of(job)) for job, handle in zip(jobs, handles, strict=True)]
    partial = array / f"{STATE}.tmp"
    partial.write_bytes(msgspec.json.encode(State(cluster, tuple(entries))))
    partial.replace(array / STATE)
    return [Submission(job, array, place, handles[place]) for place, job in enumerate(jobs)]


def found(jobs: Sequence[Job], cluster: str) -> list[Submission]:
    """Those of the jobs that an earlier command submitted and that still wait in the queue or run."""
    mine = [job for job in jobs if not job.tryout]
    wanted = {hash_of(msgspec.structs.replace(job, fresh=True)): job for job in mine}
    wanted |= {hash_of(job): job for job in mine}
    taken = dict[str, Submission]()
    for array in sorted(home_of(jobs[0]).glob("*/")):
        state = _state_of(array)
        for place, entry in enumerate(state.entries if state else ()):
            if entry.job in wanted and state and state.cluster == cluster and not _is_over(array, place, state):
                handle = _handle(cluster, array, entry.number)
                taken[entry.job] = Submission(wanted[entry.job], array, place, handle)
    return list({each.job.key: each for each in taken.values()}.values())


def tidy(submissions: Sequence[Submission]) -> None:
    """Remove the arrays of which every job is over; that of a lost one stays, for its logs."""
    kept = {each.array for each in submissions if each.lost}
    for array in {each.array for each in submissions} - kept:
        state = _state_of(array)
        if state and all(_is_over(array, place, state) for place in range(len(state.entries))):
            shutil.rmtree(array, ignore_errors=True)
            with suppress(OSError):  # others are in it
                array.parent.rmdir()


def _is_over(array: Path, place: int, state: State) -> bool:
    """Whether a job has said its end, or SLURM knows that it has ended."""
    if any(isinstance(said, Ending) for said in Reader(events_file(array, place)).read()):
        return True
    return bool(_handle(state.cluster, array, state.entries[place].number).done())


def hash_of(job: Job) -> str:
    """What a job is, apart from how it is carried out. Its ``store`` names its folder whatever the user typed."""
    plain = msgspec.structs.replace(job, workers=1, rank=0, limit=0.0, folder="")
    return hashlib.sha256(msgspec.json.encode(plain)).hexdigest()[:32]


def _state_of(array: Path) -> State | None:
    try:
        return msgspec.json.decode((array / STATE).read_bytes(), type=State)
    except (OSError, msgspec.DecodeError):  # it was removed meanwhile, or never submitted
        return None


def _handle(cluster: str, array: Path, number: str) -> Any:
    import submitit

    if cluster == "local":
        return _Process(number)
    return submitit.SlurmJob(folder=array / "logs", job_id=number)


class _Process:
    """A local job of an earlier command, of which only the number of its process is known."""

    def __init__(self, number: str) -> None:
        self.job_id, self.state = number, "finished"

    def done(self) -> bool:
        """Whether the process has ended."""
        try:
            os.kill(int(self.job_id), 0)
        except OSError:
            return True
        return False

    def cancel(self, check: bool = True) -> None:
        """End it."""
        with suppress(OSError):
            os.kill(int(self.job_id), signal.SIGINT)


@contextmanager
def _surroundings(threads: int) -> Iterator[None]:
    """Jobs inherit the environment: the number of threads, and nothing is imported from the working directory."""
    wanted = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
