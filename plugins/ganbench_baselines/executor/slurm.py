"""Jobs of a SLURM cluster: `--executor slurm:partition=gpu,time=60`. It needs `ganbench[slurm]`.

The runs of a command are one array of jobs. If the command ends before they do, they go on, and the same command finds
them again. A job whose time is over goes back into the queue, and continues from its checkpoint.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from msgspec.structs import replace

from ganbench import Done, Executor, Job, Message, Places, Stopping, Unsupported, hookimpl, lost
from ganbench_baselines.executor.slurm_arrays import Submission, found, stop_file, submitted, tidy

AT_A_TIME = 256
"""Jobs of an array that run at a time, unless the user says otherwise."""
LARGEST_ARRAY = 1000
"""Jobs of an array. SLURM refuses more than MaxArraySize, which is 1001 unless the cluster's owners changed it."""
MINUTES = 60
"""The time of a job, unless the user says otherwise; it is continued in another if that is too short."""
POLL_SECONDS = 1.0
EXAMPLE = "for example --executor slurm:partition=gpu,time=60"


@hookimpl
def ganbench_executor(argument: str, places: Places) -> Executor:
    """Build the executor."""
    return SlurmExecutor(argument, places)


class Settings(NamedTuple):
    """What the user asked of SLURM: submitit's name of the cluster, and its parameters."""

    cluster: str
    parameters: dict[str, Any]


class SlurmExecutor(Executor):
    """Submits jobs as an array and follows what they say in files of the shared folder.

    Args:
        argument: settings of ``sbatch``, such as ``partition=gpu,time=60``, with the names that submitit has for them.
            ``cluster=local`` runs the jobs in processes of this machine, to try things out.
        places: how many jobs to run at a time, and on which device.

    Raises:
        Unsupported: a setting is wrong, submitit is not installed, or this machine has no SLURM.
    """

    elsewhere = True

    def __init__(self, argument: str, places: Places) -> None:
        self.workers = max(1, min(places.jobs or AT_A_TIME, places.most))
        self._threads, self._asked = places.threads, False
        self._settings = settings_of(argument, places, self.workers)
        if self._settings.cluster == "local":
            self.workers = AT_A_TIME  # submitit starts all at once

    def stop(self) -> None:
        """Ask every running job to save a checkpoint; those that wait in the queue are cancelled."""
        self._asked = True

    def run(self, jobs: Sequence[Job]) -> Iterator[Message]:
        """Yield events until every job is done, refused, lost, or given up after ``stop()``.

        Raises:
            Unsupported: SLURM does not take the jobs.
        """
        cluster, parameters = self._settings
        submissions = found(jobs, cluster) if jobs else []
        earlier = {each.job.key for each in submissions}
        new = [replace(job, workers=self.workers) for job in jobs if job.key not in earlier]
        parts = [new[begin : begin + LARGEST_ARRAY] for begin in range(0, len(new), LARGEST_ARRAY)]
        at_a_time = max(1, int(parameters["slurm_array_parallelism"]) // max(1, len(parts)))
        for part in parts:
            submissions += submitted(part, cluster, parameters | {"slurm_array_parallelism": at_a_time}, self._threads)
        yield from self._listen(submissions)
        tidy(submissions)

    def _listen(self, submissions: Sequence[Submission]) -> Iterator[Message]:
        waiting, told = list(submissions), False
        while waiting:
            if self._asked and not told:
                told = True
                _stop(waiting)
                yield Stopping()
            for each in waiting:
                yield from self._hear(each)
            waiting = [each for each in waiting if not each.over]
            if waiting:
                time.sleep(POLL_SECONDS)

    def _hear(self, each: Submission) -> Iterator[Message]:
        """What a job has said since the last call, and its end if it can say nothing more."""
        dead = each.is_dead  # before its last messages are read
        for said in each.new():
            stopped = isinstance(said, Done) and said.status == "interrupted" and not said.late
            yield self._lost(each, "an earlier command stopped it") if stopped and not self._asked else said
        if dead and not each.over:
            yield self._lost(each, each.fate)

    def _lost(self, each: Submission, reason: str) -> Done:
        each.over = each.lost = True
        return lost(each.job, reason)


def _stop(submissions: Sequence[Submission]) -> None:
    """Ask jobs that run for a checkpoint, and take those that wait from the queue, or wait there again."""
    for array in {each.array for each in submissions}:
        stop_file(array).touch()
    for each in submissions:
        if not each.begun or each.waits_again:
            each.give_up()


def settings_of(argument: str, places: Places, workers: int) -> Settings:
    """Parse ``partition=gpu,time=60``.

    Raises:
        Unsupported: see ``SlurmExecutor``.
    """
    pairs = [part.strip().partition("=") for part in argument.split(",") if part.strip()]
    if wrong := next((name for name, sign, value in pairs if not (name and sign and value)), None):
        raise Unsupported(f"--executor slurm: '{wrong}' has no value", EXAMPLE)
    asked = {name.removeprefix("slurm_"): _value(value) for name, _, value in pairs}
    cluster = str(asked.pop("cluster", "slurm"))
    if cluster not in {"slurm", "local"}:
        raise Unsupported(f"--executor slurm: there is no cluster '{cluster}'", "use slurm or local")
    generic, special = _names(cluster)
    if unknown := next((name for name in asked if name not in {*generic, *special}), None):
        known = ", ".join(sorted({*generic, *special}))
        raise Unsupported(f"--executor slurm: sbatch has no setting '{unknown}' that submitit knows", f"use {known}")
    if not isinstance(asked.get("time", 1), int):
        raise Unsupported(f"--executor slurm: time={asked['time']} is no number of minutes", EXAMPLE)
    usual: dict[str, Any] = {"name": "ganbench", "cpus_per_task": places.threads, "array_parallelism": workers}
    usual |= {} if {"time", "timeout_min"} & {*asked} else {"timeout_min": MINUTES}
    usual |= {"gpus_per_node": 1} if places.device == "cuda" else {}
    wanted = {**usual, **asked}
    return Settings(cluster, {name if name in generic else f"slurm_{name}": wanted[name] for name in wanted})


def _names(cluster: str) -> tuple[set[str], set[str]]:
    """Submitit's names of settings: those of every cluster, and those of SLURM."""
    try:
        import submitit
    except ImportError as error:
        raise Unsupported(f"--executor slurm needs submitit: {error}", "pip install 'ganbench[slurm]'") from error
    if cluster == "slurm" and shutil.which("srun") is None:
        raise Unsupported(
            "this machine has no SLURM: there is no program srun", "run this on a login node of a cluster"
        )
    return submitit.AutoExecutor._valid_parameters(), submitit.SlurmExecutor._valid_parameters()


def _value(text: str) -> str | int | float | bool:
    """A number, unless that would be written in another way (an account may begin with 0), a truth value, or a text."""
    for kind in (int, float):
        with suppress(ValueError):
            if str(number := kind(text)) == text:
                return number
    return {"true": True, "false": False}.get(text.lower(), text)
