"""The machines of a Ray cluster: `--executor ray --address HOST:PORT`. It needs `ganbench[ray]`.

A worker is an actor that stays for many jobs, so it imports torch once. Only the process that entered the executor
knows which worker has which job. If a worker or its machine dies, its job is lost, and another worker takes the place
as soon as the cluster has room. A lost job that is tried again resumes from the last checkpoint that was stored.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Self

from msgspec.structs import replace

from ganbench import (
    Done,
    Ending,
    Executor,
    Job,
    Message,
    Places,
    Progress,
    Started,
    Stopping,
    Unsupported,
    Warned,
    hookimpl,
    lost,
)
from ganbench_baselines.executor.ray_cluster import connected, imported, needs, room
from ganbench_baselines.executor.ray_worker import Versions, Worker

GRACE_SECONDS = 60.0
"""Seconds beyond its limit that a run may take to save a checkpoint and stop."""
LONGEST_START = 60.0
"""Seconds without any worker after which the user hears of it."""
MOST_DEATHS = 5
"""Workers that may die in a row before any of them has begun a job."""


@hookimpl
def ganbench_executor(argument: str, places: Places) -> Executor:
    """Build the executor."""
    return RayExecutor(argument, places)


class RayExecutor(Executor):
    """Carries out jobs in actors of a Ray cluster, and yields their events.

    Use as a context manager: entering connects to the cluster, or starts one on this machine if there is no address;
    leaving ends the actors, and the cluster if it was started here.

    Args:
        address: ``HOST:PORT`` of the cluster; ``RAY_ADDRESS`` if empty.
        places: how many jobs to run at a time, and on which device.

    Raises:
        Unsupported: Ray is not installed.
    """

    elsewhere = True

    def __init__(self, address: str, places: Places) -> None:
        self._address, self._places = address or os.environ.get("RAY_ADDRESS", ""), places
        imported(self._address)
        self._asked = self._announced = self._noted = False
        self._deaths = 0
        self._seats: list[_Seat] = []
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            Unsupported: there is no such cluster, or it has no room for a run.
        """
        with ExitStack() as stack:
            self._ray = stack.enter_context(connected(self._address, self._places.threads))
            needed = needs(self._ray.nodes(), self._places)
            places = room(self._ray.nodes(), needed)
            if not places:
                resources = " and ".join(f"{amount:g} {name}" for name, amount in needed.items())
                raise Unsupported(f"no machine of the Ray cluster has {resources}, which a run takes", "add machines")
            self.workers = max(1, min(self._places.jobs or places, places, self._places.most))
            actors = self._ray.remote(Worker).options(
                num_cpus=needed["CPU"], num_gpus=needed.get("GPU", 0), max_concurrency=2, scheduling_strategy="SPREAD"
            )
            self._seats = [_Seat(self._ray, self._hiring(actors)) for _ in range(self.workers)]
            self._ends = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for seat in self._seats:
            seat.clear()
        self._ends.close()

    def stop(self) -> None:
        """Ask every running job to save a checkpoint, and start no further job."""
        self._asked = True

    def run(self, jobs: Sequence[Job]) -> Iterator[Message]:
        """Yield events until every job is done, refused, lost, or given up after ``stop()``.

        Raises:
            Unsupported: workers die before they begin, or have other versions than this process.
        """
        waiting, self._heard = list(jobs), time.monotonic()
        while True:
            if self._asked and not self._announced:
                self._announced = True
                waiting.clear()
                for seat in self._seats:
                    seat.halt()
                yield Stopping()
            for seat in self._seats if waiting else ():
                seat.open()
                if seat.free and waiting:
                    seat.take(replace(waiting.pop(0), workers=self.workers))
            if not waiting and not any(seat.job for seat in self._seats):
                return
            yield from self._listen(waiting)

    def _hiring(self, actors: Any) -> Callable[[], Any]:
        home, threads = os.getcwd(), self._places.threads
        return lambda: actors.remote(home, threads)

    def _listen(self, waiting: list[Job]) -> Iterator[Message]:
        """The next message of each seat that has one; jobs that never began go back to those that wait."""
        awaited = {seat.awaited: seat for seat in self._seats if seat.awaited is not None}
        ready, _ = self._ray.wait([*awaited], timeout=0.25)  # a time-out, so that signals are noticed
        if ready:
            ready, _ = self._ray.wait([*awaited], num_returns=len(awaited), timeout=0)
        for ref in ready:
            yield from self._hear(awaited[ref], waiting)
        for seat in self._seats:
            if seat.job and seat.is_overdue:
                yield self._given_up(seat, f"it did not stop when its {seat.job.limit:g} s were over")
        yield from self._nobody_comes()

    def _hear(self, seat: _Seat, waiting: list[Job]) -> Iterator[Message]:
        try:
            said = seat.hear()
        except self._ray.exceptions.RayError as error:
            if seat.job and seat.begun:
                yield self._given_up(seat, seat.end_of(error))
                return
            if not seat.begun:  # so nothing was lost
                self._bear(error)
                waiting[:0] = [seat.job] if seat.job and not self._asked else []
            seat.clear()
            return
        self._heard = time.monotonic()
        if said is not None:
            self._deaths = 0
            yield said
        elif seat.job:
            yield self._given_up(seat, f"the worker on {seat.host} ended it without a result")

    def _given_up(self, seat: _Seat, reason: str) -> Done:
        job = seat.job
        assert job is not None
        seat.clear()
        return lost(job, reason)

    def _bear(self, error: Exception) -> None:
        """Count the workers that die before they begin."""
        self._deaths += 1
        if self._deaths >= MOST_DEATHS:
            said = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise Unsupported(
                f"the workers of the Ray cluster die as they start: {said[-1] if said else type(error).__name__}",
                "install the same ganbench[ray] on all machines; Ray's logs on them say why",
            ) from error

    def _nobody_comes(self) -> Iterator[Warned]:
        """A warning if jobs wait, but the cluster gives no worker."""
        nobody = all(seat.job is None and not seat.free for seat in self._seats)
        if nobody and not self._noted and time.monotonic() - self._heard > LONGEST_START:
            self._noted = True
            yield Warned("no worker has started yet: the Ray cluster may be busy (`ray status`); still waiting")


