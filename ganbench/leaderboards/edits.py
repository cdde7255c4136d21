"""Find edited components: those whose source differs from the published or installed source of their version."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from ganbench.contracts.kind import Kind
from ganbench.leaderboards.admission import Found
from ganbench.leaderboards.rows import Edit
from ganbench.records.record import FINISHED, Component, Record

Installed = Callable[[Kind, Component], str]
"""``(kind, component) -> source hash`` of the installed plugin of that name, package and version, or ""."""


class _Code(NamedTuple):
    """A version of a component; sources compare only if they were ``hashed`` in the same way."""

    kind: Kind
    package: str
    name: str
    version: str
    hashed: str


class KnownSource(NamedTuple):
    """The known source of a version of a component, and where it comes from."""

    source: str
    whose: str


KnownSources = dict[_Code, KnownSource]


class _Use(NamedTuple):
    """A component as one record used it."""

    found: Found
    component: Component


def _codes(record: Record) -> dict[_Code, Component]:
    return {
        _Code(kind, part.package, part.name, part.version, _hashed_as(part, record)): part
        for kind, part in record.players
    }


def _hashed_as(part: Component, record: Record) -> str:
    """How a source was hashed: the hash itself says so, except in records of format 2."""
    return part.hash_kind or f"format {record.format}"


def known_sources(found: Iterable[Found], installed: Installed | None) -> KnownSources:
    """The known source of each version of a component, and where it comes from.

    Published records come first, then the installed plugin, then the majority of records (on a tie, the earliest).
    """
    found = list(found)
    mixed = any(one.here for one in found)
    groups: dict[_Code, list[_Use]] = defaultdict(list)
    for one in found:
        for code, part in _codes(one.record).items():
            groups[code].append(_Use(one, part))
    known: KnownSources = {}
    for code, group in groups.items():
        published = [use for use in group if not use.found.here]
        component = group[0].component
        source = installed(code.kind, component) if installed and not published else ""
        if replace(component, source=source).hash_kind != component.hash_kind:
            source = ""
        whose = "the installed plugin" if source else "the published one" if published and mixed else "most runs"
        known[code] = KnownSource(source or _usual(published or group), whose)
    return known


def _usual(uses: Sequence[_Use]) -> str:
    counts = Counter(use.component.source for use in uses)
    first: dict[str, str] = {}
    for use in uses:
        source, started = use.component.source, use.found.record.started
        first[source] = min(started, first.get(source, started))
    return min(counts, key=lambda source: (-counts[source], first[source], source))


def edits_of(records: Iterable[Record], known: KnownSources) -> list[Edit]:
    """Components of finished runs whose source differs from the known source of the same version."""
    edits = set()
    for record in records:
        for code, part in _codes(record).items():
            expected, whose = known[code]
            if record.status in FINISHED and part.source != expected:
                edits.add(Edit(code.kind, part.name, part.package, part.version, part.source, expected, whose))
    return sorted(edits)
