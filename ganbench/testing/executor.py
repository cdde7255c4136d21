"""Conformance checks of an executor: each job is carried out once, with the same bits as anywhere, and can be stopped.

Their jobs are a few short runs, and some that are stopped long before their end.
"""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, get_args

from msgspec.structs import replace

from ganbench.contracts.executor import (
    Done,
    Ending,
    Executor,
    Fits,
    Message,
    Places,
    Progress,
    Refused,
    Resumed,
    Started,
    Stopping,
    TrainingJob,
)
from ganbench.plugins.source import Source
from ganbench.runs.executors.inline import InlineExecutor
from ganbench.testing.findings import Checks, Finding, Findings, raising
from ganbench.testing.given import Builder
from ganbench.testing.jobs import LONG, Heard, contents, hear, is_lost, key_of, record_of, small_job
from ganbench.testing.switches import switches_kept

CHECKS: Checks[ExecutorCase] = Checks("executor")
Given = str | Source | ModuleType | Callable[..., Executor]
Kill = Callable[[Any], object]
AT_A_TIME = 2
ASKED = Places(jobs=AT_A_TIME, most=AT_A_TIME, device="cpu")
NOBODY = "nobody:nothing"
"""The reference of a component that no package provides."""


class Session(NamedTuple):
    """What an executor made of tryouts, then of jobs of which one cannot run, then of a finished job once more."""

    tried: Heard
    traces: Sequence[str]
    """The files that the tryouts left."""
    first: Heard
    again: Heard
    before: dict[str, bytes]
    """The files of the finished job, before it was handed out once more, and after."""
    after: dict[str, bytes]


@dataclass(frozen=True)
class ExecutorCase:
    """An executor under test, how to build more, a folder for runs, and a function that kills a worker."""

    first: Executor
    build: Builder
    folder: Path
    kill: Kill | None = None

    @contextmanager
    def started(self) -> Iterator[Executor]:
        """A new executor, whose workers end with the block."""
        built: Executor = self.build(places=ASKED)
        with built:
            yield built

    @cached_property
    def session(self) -> Session:
        """An undisturbed session, in the order in which ``ganbench run`` calls an executor."""
        with self.started() as executor:
            jobs = [small_job(self.folder, seed, elsewhere=executor.elsewhere) for seed in range(AT_A_TIME)]
            tried = hear(executor, [replace(jobs[0], tryout=True)])
            traces = sorted(contents(Path(jobs[0].folder)))
            first = hear(executor, [*jobs, _impossible(jobs[0])])
            before = contents(Path(jobs[0].folder))
            again = hear(executor, jobs[:1])
        return Session(tried, traces, first, again, before, contents(Path(jobs[0].folder)))


def executor_findings(executor: Given, kill: Kill | None = None, skip: Collection[str] = ()) -> Findings:
    """List everything wrong with an executor, without raising. Trains tiny networks, in a temporary folder.

    Args:
        executor: how to build it, for several are needed: an installed one's name, the module with the hook, the hook,
            or a function such as ``lambda: Pool(workers=2)``.
        kill: is called with an executor that has jobs in progress, and kills one of its busy workers without warning.
            None leaves out the check of what becomes of the jobs then.
        skip: names of checks that do not apply.

    Raises:
        ValueError: ``skip`` names a check that does not exist.
        PluginError: no executor is installed under that name, or it cannot be used.
        Unsupported: it declines, because its machines cannot be reached.
        TypeError: an executor was given, not how to build it.
    """
    if isinstance(executor, Executor):
        name = type(executor).__name__
        raise TypeError(f"check_executor was given a {name}; pass a function that builds one, such as lambda: {name}()")
    build = Builder("executor", executor)
    first = build(places=ASKED)  # here, so that one that declines is not found at fault
    with tempfile.TemporaryDirectory(prefix="ganbench-", ignore_cleanup_errors=True) as folder:
        return Findings(build.title, CHECKS.run(ExecutorCase(first, build, Path(folder), kill), skip))


check_executor = raising(executor_findings)
"""Raise one ``ConformanceError`` with everything wrong. The arguments are those of ``executor_findings``."""


def _impossible(job: TrainingJob) -> TrainingJob:
    """A job with an arch that is not installed."""
    home = f"{job.folder}-impossible"
    return replace(job, arch=NOBODY, label="impossible", folder=home, store=home if job.store else "")


# -- the contract ------------------------------------------------------------------------------------------------------


