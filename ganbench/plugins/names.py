"""Resolve the name of a component, typed by a user or written in a protocol, to its source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ganbench import plugins
from ganbench.contracts.component_ref import ComponentRef
from ganbench.contracts.executor import UNPACKAGED
from ganbench.contracts.kind import Kind
from ganbench.errors import GanbenchError, PluginError, closest
from ganbench.plugins.metadata import ALLOW_LIST, allow_list, announced, canonical, of_kind
from ganbench.plugins.source import Source


def find(kind: Kind, text: str) -> Source:
    """Resolve what a user typed: ``name``, ``name:argument``, ``package:name`` or ``package:name:argument``.

    A package may have the same name as its component: ``sagan:sagan`` is the ``sagan`` of the package ``sagan``.

    Raises:
        PluginError: no component has that name (the message suggests one), or several packages provide it.
    """
    known = of_kind(kind)
    head, _, tail = text.partition(":")
    if head == UNPACKAGED:
        return _handed_over(kind, tail)
    name, _, argument = tail.partition(":")
    matches = [s for s in known if name and s.name == name and canonical(s.package) == canonical(head)]
    if not matches:
        matches, argument = [s for s in known if s.name == head], tail
    if not matches:
        raise _not_found(kind, text, known)
    if len(matches) > 1:
        raise _ambiguous(matches)
    return replace(matches[0], argument=argument)


def hand_over(source: Source) -> None:
    """Register a component that no package declares, so that ``find`` resolves ``unpackaged:name``."""
    _handed[source.kind, source.name] = source


_handed: dict[tuple[str, str], Source] = {}


def _handed_over(kind: Kind, name: str) -> Source:
    if (kind, name) not in _handed:
        raise PluginError(
            f"the {kind} '{name}' is not in a package: it was passed from Python in another process",
            f"pass it again: ganbench.run({kind}=...)",
        )
    return _handed[kind, name]


def find_for(protocol: str, kind: Kind, text: str) -> Source:
    """Resolve a name that a protocol mentions.

    If several packages provide it, the protocol's own package wins, so that other packages cannot break the protocol.

    Raises:
        PluginError: as for ``find``.
    """
    head = ComponentRef.of(text).name
    if sum(source.name == head for source in of_kind(kind)) > 1:
        for home in {source.package for source in of_kind("protocol") if source.name == protocol}:
            if any((source.name, source.package) == (head, home) for source in of_kind(kind)):
                return find(kind, f"{home}:{text}")
    return find(kind, text)


def find_many(kind: Kind, texts: Sequence[str]) -> list[Source]:
    """Resolve repeated or comma-separated names, without duplicates. ``all`` means every installed component."""
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if "all" in names:
        names = [*unambiguous(kind), *(name for name in names if name != "all")]
    return list(dict.fromkeys(find(kind, name) for name in names))


def unambiguous(kind: Kind) -> list[str]:
    """Return a unique name for each installed component: ``name``, or ``package:name`` where several share the name."""
    sources = of_kind(kind)
    count = Counter(source.name for source in sources)
    return list(dict.fromkeys(s.reference if count[s.name] > 1 else s.name for s in sources))


def _not_found(kind: Kind, text: str, known: Sequence[Source]) -> PluginError:
    for source in announced() if allow_list() else ():
        if source.kind == kind and source.name in text.split(":")[:2] and source not in known:
            why = f"{ALLOW_LIST} allows only {', '.join(allow_list())}"
            return PluginError(f"{source} is not allowed: {why}", f"add {source.package} to {ALLOW_LIST}")
    head, colon, tail = text.partition(":")
    close = closest(head, [s.name for s in known], 0.75 if tail else 0.5)
    meant = f" - did you mean '{close}{colon}{tail}'?" if close else ""
    by_package: dict[str, list[str]] = {}
    for source in known:
        by_package.setdefault(f"{source.package} {source.version}", []).append(source.name)
    listing = "; ".join(f"{', '.join(names)} (from {package})" for package, names in by_package.items())
    only = f" ({ALLOW_LIST} allows only {', '.join(allow_list())})" if allow_list() else ""
    called = f"'{tail}' from a package '{head}' is installed" if tail and not close else f"called '{text}'"
    return PluginError(f"no {kind} {called}{meant}", f"installed: {listing or 'none'}{only}")


def _ambiguous(matches: Sequence[Source]) -> PluginError:
    kind, name = matches[0].kind, matches[0].name
    owners = {canonical(s.package): f"{s.package} {s.version}" for s in matches}
    if len(owners) < len(matches):
        modules = ", ".join(s.module for s in matches)
        return PluginError(
            f"{matches[0]} is declared more than once: {modules}", "its author must give each a different name"
        )
    option = f"--{kind} " if kind in {"arch", "loss", "trick"} else ""
    choices = " or ".join(f"{option}{s.reference}" for s in matches)
    return PluginError(
        f"{len(matches)} packages provide the {kind} '{name}': {', '.join(owners.values())}",
        f"choose one: {choices}",
    )


def refuse_without(kind: Kind, given: Sequence[str]) -> None:
    """Raise GanbenchError if a required kind is missing. The message lists the installed components."""
    if not any(name.strip() for text in given for name in text.split(",")):
        names = ", ".join(s.name for s in plugins.of_kind(kind))
        raise GanbenchError(f"no --{kind} given", f"installed: {names}, or all")
