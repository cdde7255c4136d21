"""The contract of an executor: the jobs it is handed, and the events it yields. Light: planning needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from typing import Protocol as Contract

from msgspec import Struct, field

from ganbench.contracts.protocol import Protocol

UNPACKAGED = "unpackaged"
"""Stands for the package of what was handed over from Python, and is of none."""


def entry_name(parts: Iterable[str], changes: Mapping[str, str]) -> str:
    """``dcgan+wgan-gp+pacgan:2``: arch, loss, tricks; and behind it what the user changed (such a row is *custom*)."""
    return " ".join(["+".join(parts), *(f"{name}={value}" for name, value in sorted(changes.items()))])


class Job(Struct, frozen=True, kw_only=True):
    """One run, or one draw of a yardstick.

    ``arch``, ``loss`` and ``tricks`` are references (``package:name``) that ``plugins.find`` resolves. ``changes`` is
    what the user set; ``protocol`` has it laid over already where it concerns the budget or the batch, while ``digest``
    is that of the protocol as it was published. ``workers`` is how many runs go on at a time.
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

    @property
    def key(self) -> str:
        """Unique within a plan, as the folder is: of two components of one name the package stands in front."""
        name = self.yardstick or Path(self.folder).parent.name.replace("~", ":")
        return f"{name}, seed {self.seed}"

    @property
    def entry(self) -> str:
        """The row of the table that the job works for."""
        if self.yardstick:
            return self.yardstick
        parts = [reference.partition(":")[2] for reference in (self.arch, self.loss, *self.tricks)]
        return entry_name(parts, self.changes)

    @property
    def record_file(self) -> Path:
        """Where the record will stand."""
        return Path(self.folder, "record.json")


class Event(Struct, frozen=True):
    """Something a worker says: ``progress`` (a history row and ``share``), ``picture`` (a thumbnail's ``pixels``),
    ``judging``, ``started``, ``resumed`` (after ``kimg`` of ``budget``), ``waiting`` (for another process that is on
    this run), ``done`` (``status``, ``reason``),
    ``refused`` (``message``, ``hint``), or, of no run in particular, ``stopping`` and ``warned`` (``message``)."""

    kind: Literal[
        "started", "resumed", "waiting", "progress", "picture", "judging", "done", "refused", "stopping", "warned"
    ]
    key: str
    facts: dict[str, Any]


class Executor(Contract):
    """Carries out jobs, ``workers`` of them at a time, and yields what they say."""

    @property
    def workers(self) -> int: ...

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Yield events until every job is done, refused, or given up after ``stop()``; a ``stopping`` first then."""
        ...

    def stop(self) -> None:
        """Ask every running job to write down where it is; no further job is begun. Safe in a signal handler."""
        ...