@CHECKS.add_vital
def executor_is_of_the_contract(case: ExecutorCase) -> Iterator[Finding]:
    """The number of workers decides the order of jobs and the estimate of the time left.

    Where workers may be on other machines, ``elsewhere`` tells each job where its files are stored.
    """
    it = case.first
    if not isinstance(it, Executor):
        yield Finding(f"a {type(it).__name__}", "a ganbench.Executor", "derive the class from ganbench.Executor")
        return
    with it:
        if not isinstance(it.workers, int) or isinstance(it.workers, bool) or it.workers < 1:
            yield Finding(f"workers = {it.workers!r}", "a whole number of at least 1", "set it to the jobs at a time")
        if not isinstance(it.elsewhere, bool):
            yield Finding(f"elsewhere = {it.elsewhere!r}", "True or False", "set it in the class")


@CHECKS.add_vital
def without_jobs_nothing_is_said(case: ExecutorCase) -> Iterator[Finding]:
    """A session in which everything is finished already hands out no jobs."""
    with case.started() as executor:
        heard = hear(executor, [])
    if heard.messages:
        yield Finding(f"{_named(heard.messages)} without any job", "nothing", "return from run() if there are no jobs")


@CHECKS.add_vital
def every_job_begins_and_ends_once(case: ExecutorCase) -> Iterator[Finding]:
    """Progress, retries and the table depend on it: Started comes first, one of Done, Fits and Refused last.

    Every event carries the key of a job that was handed out.
    """
    for heard in (case.session.tried, case.session.first, case.session.again):
        keys = {job.key for job in heard.jobs}
        if strange := [said for said in heard.messages if not isinstance(said, Message)]:
            yield Finding(f"{strange[0]!r}", "events of ganbench.Event", "pass on what perform says, unchanged")
        elif unknown := sorted({key for said in heard.messages if (key := key_of(said)) and key not in keys}):
            yield Finding(f"an event of {unknown[0]!r}, which was not handed out", "known keys", "keep job and event")
        elif early := [said for said in heard.messages if isinstance(said, Stopping)]:
            yield Finding(
                f"{early[0]!r} without stop()", "Stopping after stop()", "yield it only once stop() is called"
            )
        for job in heard.jobs:
            events = [type(said) for said in heard.of(job)]
            endings = [kind for kind in events if kind in get_args(Ending)]
            if (
                events[:1] != [Started]
                or len(endings) != 1
                or events[-1] is not endings[0]
                or events.count(Started) > 1
            ):
                yield Finding(
                    seen=f"{_named(heard.of(job)) or 'nothing'} of {job.key}",
                    expected="Started, then what happens, then one of Done, Fits and Refused",
                    mend="pass on what perform says, in its order, and end a job whose worker died with lost",
                )
                return


@CHECKS.add
def tryouts_write_nothing(case: ExecutorCase) -> Iterator[Finding]:
    """A tryout finds out whether a combination is possible.

    A record or a checkpoint that it left would be taken for the run itself.
    """
    (job,) = case.session.tried.jobs
    ending = case.session.tried.ending(job)
    if not isinstance(ending, Fits):
        yield Finding(f"a tryout ended with {ending!r}", "Fits", "hand out the job as it is, with tryout=True")
    if case.session.traces:
        left = ", ".join(case.session.traces[:3])
        yield Finding(f"a tryout left {left}", "no files", "write nothing of your own into the folders of jobs")


@CHECKS.add
def a_job_that_cannot_run_is_refused(case: ExecutorCase) -> Iterator[Finding]:
    """The others go on. The user sees the reason and the next step, which Refused carries."""
    *_, job = case.session.first.jobs
    ending = case.session.first.ending(job)
    if not isinstance(ending, Refused) or NOBODY.partition(":")[2] not in ending.message:
        yield Finding(
            seen=f"a run with an arch that is not installed ended with {ending!r}",
            expected="Refused, with what perform says about it",
            mend="let perform find out whether a job can run",
        )


@CHECKS.add
def a_finished_run_is_left_alone(case: ExecutorCase) -> Iterator[Finding]:
    """A job may be handed out again. A worker that finds its record says Done and trains nothing."""
    (job,) = case.session.again.jobs
    if case.session.before and case.session.after != case.session.before:
        changed = sorted({name for name, _ in case.session.before.items() ^ case.session.after.items()})
        yield Finding(f"{', '.join(changed[:3])} changed", "unchanged files", "hand out the job as it is")
    elif any(isinstance(said, Progress) for said in case.session.again.of(job)):
        yield Finding(f"{job.key} was trained once more", "Started, then Done", "keep the job's folder")


@CHECKS.add
def bits_are_those_of_a_run_in_this_process(case: ExecutorCase) -> Iterator[Finding]:
    """A result does not depend on where it was computed: same job, same bits.

    (On other hardware, bits may differ; then the record says so.)
    """
    for job in case.session.first.jobs[:-1]:
        with warnings.catch_warnings(), switches_kept():
            warnings.simplefilter("ignore")
            twin = small_job(case.folder / "twins", job.seed)
            hear(InlineExecutor(), [twin])
        ours, theirs = record_of(job), record_of(twin)
        if ours is None or theirs is None:
            yield Finding(f"no record in {job.folder}", "record.json", "give jobs to perform as they are")
            return
        if ours.bits != theirs.bits and ours.environment.core == theirs.environment.core:
            yield Finding(
                seen=f"{job.key} has the bits {ours.bits.weights}, and {theirs.bits.weights} in this process",
                expected="the same bits",
                mend="give jobs to perform as they are, with the threads of places, in a process without other work",
            )
            return


