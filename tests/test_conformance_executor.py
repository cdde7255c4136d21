"""The checks of executors: each finds what is planted for it, and sound ones pass."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import pytest
import torch
from marks import slow
from msgspec.structs import replace
from planted import assert_found

from ganbench import Executor, Job, Message, Stopping, lost
from ganbench.contracts.executor import Done, Ending, Progress, Refused, Started, TrainingJob
from ganbench.errors import PluginError
from ganbench.runs.executors.inline import InlineExecutor
from ganbench.testing import CHECKS, ConformanceError, check_executor, executor_findings
from ganbench.testing.switches import switches_kept


class Sound(InlineExecutor):
    """Runs jobs in this process, which takes no time to start. Members change what it is given and what it says."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Message]:
        with switches_kept():  # a process of its own would end with them
            yield from self.tell(super().run([self.given(job) for job in jobs]))

    def given(self, job: Job) -> Job:
        return job

    def tell(self, said: Iterator[Message]) -> Iterator[Message]:
        yield from said


def executor(**members: Any) -> Callable[[], Executor]:
    """A sound executor with other members."""
    return type("Own", (Sound,), members)


def telling(change: Callable[[Message], Sequence[Any]]) -> Callable[[], Executor]:
    """A sound executor that says something else in place of each message."""
    return executor(tell=lambda self, messages: (other for said in messages for other in change(said)))


def given(change: Callable[[Job], Job]) -> Callable[[], Executor]:
    return executor(given=lambda self, job: change(job))


def without_being_asked(self, jobs):
    yield Stopping()


def deaf(self) -> None:
    """Only the line at the end shows that it was asked to stop."""


class Mortal(Sound):
    """Two jobs, of which the first is lost if its worker is killed: it is stopped, and the next begins."""

    dead = False

    def die(self) -> None:
        self.dead = self._stop = True

    def run(self, jobs):
        for job in jobs:
            yield from self.one(job)

    def one(self, job):
        worker = InlineExecutor()
        for said in worker.run([job]):
            if self._stop:
                worker.stop()
            if isinstance(said, Done) and self.dead:
                self.dead = self._stop = False
                yield self.end(job, said)
            elif not isinstance(said, Stopping):
                yield said

    def end(self, job, said):
        return lost(job, "its worker was killed")


class Silent(Mortal):
    """Takes a lost run for one that was stopped."""

    def end(self, job, said):
        return said


class Fragile(Mortal):
    """The death of a worker costs every job."""

    def run(self, jobs):
        for said in super().run(jobs):
            yield said
            if isinstance(said, Done) and said.lost:
                yield from (lost(job, "the pool is broken") for job in jobs if job.key != said.key)
                return


def kill(executor: Mortal) -> None:
    executor.die()


def greedy(self, jobs):
    """Starts every job before the first has got anywhere."""
    waiting = [job for job in jobs if isinstance(job, TrainingJob) and "stopped" in job.folder]
    yield from (Started(job.key) for job in waiting[1:])
    yield from (said for said in Sound.run(self, jobs))
    yield from (Done(job.key, "interrupted", "") for job in waiting[1:])


def threaded(self, jobs):
    torch.set_num_threads(3)
    return Sound.run(self, jobs)


BROKEN: dict[str, Callable[[], Any]] = {
    "executor-is-of-the-contract": executor(__init__=lambda self: setattr(self, "workers", 0)),
    "without-jobs-nothing-is-said": executor(run=without_being_asked),
    "every-job-begins-and-ends-once": telling(lambda said: [] if isinstance(said, Started) else [said]),
    "tryouts-write-nothing": given(lambda job: replace(job, tryout=False)),
    "a-job-that-cannot-run-is-refused": telling(
        lambda said: [Done(said.key, "error", "no idea") if isinstance(said, Refused) else said]
    ),
    "a-finished-run-is-left-alone": given(lambda job: replace(job, fresh=True)),
    "bits-are-those-of-a-run-in-this-process": given(lambda job: replace(job, recipe_changes={"lr": 0.5})),
    "stopped-runs-save-a-checkpoint-and-are-resumed": telling(
        lambda said: [said, said] if isinstance(said, Stopping) else [said]
    ),
    "a-worker-that-dies-costs-its-own-job-alone": Silent,
    "global-switches-stay-as-they-are": executor(run=threaded),
}
EARLIER = ("executor-is-of-the-contract", "without-jobs-nothing-is-said", "every-job-begins-and-ends-once")
AFTER_A_SESSION = ("stopped-runs-save-a-checkpoint-and-are-resumed", "a-worker-that-dies-costs-its-own-job-alone")


