"""Plugins: entry-point metadata -> Source; what a name means; from a Source to what its hook builds.

Everything a listing or a typo hint needs comes from package metadata; only what a run names is imported.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib.metadata import (
    Distribution,
    EntryPoint,
    PackageNotFoundError,
    distribution,
    distributions,
    entry_points,
)
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ganbench.errors import GanbenchError, PluginError
from ganbench.hookspecs import KINDS
from ganbench.loading import PluginWarning, check_result, load, told
from ganbench.record import UNPACKAGED
from ganbench.sources import file_of, header_of, source_hash

GROUP = "ganbench."
ALLOW_LIST = "GANBENCH_PLUGINS"


@dataclass(frozen=True, order=True)
class Source:
    """Where a component comes from; ``argument`` is what followed the colon (``folder:PATH``)."""

    kind: str
    name: str
    package: str
    version: str
    module: str
    argument: str = ""

    @property
    def label(self) -> str:
        """The component as the user named it."""
        return f"{self.name}:{self.argument}" if self.argument else self.name

    @property
    def reference(self) -> str:
        """A text that ``find`` resolves to this very source."""
        return f"{self.package}:{self.label}"

    def __str__(self) -> str:
        return f"{self.name} ({self.package} {self.version})"

    @property
    def file(self) -> Path | None:
        """The module's source file, found without importing it (or its packages)."""
        return file_of(self.module)

    @property
    def summary(self) -> str:
        """First line of the module's docstring, read without importing the module."""
        return header_of(self.module).summary

    @property
    def source_hash(self) -> str:
        """The hash of the module and of what it imports from its own package, ``ast1:0123456789ab``; tells an edited
        plugin from a published one. Comments, docstrings and formatting do not count."""
        return source_hash(self.module)


# -- what is installed ---------------------------------------------------------------------------------------


def announced() -> list[Source]:
    """Every component that an installed package announces, admitted or not; metadata only."""
    found = {_source(point) for point in _scan()}
    return sorted(found, key=lambda s: (KINDS.index(s.kind), s.name, s.package, s.version, s.module))


@cache
def installed() -> tuple[Source, ...]:
    """The components that may be used: of the packages that ``GANBENCH_PLUGINS`` names, or of all where it is empty.
    Scanned once per process."""
    admitted = {canonical(name) for name in allow_list()}
    return tuple(s for s in announced() if not admitted or canonical(s.package) in admitted)


def allow_list() -> list[str]:
    """The packages that ``GANBENCH_PLUGINS`` names."""
    return [name.strip() for name in os.environ.get(ALLOW_LIST, "").split(",") if name.strip()]


def of_kind(kind: str) -> list[Source]:
    """The installed components of one kind."""
    return [source for source in installed() if source.kind == kind]


def canonical(package: str) -> str:
    """A package's name as indexes compare it: ``My_Package`` is ``my-package``."""
    return re.sub(r"[-_.]+", "-", package.strip()).lower()


def checkout_of(package: str) -> Path | None:
    """The folder that an editable install leads to (PEP 610); None for any other install, and where there is none."""
    try:
        text = distribution(package).read_text("direct_url.json")
        origin = json.loads(text or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(origin["url"]).path))


def _scan() -> list[EntryPoint]:
    groups = [GROUP + kind for kind in KINDS]
    try:
        scanned = entry_points()
        return [point for group in groups for point in scanned.select(group=group)]
    except Exception:  # one malformed entry_points.txt, and importlib.metadata hands out nobody's
        first = {canonical(_owner(dist)[0]): dist for dist in reversed(list(distributions()))}  # as on sys.path
        return [point for dist in first.values() for point in _points(dist) if point.group in groups]


def _points(dist: Distribution) -> Sequence[EntryPoint]:
    try:
        return list(dist.entry_points)
    except Exception:
        owner = " ".join(_owner(dist))
        text = f"{owner} is left out: its entry_points.txt is malformed; reinstall it, or tell its author"
        warnings.warn(PluginWarning(text), stacklevel=1)
        return []


def _source(point: EntryPoint) -> Source:
    package, version = _owner(point.dist) if point.dist else ("?", "?")
    return Source(point.group.removeprefix(GROUP), point.name, package, version, point.value)


@cache  # metadata are parsed anew on every access
def _owner(dist: Distribution) -> tuple[str, str]:
    """Name and version; as the folder is called where a package's metadata are damaged."""
    folder = Path(getattr(dist, "_path", "?-?")).stem.split("-")
    try:
        facts = dist.metadata
        return facts["Name"] or folder[0], facts["Version"] or folder[-1]
    except Exception:
        return folder[0], folder[-1]


# -- what a name means ---------------------------------------------------------------------------------------


