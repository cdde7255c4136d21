"""The contract of an executor: the jobs it takes and the events it yields. Planning imports this, so no torch here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from msgspec import Struct, field

from ganbench.contracts.kind import Kind
from ganbench.contracts.protocol import Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNPACKAGED = "unpackaged"
"""Replaces the package name of objects passed from Python."""
Status = Literal["ok", "diverged", "error", "timeout", "skipped", "interrupted"]
"""How a job ended. The record of a run in progress says ``interrupted``."""


def entry_name(parts: Iterable[str], changes: Mapping[str, str]) -> str:
    """Join arch, loss and tricks, ``dcgan+wgan-gp+pacgan:2``, then the user's changes, which make the row *custom*."""
    return " ".join(["+".join(parts), *(f"{name}={value}" for name, value in sorted(changes.items()))])


class Combination(NamedTuple):
    """What differs between the runs of a plan, besides the seed. The fields are references, as in ``TrainingJob``."""

    arch: str
    loss: str
    tricks: tuple[str, ...] = ()
    changes: tuple[tuple[str, str], ...] = ()


class Reference(NamedTuple):
    """A component that a job names by kind and ``package:name``, which ``plugins.find`` resolves."""

    kind: Kind
    text: str

    @property
    def name(self) -> str:
        """The component's name as the user typed it, without the package: ``pacgan:2``."""
        return self.text.partition(":")[2]


class JobBase(Struct, frozen=True, kw_only=True):
    """The fields that training jobs and yardstick jobs share.

    ``protocol`` includes the user's changes to budget and batch; ``digest`` is that of the published protocol. A
    ``fresh`` job replaces a finished record. ``workers`` is the number of jobs at a time, and
    ``rank`` tells them apart: it chooses among the GPUs of a machine. After ``limit`` seconds a run saves a checkpoint
    and stops; 0 is no limit. ``store``, where it is not empty, is the address that the files of ``folder`` are fetched
    from before the job and stored at during it: a shared folder, or what fsspec knows.
    """

    protocol: Protocol
    digest: str
    seed: int
    folder: str
    device: str = "auto"
    fresh: bool = False
    workers: int = 1
    rank: int = 0
    limit: float = 0.0
    store: str = ""

    @property
    def players(self) -> tuple[Reference, ...]:
        """The components that the job trains with."""
        return ()

    @property
    def tryout(self) -> bool:
        """Whether the job only checks that it can run."""
        return False

    @property
    def record_file(self) -> Path:
        """The file to write the record to."""
        return Path(self.folder, "record.json")


class TrainingJob(JobBase, frozen=True, kw_only=True):
    """One run.

    ``arch``, ``loss`` and ``tricks`` are references (``package:name``). ``changes`` holds the settings that the user
    changed. ``label`` is the run's name in messages, without the seed. It is unique within a plan, because the package
    comes first if two components share a name. It is empty in older checkpoints, which also store the job. A ``tryout``
    only checks that the run works and, with ``measured``, how long it would take. It writes nothing and discards what
    it trains.
    """

    arch: str
    loss: str
    tricks: tuple[str, ...] = ()
    changes: dict[str, str] = field(default_factory=dict)
    recipe_changes: dict[str, Any] = field(default_factory=dict)
    loss_changes: dict[str, Any] = field(default_factory=dict)
    arch_changes: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    tryout: bool = False
    measured: bool = False

    @property
    def key(self) -> str:
        """Unique within a plan, like the folder."""
        return f"{self.label}, seed {self.seed}"

    @property
    def combination(self) -> Combination:
        """The arch and the loss, with tricks and changes."""
        return Combination(self.arch, self.loss, self.tricks, tuple(sorted(self.changes.items())))

    @property
    def players(self) -> tuple[Reference, ...]:
        """The arch, the loss, then the tricks."""
        tricks = (Reference("trick", trick) for trick in self.tricks)
        return Reference("arch", self.arch), Reference("loss", self.loss), *tricks

    @property
    def entry(self) -> str:
        """The name of the row that the run belongs to."""
        return entry_name((player.name for player in self.players), self.changes)


class YardstickJob(JobBase, frozen=True, kw_only=True):
    """One draw of a yardstick, scored without training."""

    yardstick: str

    @property
    def key(self) -> str:
        """Unique within a plan, like the folder."""
        return f"{self.yardstick}, seed {self.seed}"


Job = TrainingJob | YardstickJob
"""What an executor hands to a worker: one run, or one draw of a yardstick."""


def runs_among(jobs: Iterable[Job]) -> list[TrainingJob]:
    """Return the training jobs only, without yardsticks."""
    return [job for job in jobs if isinstance(job, TrainingJob)]


class Started(Struct, frozen=True):
    """A worker has taken the job. This is the job's first event."""

    key: str


