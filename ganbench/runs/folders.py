"""The folders of runs, ``PROTOCOL/ROW/seedN``, by what is run or by what a record says."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice, product

from ganbench import plugins
from ganbench.contracts.component_ref import ComponentRef
from ganbench.contracts.executor import UNPACKAGED
from ganbench.contracts.kind import Kind
from ganbench.plugins.metadata import canonical
from ganbench.records.files import fitting
from ganbench.records.record import IN_PLACE_OF, Component, ExternalRecord, Record, Role, YardstickRecord

MOST = 1024
"""Names of one row that are tried: enough for ten components, each with or without its package."""


def row_folder(components: Iterable[str], changes: Mapping[str, str]) -> str:
    """``dcgan+wgan-gp+pacgan~2``, shortened with a hash if it is too long."""
    names = [name.replace(":", "~").replace("/", "~") for name in components]
    tail = "".join(f"+{name}={value}" for name, value in sorted(changes.items()))
    return fitting("+".join(names) + tail.replace("/", "~").replace(" ", ""))


def yardstick_folder(name: str) -> str:
    """``gaussian-fit``."""
    return name.replace(" ", "-")


def external_folder(name: str) -> str:
    """``external~my-model``, for samples from elsewhere."""
    return f"external~{plain_name(name)}"


def plain_name(text: str) -> str:
    """The text as a part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "samples"


def needs_package(kind: Kind, name: str, package: str) -> bool:
    """Whether a component's name stands for another one here, or for several, unless its package comes first."""
    providers = {canonical(source.package) for source in plugins.of_kind(kind) if source.name == name}
    return package == UNPACKAGED or not providers <= {canonical(package)}


def rows_of(record: Record, yardsticks: Collection[str] = ()) -> Iterator[str]:
    """The names that the folder of a record's row may have, beginning with the one that a run here would choose.

    Whether the package of a component comes first depends on what else was installed. ``yardsticks`` are those of the
    protocol.
    """
    if isinstance(record, ExternalRecord):
        yield external_folder(record.external.name)
    elif isinstance(record, YardstickRecord):
        replaced = [name for name, other in IN_PLACE_OF.items() if other == record.yardstick]
        names = sorted([record.yardstick, *replaced], key=lambda name: name not in yardsticks)
        yield from map(yardstick_folder, names)
    else:
        choices = [_references(role) for role in record.players]
        yield from (row_folder(names, record.changes) for names in islice(product(*choices), MOST))


def _references(role: Role) -> list[str]:
    """A component's name, with its package and without, the one that is clear here first."""
    part: Component = role.component
    clear = needs_package(role.kind, ComponentRef.of(part.name).name, part.package)
    return sorted([part.name, f"{part.package}:{part.name}"], key=lambda name: (name == part.name) == clear)