def find(kind: str, text: str) -> Source:
    """Resolve what a user typed: ``name``, ``name:argument``, ``package:name`` or ``package:name:argument``.

    A package may be called like its component: ``sagan:sagan`` is the ``sagan`` of the package ``sagan``.

    Raises:
        PluginError: nothing is called that (with suggestions), or more than one package provides it.
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
        raise PluginError(*_not_found(kind, text, known))
    if len(matches) > 1:
        raise PluginError(*_ambiguous(matches))
    return replace(matches[0], argument=argument)


def hand_over(source: Source) -> None:
    """Make a component known that no package announces; ``find`` resolves its reference, ``unpackaged:name``."""
    _handed[source.kind, source.name] = source


_handed: dict[tuple[str, str], Source] = {}


def _handed_over(kind: str, name: str) -> Source:
    if (kind, name) not in _handed:
        raise PluginError(
            f"the {kind} '{name}' is in no package: it was handed over from Python, to another process",
            f"hand it over again: ganbench.run({kind}=...)",
        )
    return _handed[kind, name]


def find_for(protocol: str, kind: str, text: str) -> Source:
    """Resolve a name that a protocol mentions. Where several packages provide it, the protocol's own package is meant:
    what else is installed must not break a protocol.

    Raises:
        PluginError: as ``find``.
    """
    head = text.partition(":")[0]
    if sum(source.name == head for source in of_kind(kind)) > 1:
        for home in {source.package for source in of_kind("protocol") if source.name == protocol}:
            if any((source.name, source.package) == (head, home) for source in of_kind(kind)):
                return find(kind, f"{home}:{text}")
    return find(kind, text)


def find_many(kind: str, texts: Sequence[str]) -> list[Source]:
    """Resolve repeated or comma-separated names; ``all`` means every installed one. No name counts twice."""
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if "all" in names:
        names = [*unambiguous(kind), *(name for name in names if name != "all")]
    return list(dict.fromkeys(find(kind, name) for name in names))


def unambiguous(kind: str) -> list[str]:
    """What to call each installed component: its name, with its package in front where several have that name."""
    sources = of_kind(kind)
    count = Counter(source.name for source in sources)
    return list(dict.fromkeys(s.reference if count[s.name] > 1 else s.name for s in sources))


def _not_found(kind: str, text: str, known: Sequence[Source]) -> tuple[str, str]:
    for source in announced() if allow_list() else ():
        if source.kind == kind and source.name in text.split(":")[:2] and source not in known:
            why = f"{ALLOW_LIST} admits only {', '.join(allow_list())}"
            return f"{source} is kept out: {why}", f"add {source.package} to {ALLOW_LIST}"
    head, colon, tail = text.partition(":")
    close = get_close_matches(head, [s.name for s in known], 1, 0.75 if tail else 0.5)
    meant = f" - did you mean '{close[0] + colon + tail}'?" if close else ""
    by_package: dict[str, list[str]] = {}
    for source in known:
        by_package.setdefault(f"{source.package} {source.version}", []).append(source.name)
    listing = "; ".join(f"{', '.join(names)} (from {package})" for package, names in by_package.items())
    only = f" ({ALLOW_LIST} admits only {', '.join(allow_list())})" if allow_list() else ""
    called = f"'{tail}' from a package '{head}' is installed" if tail and not close else f"called '{text}'"
    return f"no {kind} {called}{meant}", f"installed: {listing or 'none'}{only}"


def _ambiguous(matches: Sequence[Source]) -> tuple[str, str]:
    kind, name = matches[0].kind, matches[0].name
    owners = {canonical(s.package): f"{s.package} {s.version}" for s in matches}
    if len(owners) < len(matches):
        modules = ", ".join(s.module for s in matches)
        return f"{matches[0]} is announced more than once: {modules}", "its author has to give each a name of its own"
    option = f"--{kind} " if kind in {"arch", "loss", "trick"} else ""
    choices = " or ".join(f"{option}{s.reference}" for s in matches)
    return (
        f"{len(matches)} packages provide the {kind} '{name}': {', '.join(owners.values())}",
        f"choose one: {choices}",
    )


# -- from a name to an object --------------------------------------------------------------------------------


def build(source: Source, **arguments: Any) -> Any:
    """Import one plugin, check its hook, and return what the hook built.

    Raises:
        PluginError: the import fails, a hook is misspelt or has a wrong signature, the hook fails or returns something
            else than it should, or the plugin needs a newer GANBench.
        GanbenchError: what the plugin itself raised to decline (``Unsupported``, ``DataError``).
    """
    hook = getattr(load(replace(source, argument="")).hook, f"ganbench_{source.kind}")
    if source.argument and "argument" not in hook.get_hookimpls()[0].argnames:
        raise PluginError(f"{source} takes no argument, but was given '{source.argument}'", f"say just '{source.name}'")
    try:
        results = hook(**arguments)
    except GanbenchError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{source} failed to build: {told(error)}", "run with --debug to see where; tell its author"
        ) from error
    built = results[0] if results else None
    check_result(source, built)
    return built
