"""The contract of an executor: the jobs it is given, and the events it yields. No torch: planning imports this."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from typing import Protocol as Contract

from msgspec import Struct, field

from ganbench.contracts.protocol import Protocol

UNPACKAGED = "unpackaged"
"""In place of a package's name, for objects that were handed over from Python."""


def entry_name(parts: Iterable[str], changes: Mapping[str, str]) -> str:
    """``dcgan+wgan-gp+pacgan:2``: arch, loss, tricks, then the user's changes (which make the row *custom*)."""
    return " ".join(["+".join(parts), *(f"{name}={value}" for name, value in sorted(changes.items()))])


class Job(Struct, frozen=True, kw_only=True):
    """One run, or one draw of a yardstick.

    ``arch``, ``loss`` and ``tricks`` are references (``package:name``) that ``plugins.find`` resolves. ``changes`` is
    what the user set; ``protocol`` already includes changes of the budget or the batch, while ``digest`` is that of the
    protocol as published. ``workers`` is the number of runs at a time. A ``tryout`` only finds out whether the run can
    be done: it trains and writes nothing.
    """

    protocol: Protocol
    digest: str
    seed: int
    folder: str
    arch: str = ""
    loss: str = ""
    tricks: tuple[str, ...] = ()
    yardstick: str = ""
    changes: dict[str, str] = field(default_factory=dict)
    recipe_changes: dict[str, Any] = field(default_factory=dict)
    loss_changes: dict[str, Any] = field(default_factory=dict)
    arch_changes: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"
    fresh: bool = False
    workers: int = 1
    tryout: bool = False

    @property
    def key(self) -> str:
        """Unique within a plan, like the folder: the package comes first if two components share a name."""
        name = self.yardstick or Path(self.folder).parent.name.replace("~", ":")
        return f"{name}, seed {self.seed}"

    @property
    def combination(self) -> tuple[str, str]:
        """What differs between the runs of a plan, seeds aside."""
        return self.arch, self.loss

    @property
    def entry(self) -> str:
        """The row of the table that the job belongs to."""
        if self.yardstick:
            return self.yardstick
        parts = [reference.partition(":")[2] for reference in (self.arch, self.loss, *self.tricks)]
        return entry_name(parts, self.changes)

    @property
    def record_file(self) -> Path:
        """Where the record will be written."""
        return Path(self.folder, "record.json")


class Event(Struct, frozen=True):
    """A message from a worker: ``progress`` (a history row, ``share`` and ``rate``), ``picture`` (a thumbnail's
    ``pixels``), ``judging``, ``started``, ``resumed`` (after ``kimg`` of ``budget``), ``waiting`` (for another process
    that is working on this run), ``done`` (``status``, ``reason``), ``fits`` (of a tryout), ``refused`` (``message``,
    ``hint``); or, about no run in particular, ``stopping`` and ``warned`` (``message``)."""

    kind: Literal[
        "started",
        "resumed",
        "waiting",
        "progress",
        "picture",
        "judging",
        "done",
        "fits",
        "refused",
        "stopping",
        "warned",
    ]
    key: str
    facts: dict[str, Any]


class Executor(Contract):
    """Carries out jobs, ``workers`` of them at a time, and yields their events."""

    @property
    def workers(self) -> int: ...

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Yield events until every job is done, refused, or given up after ``stop()``, which yields ``stopping``.
        Called once for tryouts, if there are any, and again for the jobs themselves."""
        ...

    def stop(self) -> None:
        """Ask every running job to save a checkpoint; no further job starts. Safe in a signal handler."""
        ...