class _Seat:
    """A place for one actor, with its current job."""

    def __init__(self, ray: Any, hire: Callable[[], Any]) -> None:
        self._ray, self._hire = ray, hire
        self._actor: Any = None
        self._arriving: Any = None
        self._stream: Any = None
        self.job: Job | None = None
        self.clear()

    def clear(self) -> None:
        """End the actor, if there is one, with whatever it does; so it cannot go on unseen."""
        if self._actor is not None:
            self._ray.kill(self._actor)
        self._actor = self._arriving = self._stream = self.job = None
        self.host, self.process = "", 0
        self.begun, self.training, self._since = False, False, 0.0

    def open(self) -> None:
        """Ask the cluster for an actor, unless there is one. It may come late, or never."""
        if self._actor is None:
            self._actor = self._hire()
            self._arriving = self._actor.arrive.remote()

    @property
    def free(self) -> bool:
        """Whether the actor is there and does nothing."""
        return self._actor is not None and self.awaited is None

    @property
    def awaited(self) -> Any:
        """What the next call of ``hear`` waits for; None if there is nothing."""
        return self._arriving if self._arriving is not None else self._stream

    def take(self, job: Job) -> None:
        """Hand a job to the actor."""
        self.job, self.begun, self.training, self._since = job, False, False, time.monotonic()
        self._stream = self._actor.work.options(num_returns="streaming").remote(job)

    def halt(self) -> None:
        """Let the current job, if there is one, save a checkpoint and end."""
        if self.job is not None:
            self._actor.halt.remote()

    def hear(self) -> Message | None:
        """The actor's next message; None if it has arrived, or is free again.

        Raises:
            RayError: it is dead, or out of reach.
            Unsupported: its machine has other versions.
        """
        if self._arriving is not None:
            self.host, self.process, versions = self._ray.get(self._arriving)
            if versions != Versions.here():
                raise Unsupported(
                    f"{self.host} has {versions}, but this machine has {Versions.here()}",
                    "install the same on all machines of the Ray cluster",
                )
            self._arriving = None
            return None
        try:
            said: Message = self._ray.get(next(self._stream))
        except StopIteration:
            self._stream = None
            return None
        self.begun, self.training = True, isinstance(said, Progress)
        if isinstance(said, Started):
            self._since = time.monotonic()
        if isinstance(said, Ending):
            self.job = None
        return said

    def end_of(self, error: Exception) -> str:
        """Say how the actor died."""
        if "node has died" in str(error):
            return f"{self.host} was lost"
        return f"the worker on {self.host}, process {self.process}, died"

    @property
    def is_overdue(self) -> bool:
        """Whether training goes on although the job's time has long been over. What comes after it is not stopped."""
        limit = self.job.limit if self.job else 0
        return bool(limit and self.training and time.monotonic() - self._since > limit + GRACE_SECONDS)