# -- stopping and failing ----------------------------------------------------------------------------------------------


@CHECKS.add
def stopped_runs_save_a_checkpoint_and_are_resumed(case: ExecutorCase) -> Iterator[Finding]:
    """After Ctrl-C, the same command goes on.

    stop() asks every running job to save a checkpoint, Stopping says so once, and no further job starts.
    """
    with case.started() as executor:
        few = min(executor.workers, AT_A_TIME)
        jobs = [small_job(case.folder / "stopped", n, LONG, elsewhere=executor.elsewhere) for n in range(few + 1)]
        heard = hear(executor, jobs, lambda said: executor.stop() if isinstance(said, Progress) else None)
        workers = executor.workers
    yield from _breaches_of_stopping(heard, workers)
    with case.started() as executor:
        begun = heard.begun()

        def heed(said: Message) -> None:
            if isinstance(said, Progress | Resumed):
                executor.stop()

        resumed = hear(executor, begun, heed)
    if not any(isinstance(said, Resumed) for said in resumed.messages):
        yield Finding(
            seen="the same jobs began from scratch",
            expected="Resumed, from the checkpoint",
            mend="ask through should_stop of perform, wait for the job's end, and hand it out again as it was",
        )


def _breaches_of_stopping(heard: Heard, workers: int) -> Iterator[Finding]:
    told = sum(isinstance(said, Stopping) for said in heard.messages)
    if told != 1:
        yield Finding(f"Stopping came {told} times", "once", "yield Stopping() once, at the next message after stop()")
    endings = [heard.ending(job) for job in heard.begun()]
    wrong = [said for said in endings if not isinstance(said, Done) or said.status != "interrupted" or said.lost]
    if wrong:
        yield Finding(
            seen=f"after stop(), a run ended with {wrong[0]!r}",
            expected="Done with the status interrupted, said by perform",
            mend="let should_stop of perform return True once stop() was called, and wait for what it says",
        )
    elif len(endings) > workers:
        yield Finding(
            seen=f"{len(endings)} jobs started, although stop() was called while the first {workers} ran",
            expected="no further job after stop()",
            mend="look whether stop() was called before a worker takes a job",
        )


@CHECKS.add
def a_worker_that_dies_costs_its_own_job_alone(case: ExecutorCase) -> Iterator[Finding]:
    """Workers run out of memory, and machines fail. Such a job ends as lost, which the session tries again.

    This check needs ``kill``.
    """
    if case.kill is None:
        return
    with case.started() as executor:
        jobs = [small_job(case.folder / "killed", n, LONG, elsewhere=executor.elsewhere) for n in range(AT_A_TIME)]
        heard = hear(executor, jobs, _Killer(executor, case.kill).heed)
    endings = [heard.ending(job) for job in jobs]
    deaths = sum(map(is_lost, endings))
    if deaths != 1:
        yield Finding(
            seen=f"one worker of {len(jobs)} was killed, and {deaths} jobs ended as lost: {endings!r}",
            expected="one job that is lost, and another that goes on",
            mend="notice the death of a worker, yield lost(job, reason), and let the other workers live",
        )
    for job, ending in zip(jobs, endings, strict=True):
        if not is_lost(ending) and not (isinstance(ending, Done) and ending.status in {"ok", "interrupted"}):
            yield Finding(f"the other job, {job.key}, ended with {ending!r}", "a run unharmed", "start another worker")


class _Killer:
    """Kills a worker at the first progress, and stops everything once the other job has got on without it."""

    def __init__(self, executor: Executor, kill: Kill) -> None:
        self.executor, self.kill = executor, kill
        self.seen = Counter[str]()
        self.lost = ""

    def heed(self, said: Message) -> None:
        """Take note of a message."""
        if isinstance(said, Done) and said.lost:
            self.lost = said.key
        elif isinstance(said, Progress):
            if not self.seen:
                self.kill(self.executor)
            self.seen[said.key] += 1
            if self.lost and said.key != self.lost:
                self.executor.stop()


def _named(messages: Sequence[Message]) -> str:
    """The kinds of messages, in order, without repetitions in a row: ``Started, Progress, Done``."""
    names = [type(said).__name__ for said in messages]
    return ", ".join(name for place, name in enumerate(names) if names[place - 1 : place] != [name])
