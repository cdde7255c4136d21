"""The state of a command that runs many jobs, kept in a file, so that ``ganbench status`` can show it anywhere."""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from ganbench.contracts.executor import (
    Done,
    Event,
    Judging,
    Looked,
    Preparing,
    Progress,
    Refused,
    Resumed,
    Started,
    TrainingJob,
    runs_among,
)
from ganbench.contracts.score_name import short_name
from ganbench.errors import RecordError
from ganbench.records.files import write_atomically
from ganbench.records.store import read
from ganbench.runs.estimate import Estimate, seconds_left
from ganbench.runs.plan import Plan

FILE = "status.json"
EVERY = 2.0
"""Seconds between two writes of the file, while nothing ends."""
State = Literal["waiting", "running", "judging", "ok", "diverged", "error", "timeout", "interrupted", "refused", "lost"]
OVER: tuple[State, ...] = ("ok", "diverged", "error", "timeout", "refused")
"""States of runs that the same command does not take up again."""


class RunState(msgspec.Struct):
    """One run: how far it is, from 0 to 1, its headline so far, and why it ended, if it did not end well."""

    key: str
    folder: str
    state: State = "waiting"
    share: float = 0.0
    headline: str = ""
    score: float | None = None
    reason: str = ""


class Board(msgspec.Struct):
    """The content of the file. Times are seconds since 1970; ``left`` is the estimate of the seconds left."""

    protocol: str
    digest: str
    machine: str
    process: int
    workers: int
    began: float
    written: float
    runs: list[RunState]
    left: float | None = None
    ended: bool = False

    @property
    def is_alive(self) -> bool:
        """Whether the command goes on, as far as this machine can tell."""
        if self.ended:
            return False
        if self.machine != platform.node():
            return time.time() - self.written < 100 * EVERY
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except OSError:  # it is another user's
            return True
        return True


class BoardKeeper:
    """Keeps the board of a session in ``status.json``, in the folder of its protocol's runs."""

    def __init__(self, plan: Plan, workers: int, estimate: Estimate | None) -> None:
        self.jobs = runs_among(plan.todo)
        self.estimate = estimate or Estimate()
        done = {job.key: _found(job) for job in runs_among(plan.finished)}
        runs = [RunState(job.key, job.folder, done.get(job.key, "waiting")) for job in plan.runs]
        self.states = {run.key: run for run in runs}
        now = time.time()
        self.board = Board(
            plan.protocol.name, plan.protocol.digest, platform.node(), os.getpid(), workers, now, now, runs
        )
        self.file = Path(runs[0].folder).parents[1] / FILE if runs else None
        self._write()

    def note(self, event: Event) -> None:
        """Take note of an event; the file is written when a run starts or ends, and now and then."""
        run = self.states.get(getattr(event, "key", ""))
        if run is None:
            return
        match event:
            case Started():
                run.state, run.reason = "running", ""
            case Resumed():
                run.share = event.kimg / event.budget
            case Progress():
                run.share, run.reason = event.share, ""
            case Preparing():
                run.reason = f"{event.what}: {event.share:.0%}"
            case Looked():
                run.headline, run.score = short_name(event.name), event.score
            case Judging():
                run.state, run.share = "judging", 1.0
            case Done():
                run.state, run.reason = "lost" if event.lost else _state_of(event), event.reason
                named = {short_name(name): score for name, score in event.scores.items()}
                run.score = named.get(run.headline, run.score)
            case Refused():
                run.state, run.reason = "refused", event.message
        if isinstance(event, Started | Done | Refused) or time.time() - self.board.written >= EVERY:
            self._write()

    def close(self) -> None:
        """Note that the command has ended."""
        self.board.ended = True
        self._write()

    def _write(self) -> None:
        shares = {run.key: run.share for run in self.board.runs}
        over = {run.key for run in self.board.runs if run.state in OVER}
        left = seconds_left(self.jobs, self.estimate, shares, over)
        self.board.left = None if left is None else left / max(1, self.board.workers)
        self.board.written = time.time()
        if self.file is not None:
            with suppress(RecordError):  # runs matter more than their display
                write_atomically(self.file, msgspec.json.format(msgspec.json.encode(self.board), indent=1))


def _found(job: TrainingJob) -> State:
    """How a run ended that was over before."""
    with suppress(RecordError):
        record = read(job.record_file)
        return "interrupted" if record.status == "skipped" else record.status
    return "ok"


def _state_of(event: Done) -> State:
    return "interrupted" if event.status == "skipped" else event.status


def boards_in(runs: Path) -> list[Board]:
    """The boards in a folder of runs, the latest first; a file that cannot be read is left out."""
    found = []
    for file in runs.glob(f"*/{FILE}"):
        with suppress(OSError, msgspec.MsgspecError):
            found.append(msgspec.json.decode(file.read_bytes(), type=Board))
    return sorted(found, key=lambda board: -board.written)
