"""What a row stands for: components with the user's changes, a yardstick, or samples from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ganbench.contracts.executor import UNPACKAGED, entry_name
from ganbench.contracts.kind import Kind
from ganbench.records.record import Component, ExternalRecord, Record, YardstickRecord


class ChangedSetting(NamedTuple):
    """A setting that the user changed, and its value as text."""

    name: str
    value: str


class ComponentUsed(NamedTuple):
    """An arch, a loss or a trick, with the parameters it was named with, and the package that provides it."""

    name: str
    package: str

    @property
    def reference(self) -> str:
        """``package:name``, as ``plugins.find`` takes it."""
        return f"{self.package}:{self.name}"


class PlayerUsed(NamedTuple):
    """A component, and whether it is used as an arch, a loss or a trick."""

    kind: Kind
    component: ComponentUsed


class RunEntry(NamedTuple):
    """What the runs of one row have in common; components of the same name from two packages make two rows."""

    arch: ComponentUsed
    loss: ComponentUsed
    changes: tuple[ChangedSetting, ...] = ()
    tricks: tuple[ComponentUsed, ...] = ()

    @classmethod
    def of(
        cls, arch: Component, loss: Component, tricks: Iterable[Component], changes: Mapping[str, str] | None = None
    ) -> RunEntry:
        """The entry of runs with these components and changes."""
        return cls(
            ComponentUsed(arch.name, arch.package),
            ComponentUsed(loss.name, loss.package),
            tuple(ChangedSetting(*change) for change in sorted((changes or {}).items())),
            tuple(ComponentUsed(trick.name, trick.package) for trick in tricks),
        )

    @property
    def players(self) -> tuple[PlayerUsed, ...]:
        """Arch, loss and tricks, with their kinds."""
        tricks = (PlayerUsed("trick", trick) for trick in self.tricks)
        return PlayerUsed("arch", self.arch), PlayerUsed("loss", self.loss), *tricks

    @property
    def custom(self) -> bool:
        """Whether the user changed a setting, or handed over an object that no package provides."""
        return bool(self.changes) or any(player.component.package == UNPACKAGED for player in self.players)

    @property
    def name(self) -> str:
        """``dcgan+wgan-gp``, with tricks and changes."""
        return entry_name((player.component.name for player in self.players), dict(self.changes))

    @property
    def order(self) -> tuple[Any, ...]:
        """Sort key of entries, runs before yardsticks; names of published files may end in a hash of it."""
        arch, loss = self.arch, self.loss
        return "", arch.name, loss.name, arch.package, loss.package, self.changes, self.tricks


class YardstickEntry(NamedTuple):
    """A yardstick, whose draws are scored without training."""

    name: str

    @property
    def order(self) -> tuple[Any, ...]:
        """Sort key with as many parts as that of a run."""
        return self.name, "", "", "", "", (), ()


class ExternalEntry(NamedTuple):
    """Samples that GANBench did not make."""

    model: str

    @property
    def name(self) -> str:
        """The row's name, which no yardstick has: ``external NAME``."""
        return f"external {self.model}"

    @property
    def order(self) -> tuple[Any, ...]:
        """Sort key with as many parts as that of a run."""
        return self.name, "", "", "", "", (), ()


Entry = RunEntry | YardstickEntry | ExternalEntry
"""What the records of one row have in common."""


def entry_of(record: Record) -> Entry:
    """The row a record belongs to."""
    if isinstance(record, YardstickRecord):
        return YardstickEntry(record.yardstick)
    if isinstance(record, ExternalRecord):
        return ExternalEntry(record.external.name)
    return RunEntry.of(record.arch, record.loss, record.tricks, record.changes)


class RunKey(NamedTuple):
    """The run that a record belongs to."""

    entry: Entry
    seed: int

    @property
    def order(self) -> tuple[Any, ...]:
        """Sort key of runs."""
        return self.entry.order, self.seed


def run_key(record: Record) -> RunKey:
    """The run that a record belongs to: its row and its seed."""
    return RunKey(entry_of(record), record.seed)