class Resumed(Struct, frozen=True):
    """The run resumes from its checkpoint, after ``kimg`` of ``budget`` kimg."""

    key: str
    kimg: float
    budget: float


class Waiting(Struct, frozen=True):
    """Another process is working on this run. Sent once, when the wait begins."""

    key: str


class Preparing(Struct, frozen=True):
    """Data are prepared on disk, or a network looks at many samples: ``what`` is done, and ``share`` (0..1) of it.

    Sent before or after training, once a second, only if it takes long.
    """

    key: str
    what: str
    share: float


class Progress(Struct, frozen=True):
    """A window of training has ended, and its line is in the history.

    The run has done ``step`` iterations in ``seconds`` so far, and D has seen ``kimg`` thousand real images, a
    ``share`` (0..1) of the budget. ``rate`` is images per second in this window (per second of CPU time when training
    on the CPU), and ``losses`` are means over it.
    """

    key: str
    step: int
    kimg: float
    seconds: float
    share: float
    rate: float
    losses: dict[str, float]


class Picture(Struct, frozen=True):
    """A few small samples as ``pixels[n, H, W, 3]``, sent before training and at intervals during it."""

    key: str
    pixels: NDArray[np.uint8]


class Looked(Struct, frozen=True):
    """The headline's ``score`` on the selection split, after ``kimg`` thousand real images, under its full ``name``."""

    key: str
    kimg: float
    name: str
    score: float


class Judging(Struct, frozen=True):
    """Training has ended, and the final evaluation begins."""

    key: str


class Done(Struct, frozen=True):
    """The job has ended. ``reason`` says why it failed, if it did. ``scores`` are those of the record.

    ``lost`` means that the worker was killed, and ``late`` that the job's time was over. The same command resumes the
    job.
    """

    key: str
    status: Status
    reason: str
    scores: dict[str, float] = field(default_factory=dict)
    lost: bool = False
    late: bool = False


class Fits(Struct, frozen=True):
    """The tryout succeeded. The run would train for about ``seconds``, or 0 if that was not measured."""

    key: str
    seconds: float = 0.0


class Refused(Struct, frozen=True):
    """The job cannot run. ``message`` says why, and ``hint`` gives the next step.

    It is ``unsupported`` if its components do not work together, or ``broken`` if a plugin fails. If it is neither, no
    other job can run either. ``traceback`` may be empty.
    """

    key: str
    message: str
    hint: str
    broken: bool = False
    unsupported: bool = False
    traceback: str = ""


class Stopping(Struct, frozen=True):
    """The executor has received ``stop()``. Running jobs save a checkpoint, and no further job starts."""


class Warned(Struct, frozen=True):
    """A warning from a worker. It is shown once, however many workers send it."""

    message: str


Ending = Done | Fits | Refused
"""Every job that starts ends with one of these."""
Event = Started | Resumed | Waiting | Preparing | Progress | Picture | Looked | Judging | Ending | Stopping
"""What happens to a job. ``key`` is the job's."""
Message = Event | Warned
"""What an executor yields: events and warnings."""


class Places(NamedTuple):
    """What the user asked for on the command line, for an executor to make the best of.

    ``jobs`` runs go on at a time, or 0 for as many as there is room for; more than ``most`` are of no use. ``device``
    is ``auto``, ``cpu``, ``cuda``, ``cuda:i`` or ``mps``. On a CPU a run has ``threads`` threads. A GPU takes
    ``jobs_per_gpu`` runs at a time.
    """

    jobs: int = 0
    most: int = 1024
    device: str = "auto"
    threads: int = 1
    jobs_per_gpu: int = 1


class Executor(ABC):
    """Runs jobs, some of them at a time, and yields their events.

    It hands each job to a worker process, which calls ``ganbench.perform``. It is a context manager; leaving it ends
    the workers.

    Attributes:
        workers: the number of jobs that it runs at a time, at least 1.
        elsewhere: whether workers may run on other machines. Each job then works in a folder of that machine, and
            ``job.store`` names the shared folder, or the address, that its files are fetched from and stored at.
    """

    workers: int = 1
    elsewhere: bool = False

    @abstractmethod
    def run(self, jobs: Sequence[Job]) -> Iterator[Message]:
        """Yield events until every job is done, refused, or abandoned after ``stop()``, which yields ``Stopping``.

        A job's events begin with ``Started`` and end with ``Done``, ``Fits`` or ``Refused``. If its worker dies, the
        executor ends it with ``lost(job, reason)``. Called once for the tryouts, if there are any, again for the jobs
        themselves, and again for those that are tried once more.
        """

    @abstractmethod
    def stop(self) -> None:
        """Ask every running job to save a checkpoint, and start no further job. Safe in a signal handler."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None


def lost(job: Job, reason: str) -> Done:
    """The end of a job whose worker died, or can no longer be reached. The same command resumes it."""
    return Done(job.key, "interrupted", reason, lost=True)
