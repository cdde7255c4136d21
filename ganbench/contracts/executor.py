"""The contract of an executor: the jobs it is given, and the events it yields. No torch: planning imports this."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from typing import Protocol as Contract

from msgspec import Struct, field

from ganbench.contracts.kind import Kind
from ganbench.contracts.protocol import Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNPACKAGED = "unpackaged"
"""In place of a package's name, for objects that were handed over from Python."""
Status = Literal["ok", "diverged", "error", "timeout", "skipped", "interrupted"]
"""How a job ended. The record of a run that is under way says ``interrupted``."""


def entry_name(parts: Iterable[str], changes: Mapping[str, str]) -> str:
    """``dcgan+wgan-gp+pacgan:2``: arch, loss, tricks, then the user's changes (which make the row *custom*)."""
    return " ".join(["+".join(parts), *(f"{name}={value}" for name, value in sorted(changes.items()))])


class Combination(NamedTuple):
    """What differs between the runs of a plan, seeds aside: references, as in ``TrainingJob``."""

    arch: str
    loss: str


class Reference(NamedTuple):
    """A component that a job names: ``plugins.find`` resolves its kind and ``package:name``."""

    kind: Kind
    text: str

    @property
    def name(self) -> str:
        """The component as the user named it, without its package: ``pacgan:2``."""
        return self.text.partition(":")[2]


class JobBase(Struct, frozen=True, kw_only=True):
    """What runs and draws of yardsticks have in common.

    ``protocol`` already includes what the user changed of the budget or the batch, while ``digest`` is that of the
    protocol as published. A ``fresh`` job replaces a finished record. ``workers`` is the number of jobs at a time.
    """

    protocol: Protocol
    digest: str
    seed: int
    folder: str
    device: str = "auto"
    fresh: bool = False
    workers: int = 1

    @property
    def players(self) -> tuple[Reference, ...]:
        """The components that train."""
        return ()

    @property
    def tryout(self) -> bool:
        """Whether the job only finds out if it can be done."""
        return False

    @property
    def record_file(self) -> Path:
        """Where the record will be written."""
        return Path(self.folder, "record.json")


class TrainingJob(JobBase, frozen=True, kw_only=True):
    """One run.

    ``arch``, ``loss`` and ``tricks`` are references (``package:name``). ``changes`` is what the user set. ``label`` is
    what messages call the run, seed aside, and unique within a plan: the package comes first if two components share a
    name. It is empty in older checkpoints, which hold the job as well. A ``tryout`` only finds out whether the run can
    be done, and with ``measured`` how long it would take: it writes nothing, and what it trains is thrown away.
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
        """The arch and the loss."""
        return Combination(self.arch, self.loss)

    @property
    def players(self) -> tuple[Reference, ...]:
        """The arch, the loss, then the tricks."""
        tricks = (Reference("trick", trick) for trick in self.tricks)
        return Reference("arch", self.arch), Reference("loss", self.loss), *tricks

    @property
    def entry(self) -> str:
        """The row of the table that the run belongs to."""
        return entry_name((player.name for player in self.players), self.changes)


class YardstickJob(JobBase, frozen=True, kw_only=True):
    """One draw of a yardstick, which is scored without training."""

    yardstick: str

    @property
    def key(self) -> str:
        """Unique within a plan, like the folder."""
        return f"{self.yardstick}, seed {self.seed}"


Job = TrainingJob | YardstickJob


def runs_among(jobs: Iterable[Job]) -> list[TrainingJob]:
    """The runs, without the draws of yardsticks."""
    return [job for job in jobs if isinstance(job, TrainingJob)]


class Started(Struct, frozen=True):
    """A worker has taken the job: its first event."""

    key: str


class Resumed(Struct, frozen=True):
    """The run goes on from its checkpoint, after ``kimg`` of ``budget`` kimg."""

    key: str
    kimg: float
    budget: float


class Waiting(Struct, frozen=True):
    """Another process is working on this run: sent once, when the wait begins."""

    key: str


class Progress(Struct, frozen=True):
    """A window of training is over, and its line is in the history.

    So far, ``step`` iterations were trained in ``seconds``, and D was shown ``kimg`` thousand real images, a ``share``
    (0..1) of the budget. In this window, ``rate`` is images per second (of CPU time where the process itself computes),
    and ``losses`` are means.
    """

    key: str
    step: int
    kimg: float
    seconds: float
    share: float
    rate: float
    losses: dict[str, float]


class Picture(Struct, frozen=True):
    """Samples were drawn, before training and then now and then: a few of them, small, as ``pixels[n, H, W, 3]``."""

    key: str
    pixels: NDArray[np.uint8]


class Looked(Struct, frozen=True):
    """The headline's ``score`` on the selection split, after ``kimg`` thousand real images; ``name`` is in full."""

    key: str
    kimg: float
    name: str
    score: float


class Judging(Struct, frozen=True):
    """Training is over, and the generator is about to be judged."""

    key: str


class Done(Struct, frozen=True):
    """The job is over, well or not; ``reason`` says why not, and ``scores`` are the record's.

    ``lost``: its worker was killed, and the same command resumes it.
    """

    key: str
    status: Status
    reason: str
    scores: dict[str, float] = field(default_factory=dict)
    lost: bool = False


class Fits(Struct, frozen=True):
    """The run of a tryout can be done, in about ``seconds`` of training; 0 if that was not measured."""

    key: str
    seconds: float = 0.0


class Refused(Struct, frozen=True):
    """The job cannot be done: why, and the next step.

    It may be ``unsupported``, as its parts do not fit together, or ``broken``, as a plugin fails; if it is neither, no
    other job can be done either. ``traceback`` may be empty.
    """

    key: str
    message: str
    hint: str
    broken: bool = False
    unsupported: bool = False
    traceback: str = ""


class Stopping(Struct, frozen=True):
    """``stop()`` was heard: running jobs are asked to save a checkpoint, and no further job starts."""


class Warned(Struct, frozen=True):
    """A worker has something to warn of. Its executor does, once for all workers, instead of yielding it."""

    message: str


Ending = Done | Fits | Refused
"""A job that was started ends with one of these."""
Event = Started | Resumed | Waiting | Progress | Picture | Looked | Judging | Ending | Stopping
"""What an executor yields; ``key`` is that of the job."""
Message = Event | Warned
"""What a worker sends to its executor: events to yield, and warnings."""


class Executor(Contract):
    """Carries out jobs, ``workers`` of them at a time, and yields their events."""

    @property
    def workers(self) -> int:
        """How many jobs it carries out at a time."""
        ...

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Yield events until every job is done, refused, or given up after ``stop()``, which yields ``Stopping``.

        Called once for tryouts, if there are any, and again for the jobs themselves.
        """
        ...

    def stop(self) -> None:
        """Ask every running job to save a checkpoint; no further job starts. Safe in a signal handler."""
        ...
