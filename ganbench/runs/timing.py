"""Time the rows of a table one at a time, round by round, on one machine.

Every row has its own process, so that the memory and caches of other rows do not affect it. The processes stay alive,
but only one works at a time. A temporary slowdown of the machine thus affects one round of several rows, not all the
rounds of one row; ``rounds.py`` decides which rounds are good.
"""

from __future__ import annotations

import pickle
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganbench.contracts.executor import TrainingJob
from ganbench.errors import GanbenchError, told_exit
from ganbench.records.timing import TIMING_FORMAT, Round, Timing, write_timing
from ganbench.runs.executors.spawning import BROKEN, CLOSING_SECONDS, LONGEST_MESSAGE, context, ended_within, start
from ganbench.runs.rounds import ATTEMPTS, TOLERANCE, Deviation, deviations, unsteady
from ganbench.runs.timing_worker import Question, Ready, Refusal, serve

if TYPE_CHECKING:
    from ganbench.runs.stopwatch import Facts

ROUNDS = 7
"""Good rounds that each row needs by default: the median of seven is steady to about 1 %."""
PASS_SECONDS = 5.0
"""The least time for a round of all rows; what is left of it is spent idle. Disturbances often last for seconds, and
must not cover all the rounds of a single row."""
THREADS = 1
"""Threads of a row's process on a CPU, as in ``ganbench run``."""
Say = Callable[[str], None]


@dataclass
class Timed:
    """What became of the rows: those that were timed, and those that were left out, with the reason."""

    timings: list[Timing] = field(default_factory=list)
    left_out: dict[str, GanbenchError] = field(default_factory=dict)


class Lost(GanbenchError):
    """A row's process died while it was timed, so nothing that was measured may be published."""


def time_rows(jobs: Sequence[TrainingJob], rounds: int, say: Say, *, tolerance: float = TOLERANCE) -> Timed:
    """Time the rows of some jobs, one job per row.

    Args:
        jobs: one run of each row; none of them is carried out.
        rounds: how many good rounds each row needs.
        say: called with a line on what happens next, while no row works.
        tolerance: how far a round may be off, as a share.

    Raises:
        Unsteady: a row has too few good rounds after ``ATTEMPTS`` times as many.
        Lost: a row's process died.
    """
    with _Session(rounds, say, tolerance) as session:
        session.prepare(jobs)
        session.play()
        return session.result()


def write_all(timings: Sequence[Timing], runs: Path) -> Path:
    """Store timings of one protocol in ``runs``, each in place of an older one of the same code and machine.

    Returns:
        Their folder.

    Raises:
        RecordError: a file cannot be written.
    """
    folder = runs / timings[0].protocol / "timings"
    for timing in timings:
        write_timing(timing, folder / timing.file_name)
    return folder