def found_by(check: str, build: Callable[[], Any]) -> list[Any]:
    """The findings of this check and those that come first; the others would only take time."""
    vital = EARLIER if check not in AFTER_A_SESSION else ()
    others = [name for name in CHECKS["executor"].names if name not in (check, *vital)]
    return executor_findings(build, kill if issubclass(build, Mortal) else None, skip=others)


@pytest.mark.parametrize("check", CHECKS["executor"].names)
def test_every_check_finds_what_it_is_there_for_and_says_how_to_mend_it(check: str) -> None:
    assert_found("executor", check, found_by(check, BROKEN[check]))


ENDS_TWICE = telling(lambda said: [said, said] if isinstance(said, Ending) else [said])
NEVER_ENDS = telling(lambda said: [] if isinstance(said, Ending) else [said])
SPEAKS_ON = telling(lambda said: [said, Progress(said.key, 1, 1, 1, 1, 1, {})] if isinstance(said, Ending) else [said])


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        ("executor-is-of-the-contract", executor(elsewhere="there")),
        ("every-job-begins-and-ends-once", ENDS_TWICE),
        ("every-job-begins-and-ends-once", NEVER_ENDS),
        ("every-job-begins-and-ends-once", SPEAKS_ON),
        ("every-job-begins-and-ends-once", telling(lambda said: [said, {"kind": "done"}])),
        ("every-job-begins-and-ends-once", telling(lambda said: [said, Started("another, seed 0")])),
        ("every-job-begins-and-ends-once", telling(lambda said: [said, Stopping()])),
        ("bits-are-those-of-a-run-in-this-process", given(lambda job: replace(job, folder=f"{job.folder}-here"))),
        ("stopped-runs-save-a-checkpoint-and-are-resumed", telling(lambda s: [] if isinstance(s, Stopping) else [s])),
        ("stopped-runs-save-a-checkpoint-and-are-resumed", given(lambda job: replace(job, fresh=True))),
        ("stopped-runs-save-a-checkpoint-and-are-resumed", executor(run=greedy)),
        slow(("stopped-runs-save-a-checkpoint-and-are-resumed", executor(stop=deaf))),
        ("a-worker-that-dies-costs-its-own-job-alone", Fragile),
    ],
)
def test_other_ways_to_break_the_contract_are_found(check: str, broken: Callable[[], Any]) -> None:
    assert_found("executor", check, found_by(check, broken))


def test_a_sound_executor_raises_no_false_alarm() -> None:
    assert executor_findings(Sound) == []


def test_a_worker_that_dies_in_a_sound_executor_is_no_fault() -> None:
    others = [name for name in CHECKS["executor"].names if name != "a-worker-that-dies-costs-its-own-job-alone"]
    assert executor_findings(Mortal, kill, skip=others) == []


def kill_a_process(executor: Any) -> None:
    """One of those that `local` has at work."""
    seat = next(seat for seat in executor._seats if seat.job)
    os.kill(seat.process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_the_built_in_executor_keeps_the_contract_also_if_a_worker_is_killed() -> None:
    check_executor("local", kill_a_process)


def test_what_is_no_executor_is_named() -> None:
    (finding,) = executor_findings(object)
    assert (finding.check, finding.seen) == ("executor-is-of-the-contract", "a object")


def test_the_error_names_what_was_checked() -> None:
    module = ModuleType("own")
    module.ganbench_executor = executor(elsewhere="there")
    with pytest.raises(ConformanceError, match="the executor own fails 1"):
        check_executor(module)
    with pytest.raises(TypeError, match="given a Sound; pass a function that builds one"):
        check_executor(Sound())
    with pytest.raises(PluginError, match="did you mean 'local'"):
        check_executor("locale")
