"""Which components were edited: their source is not that of the published or the installed version."""

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
    """A version of a component; sources that were ``hashed`` in other ways do not compare."""

    kind: Kind
    package: str
    name: str
    version: str
    hashed: str


class KnownSource(NamedTuple):
    """The known source of a version of a component, and whose it is."""

    source: str
    whose: str


KnownSources = dict[_Code, KnownSource]


class _Use(NamedTuple):
    """A version of a component, as one record used it."""

    found: Found
    component: Component


def _codes(record: Record) -> dict[_Code, Component]:
    return {
        _Code(kind, part.package, part.name, part.version, _hashed_as(part, record)): part
        for kind, part in record.players
    }


def _hashed_as(part: Component, record: Record) -> str:
    """Format 2 did not state how a hash was computed; since then the hash does."""
    return part.hash_kind or f"format {record.format}"


def known_sources(found: Iterable[Found], installed: Installed | None) -> KnownSources:
    """The known source of each version of a component, and whose it is.

    It is that of the published records, else of the installed plugin, else of most records (on a tie, the earliest).
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
    """The components in which finished runs differ from the known source of the same version."""
    edits = set()
    for record in records:
        for code, part in _codes(record).items():
            expected, whose = known[code]
            if record.status in FINISHED and part.source != expected:
                edits.add(Edit(code.kind, part.name, part.package, part.version, part.source, expected, whose))
    return sorted(edits)
