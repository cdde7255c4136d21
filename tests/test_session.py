"""A plan that is carried out: lost runs are tried again, failures may stop everything, time may be short."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import toy
from msgspec.structs import replace
from running import QUICK, plan_of

from ganbench.contracts.executor import (
    Done,
    Executor,
    Job,
    Message,
    Refused,
    Started,
    Stopping,
    TrainingJob,
    Warned,
    lost,
)
from ganbench.errors import GanbenchWarning
from ganbench.records.store import read, write
from ganbench.runs.board import boards_in
from ganbench.runs.display import Display
from ganbench.runs.executors.local import LocalExecutor
from ganbench.runs.plan import Plan, stored_at
from ganbench.runs.session import Outcome, Patience, carry_out


class Scripted(Executor):
    """Runs nothing: each job ends as its script says, one end for each time that it is run."""

    def __init__(self, ends: dict[str, list[str]]) -> None:
        self.ends, self.ran, self.asked = ends, list[str](), False

    def stop(self) -> None:
        self.asked = True

    def run(self, jobs: Sequence[Job]) -> Iterator[Message]:
        for job in jobs:
            if self.asked:
                yield Stopping()
                return
            self.ran.append(job.key)
            yield Started(job.key)
            script = self.ends.get(job.key, ["ok"])
            end = script.pop(0) if len(script) > 1 else script[0]
            if end == "lost":
                yield lost(job, "the worker process died")
            elif end == "late":
                yield Done(job.key, "interrupted", "stopped at 1 of 2 kimg: its 60 s are over", late=True)
            elif end == "warned":
                yield Warned("be careful")
                yield Done(job.key, "ok", "")
            else:
                yield Done(job.key, end, "")  # type: ignore[arg-type]  # the script names a status


class Heard(Display):
    """Keeps events and lines."""

    def __init__(self) -> None:
        self.events, self.lines = list[Message](), list[str]()

    def show(self, event: Message) -> None:
        self.events.append(event)

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return plan_of(tmp_path, "mlp", "hinge,r1,lsgan", QUICK)


def ended(plan: Plan, ends: dict[str, list[str]], patience: Patience) -> tuple[Outcome, Scripted, Heard]:
    executor, heard = Scripted(ends), Heard()
    return carry_out(plan, executor, heard, patience=patience), executor, heard


def keys(plan: Plan) -> list[str]:
    return [job.key for job in plan.runs]


def test_a_lost_run_is_tried_again_after_the_others(plan: Plan) -> None:
    one, two, three = keys(plan)
    outcome, executor, heard = ended(plan, {one: ["lost", "ok"]}, Patience(retries=1))
    assert executor.ran == [one, two, three, one]
    assert outcome.lost == {}
    assert heard.lines == [f"{one}: the worker process died; it is tried again later"]
    assert [event.key for event in heard.events if isinstance(event, Done)] == [two, three, one]


def test_a_run_that_is_lost_each_time_is_tried_as_often_as_was_asked(plan: Plan) -> None:
    one, *_ = keys(plan)
    outcome, executor, _ = ended(plan, {one: ["lost"]}, Patience(retries=3))
    assert executor.ran.count(one) == 4
    assert outcome.lost == {one: f"{one}: the worker process died"}


def test_without_retries_a_lost_run_stays_lost(plan: Plan) -> None:
    one, *_ = keys(plan)
    outcome, executor, _ = ended(plan, {one: ["lost"]}, Patience())
    assert (executor.ran.count(one), [*outcome.lost]) == (1, [one])


@pytest.mark.parametrize("end", ["error", "lost"])
def test_the_first_failure_ends_everything_if_asked(end: str, plan: Plan) -> None:
    one, two, _ = keys(plan)
    outcome, executor, _ = ended(plan, {two: [end]}, Patience(fail_fast=True))
    assert executor.ran == [one, two]
    assert outcome.failed == two


def test_a_run_that_diverged_is_no_failure(plan: Plan) -> None:
    outcome, executor, _ = ended(plan, {keys(plan)[0]: ["diverged"]}, Patience(fail_fast=True))
    assert (outcome.failed, len(executor.ran)) == ("", 3)


def test_a_run_whose_time_is_over_is_told_and_not_tried_again(plan: Plan) -> None:
    one, *_ = keys(plan)
    outcome, executor, _ = ended(plan, {one: ["late"]}, Patience(retries=2))
    assert [*outcome.late] == [one]
    assert executor.ran.count(one) == 1


def test_a_warning_of_a_worker_is_issued_once_here(plan: Plan) -> None:
    with pytest.warns(GanbenchWarning, match="be careful") as caught:
        _, _, heard = ended(plan, {keys(plan)[0]: ["warned"]}, Patience())
    assert len(caught) == 1
    assert not any(isinstance(event, Warned) for event in heard.events)


def test_the_board_says_how_every_run_ended(plan: Plan, tmp_path: Path) -> None:
    one, two, _ = keys(plan)
    ended(plan, {one: ["error"], two: ["lost"]}, Patience())
    (board,) = boards_in(tmp_path)
    assert [run.state for run in board.runs] == ["error", "lost", "ok"]
    assert (board.protocol, board.ended, board.is_alive) == (QUICK.name, True, False)


def test_the_board_shows_what_was_over_before_and_what_is_impossible(tmp_path: Path) -> None:
    judged = replace(QUICK, evaluation=replace(QUICK.evaluation, yardsticks=("noise",)))
    plan = plan_of(tmp_path, "mlp", "hinge,r1,lsgan", judged)
    first, second, _ = plan.runs
    write(toy.make("mlp+hinge", status="diverged"), first.record_file)
    plan = dataclasses.replace(plan, finished=[first], todo=[job for job in plan.todo if job is not first])

    class Refusing(Scripted):
        def run(self, jobs: Sequence[Job]) -> Iterator[Message]:
            for job in jobs:
                if isinstance(job, TrainingJob) and job.combination == second.combination:
                    assert job.tryout
                    yield Refused(job.key, "it does not fit", "try another", broken=False, unsupported=True)
                else:
                    yield Done(job.key, "ok", "")

    outcome = carry_out(plan, Refusing({}), Heard())
    (board,) = boards_in(tmp_path)
    assert [run.state for run in board.runs] == ["diverged", "refused", "ok"]
    assert [*outcome.declined] == ["it does not fit"]


def test_a_run_stops_with_a_checkpoint_when_its_time_is_over_and_resumes(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "mlp", "hinge", QUICK)
    (job,) = plan.runs
    short = stored_at(plan, "", limit=1e-3)
    with LocalExecutor(1) as executor:
        outcome = carry_out(short, executor, Display())
        assert "its 0.001 s are over" in outcome.late[job.key]
        assert read(job.record_file).status == "interrupted"
        again = carry_out(plan, executor, Display())
    assert (again.late, read(job.record_file).status) == ({}, "ok")