class _Session:
    """Times all rows on one machine in turn. Leaving the context ends their processes."""

    def __init__(self, rounds: int, say: Say, tolerance: float) -> None:
        self.rounds, self.say, self.tolerance = rounds, say, tolerance
        self.began = datetime.now(UTC).isoformat(timespec="seconds")
        self.workers: list[_Worker] = []

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.end()

    @property
    def rows(self) -> list[_Worker]:
        """The rows that can be timed."""
        return [worker for worker in self.workers if worker.refusal is None]

    def prepare(self, jobs: Sequence[TrainingJob]) -> None:
        """Start a process for each row and wait until it is warm, one after another."""
        for number, job in enumerate(jobs, 1):
            worker = _Worker(job)
            self.workers.append(worker)  # before it starts, so that its process is ended whatever happens
            self.say(f"preparing {worker.row} ({number} of {len(jobs)})")
            worker.begin()

    def play(self) -> None:
        """Give every row its rounds, and repeat those that were off while attempts are left.

        Raises:
            Unsteady: none are left.
        """
        turn, waiting = 0, self.rows
        while waiting:
            turn, began = turn + 1, time.monotonic()
            self.say(f"round {turn}, {len(waiting)} of {len(self.rows)} rows")
            for worker in waiting if turn % 2 else reversed(waiting):  # so that no row always comes after the same one
                worker.ask("round")
            waiting = self.rows if turn < self.rounds else self._lacking()
            if waiting:
                time.sleep(max(0.0, began + PASS_SECONDS - time.monotonic()))

    def result(self) -> Timed:
        """What was measured."""
        for worker in self.rows:
            worker.ask("facts")
        peak = max((worker.facts.peak_flops_per_second for worker in self.rows if worker.facts), default=0.0)
        far = self._deviations()
        return Timed(
            [self._timing(worker, far[worker.row], peak) for worker in self.rows],
            {worker.row: worker.refusal for worker in self.workers if worker.refusal is not None},
        )

    def _deviations(self) -> dict[str, list[Deviation]]:
        """Those of all rounds, even of rows left out in the end, whose products say as much about the machine."""
        on_cpu = any(worker.on_cpu for worker in self.workers)
        return deviations({worker.row: worker.rounds for worker in self.workers}, self.tolerance, on_cpu=on_cpu)

    def _lacking(self) -> list[_Worker]:
        """The rows with too few good rounds."""
        far, lacking = self._deviations(), []
        for worker in self.rows:
            good = sum(not one.off(self.tolerance) for one in far[worker.row])
            if good < self.rounds:
                lacking.append(worker)
                if len(worker.rounds) >= ATTEMPTS * self.rounds:
                    raise unsteady(worker.row, far[worker.row], self.tolerance, self.rounds)
        return lacking

    def _timing(self, worker: _Worker, far: Sequence[Deviation], peak: float) -> Timing:
        facts, job = worker.facts, worker.job
        assert facts is not None
        pairs = zip(worker.rounds, far, strict=True)
        good = tuple(one for one, deviation in pairs if not deviation.off(self.tolerance))
        rates = [1000 * facts.images / one.step_ms for one in good]
        by_cpu = [1000 * facts.images / one.step_cpu_ms for one in good] if facts.on_cpu else [0.0]
        quartiles = statistics.quantiles(rates, n=4)
        train = statistics.median(rates)
        return Timing(
            format=TIMING_FORMAT,
            protocol=job.protocol.name,
            digest=job.digest,
            arch=facts.arch,
            loss=facts.loss,
            tricks=facts.tricks,
            environment=facts.environment,
            train=round(train, 1),
            train_iqr=round(quartiles[2] - quartiles[0], 1),
            train_cpu=round(statistics.median(by_cpu), 1),
            sample=round(statistics.median(one.samples_per_second for one in good), 1),
            step_ms=round(statistics.median(one.step_ms for one in good), 4),
            d_flops=facts.d_flops,
            g_flops=facts.g_flops,
            peak_flops_per_second=float(f"{peak:.4g}"),
            peak_share=round((facts.d_flops + facts.g_flops) * train / peak, 4) if peak else 0.0,
            peak_memory_mb=facts.peak_memory_mb,
            mode=facts.mode,
            rounds=good,
            repeated=len(worker.rounds) - len(good),
            started=self.began,
        )


class _Worker:
    """A row, its process, and its answers so far."""

    def __init__(self, job: TrainingJob) -> None:
        self.job, self.row = job, job.label
        self.rounds: list[Round] = []
        self.facts: Facts | None = None
        self.refusal: GanbenchError | None = None
        self.on_cpu = False
        made = context()
        self.pipe, self._theirs = made.Pipe()
        self.process = made.Process(target=serve, args=(self._theirs, job, THREADS), daemon=True)

    def begin(self) -> None:
        """Start the process and wait until the row is warm.

        Raises:
            Lost: the process died.
        """
        start(self.process, THREADS)
        self._theirs.close()  # so that only the worker holds that end, and its death closes the pipe
        self.hear()

    def ask(self, question: Question) -> None:
        """Ask a question and wait for the answer.

        Raises:
            Lost: the process died.
        """
        with suppress(OSError):  # `hear` notices a process that has just died
            self.pipe.send(question)
        self.hear()

    def hear(self) -> None:
        """Wait for the next answer, and keep it.

        Raises:
            Lost: the process died.
        """
        answer = self._answer()
        if answer is None:
            ended_within(self.process, CLOSING_SECONDS)
            why = BROKEN if self.process.exitcode is None else told_exit(self.process.exitcode)
            raise Lost(
                f"{self.row}: its process died while it was timed: {why}",
                "nothing was written; if memory ran out (it holds all rows), time fewer rows at once: --arch, --loss",
            )
        if isinstance(answer, Refusal):
            self.refusal = GanbenchError(answer.message, answer.hint)
            self.end()
        elif isinstance(answer, Ready):
            self.on_cpu = answer.on_cpu
        elif isinstance(answer, Round):
            self.rounds.append(answer)
        else:
            self.facts = answer

    def _answer(self) -> Any:
        """The process's answer; None if it died, perhaps in the middle of a message, or sent something else."""
        with suppress(Exception):
            while not self.pipe.poll(1):
                if not self.process.is_alive():  # forked copies may keep the pipe open
                    return None
            return pickle.loads(self.pipe.recv_bytes(LONGEST_MESSAGE))
        return None

    def end(self) -> None:
        """End the process, whatever it does."""
        if self.process.pid is not None:
            self.process.kill()
            self.process.join()
        self.pipe.close()
