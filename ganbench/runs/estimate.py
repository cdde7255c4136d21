"""Estimate how long the runs of a plan will take, from records of the same rows or a few measured iterations."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from ganbench.contracts.executor import TrainingJob
from ganbench.errors import plural
from ganbench.leaderboards.published import published_files
from ganbench.records.record import Record, TrainingRecord, runs_in
from ganbench.records.store import read_all
from ganbench.runs.plan import Plan

MINUTE, HOUR = 60, 3600


@dataclass
class Estimate:
    """Seconds per run of each row (``entry``).

    ``recorded`` holds medians of records. ``measured`` holds training times extrapolated from a few iterations on this
    machine; judging takes ``judging`` seconds more.
    """

    recorded: dict[str, float] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)
    judging: float = 0.0

    def seconds(self, job: TrainingJob) -> float | None:
        """Seconds for one run; None if its row is unknown."""
        if job.entry in self.recorded:
            return self.recorded[job.entry]
        measured = self.measured.get(job.entry)
        return None if measured is None else measured + self.judging

    def unknown(self, jobs: Iterable[TrainingJob]) -> list[TrainingJob]:
        """The first job of each unknown row."""
        firsts = {job.entry: job for job in reversed([*jobs]) if self.seconds(job) is None}
        return [*firsts.values()][::-1]

    def total(self, jobs: Sequence[TrainingJob], workers: int) -> float | None:
        """Seconds for all these runs, ``workers`` at a time; None if any of their rows is unknown."""
        each = [self.seconds(job) for job in jobs]
        known = [seconds for seconds in each if seconds is not None]
        if not known or len(known) < len(each):
            return None
        return makespan(known, workers)

    def told(self, jobs: Sequence[TrainingJob], workers: int) -> str:
        """A sentence: ``about 3 min, 2 runs at a time (from records of these rows)``; empty if too little is known."""
        total = self.total(jobs, workers)
        if total is None:
            return ""
        rows = {job.entry for job in jobs}
        new = len(rows - {*self.recorded})
        by = f"{plural(new, 'row')} from a few iterations" if new else "from records of these rows"
        some = ", the others from records" if 0 < new < len(rows) else ""
        at_once = f", {workers} runs at a time" if workers > 1 else ""
        return f"{duration(total)}{at_once} ({by}{some})"


def makespan(seconds: Iterable[float], workers: int) -> float:
    """Seconds until the last job ends, if jobs start in this order, each on the first free worker."""
    ends = [0.0] * max(1, workers)
    for one in seconds:
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)


def estimate_of(plan: Plan) -> Estimate:
    """Estimate a plan's rows from the records made here, else from published ones."""
    own, _ = read_all(job.record_file for job in plan.runs if job.record_file.exists())
    rows = {record.entry for record in own if record.status == "ok"}
    published, _ = read_all(published_files(plan.protocol.name))
    return estimate_by([*own, *(record for record in published if record.entry not in rows)])


def estimate_by(records: Iterable[Record]) -> Estimate:
    """Estimate rows from records. CPU time is used where known, because other programs do not lengthen it."""
    seconds: dict[str, list[float]] = defaultdict(list)
    judging = list[float]()
    for record in runs_in(records):
        if record.status == "ok":
            seconds[record.entry].append(_training(record) + record.cost.judge_seconds)
            judging.append(record.cost.judge_seconds)
    return Estimate(
        {entry: median(values) for entry, values in seconds.items()}, judging=median(judging) if judging else 0.0
    )


def _training(record: TrainingRecord) -> float:
    return record.cost.train_cpu_seconds or record.cost.train_seconds


def seconds_left(
    jobs: Sequence[TrainingJob], estimate: Estimate, shares: Mapping[str, float], done: Iterable[str]
) -> float | None:
    """Seconds left if the runs are carried out one after another; None if all their rows are unknown.

    Args:
        jobs: the runs; unknown rows are assumed to take the mean of the others.
        estimate: seconds of each row.
        shares: key -> how much of a run is done, 0 to 1.
        done: keys of the runs that have ended.
    """
    known = [seconds for job in jobs if (seconds := estimate.seconds(job)) is not None]
    if not known:
        return None
    mean, over = sum(known) / len(known), {*done}
    return sum((estimate.seconds(job) or mean) * (1 - shares.get(job.key, 0.0)) for job in jobs if job.key not in over)


def duration(seconds: float) -> str:
    """``a few seconds``, ``about 40 s``, ``about 3 min``, ``about 2 h 10 min``."""
    if seconds < 10:
        return "a few seconds"
    if seconds < MINUTE - 5:
        return f"about {round(seconds, -1):.0f} s"
    if seconds < HOUR:
        return f"about {max(1, round(seconds / MINUTE))} min"
    hours, minutes = divmod(round(seconds / MINUTE / 10) * 10, 60)
    return f"about {hours} h" + (f" {minutes} min" if minutes else "")
