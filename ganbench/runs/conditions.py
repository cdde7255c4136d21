"""What has changed since a record was made: its surroundings, which may change bits, and its sources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from ganbench.records.record import STATED, Component, PluginName, Record

SURROUNDINGS = ("device", "torch", "cuda", "cudnn", "python", "threads", "precision", "system", "ganbench", "core")


@dataclass(frozen=True)
class Change:
    """Something that changed since the record: ``what``, and a sentence about it.

    ``source`` is true for the code of a plugin and for data: such a change may alter the result itself. Any other
    change alters only rounding. ``values`` are the old and the new one, joined by a comma; empty for a hash.
    """

    what: str
    sentence: str
    source: bool = False
    values: str = ""

    @property
    def brief(self) -> str:
        """``torch (2.10.0, 2.11.0)``."""
        return f"{self.what} ({self.values})" if self.values else self.what


def conditions(then: Record, now: Record) -> list[Change]:
    """Everything that differs between a record and its repetition and may change bits."""
    return [*_surroundings(then, now), *_sources(then, now), *_data(then, now)]


def comparable(then: Record, now: Record) -> bool:
    """Whether the code hashes of both records were computed in the same way."""
    return min(then.format, STATED) == min(now.format, STATED)


def _surroundings(then: Record, now: Record) -> Iterator[Change]:
    for what in SURROUNDINGS:
        before, after = getattr(then.environment, what), getattr(now.environment, what)
        if before and before != after and (what != "core" or comparable(then, now)):
            yield _change(what, before, after or "none")


def _sources(then: Record, now: Record) -> Iterator[Change]:
    """Changes of source; a new version number of the same source is not one.

    If hashes are not comparable, only a metric's new revision can be detected.
    """
    same_kind = comparable(then, now)
    if not same_kind:
        yield Change("code", "code: its hash was computed differently then, so changes cannot be detected")
    for kind, before, after in _pairs(then, now):
        what = f"{kind} {before.name}"
        if same_kind and before.source != after.source:
            yield _change(what, f"source {_code(before)}", _code(after), source=True)
        elif max(1, before.revision) != max(1, after.revision):
            yield _change(what, f"revision {before.revision}", f"revision {after.revision}", source=True)


def _pairs(then: Record, now: Record) -> Iterator[tuple[str, Component, Component]]:
    """Pair the components of both by name; several of the same name, from different packages, pair in order."""
    found = defaultdict[PluginName, list[Component]](list)
    for role in now.components:
        found[role.plugin].append(role.component)
    for role in then.components:
        if after := found[role.plugin]:
            yield role.kind, role.component, after.pop(0)


def _data(then: Record, now: Record) -> Iterator[Change]:
    """Changed data, or an extractor with different weights."""
    for field in ("dataset_hash", "extractor"):
        before, after = getattr(then, field), getattr(now, field)
        if before != after:
            yield _change(field.replace("_", " "), before or "none", after or "none", source=True)


def _change(what: str, before: object, after: object, source: bool = False) -> Change:
    values = "" if source or what == "core" else f"{before}, {after}"
    return Change(what, f"{what}: {before} then, {after} now", source, values)


def _code(part: Component) -> str:
    return f"{part.source or 'unknown'} ({part.version})"
