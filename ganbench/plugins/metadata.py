"""Find the installed components: every entry point that a package declares in a ganbench group.

Listings and typo hints use only package metadata. GANBench imports only the components that a run names.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Sequence
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
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from ganbench.contracts.kind import Kind
from ganbench.errors import PluginWarning
from ganbench.plugins.hookspecs import KINDS
from ganbench.plugins.source import Source

GROUPS: dict[str, Kind] = {f"ganbench.{kind}": kind for kind in KINDS}
"""Entry-point groups, and the kind of component that each declares."""
ALLOW_LIST = "GANBENCH_PLUGINS"


class _Owner(NamedTuple):
    """The package that declares a component."""

    package: str
    version: str


def announced() -> list[Source]:
    """Return every component that an installed package declares, allowed or not, from metadata only."""
    found = {_source(point) for point in _scan()}
    return sorted(found, key=lambda s: (KINDS.index(s.kind), s.name, s.package, s.version, s.module))


@cache
def installed() -> tuple[Source, ...]:
    """Return the components that GANBench may use. It scans once per process.

    These are the components of the packages that ``GANBENCH_PLUGINS`` names, or all components if it is empty.
    """
    admitted = {canonical(name) for name in allow_list()}
    return tuple(s for s in announced() if not admitted or canonical(s.package) in admitted)


def allow_list() -> list[str]:
    """Return the packages that ``GANBENCH_PLUGINS`` names."""
    return [name.strip() for name in os.environ.get(ALLOW_LIST, "").split(",") if name.strip()]


def of_kind(kind: Kind) -> list[Source]:
    """Return the installed components of one kind."""
    return [source for source in installed() if source.kind == kind]


def canonical(package: str) -> str:
    """Normalise a package name as package indexes do: ``My_Package`` becomes ``my-package``."""
    return re.sub(r"[-_.]+", "-", package.strip()).lower()


def checkout_of(package: str) -> Path | None:
    """Return the folder of an editable install (PEP 610), or None if the package is not installed that way."""
    try:
        text = distribution(package).read_text("direct_url.json")
        origin = json.loads(text or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(origin["url"]).path))


def _scan() -> list[EntryPoint]:
    try:
        scanned = entry_points()
        return [point for group in GROUPS for point in scanned.select(group=group)]
    except Exception:  # importlib.metadata fails for all packages if one entry_points.txt is malformed
        first = {canonical(_owner(dist).package): dist for dist in reversed(list(distributions()))}  # as on sys.path
        return [point for dist in first.values() for point in _points(dist) if point.group in GROUPS]


def _points(dist: Distribution) -> Sequence[EntryPoint]:
    try:
        return list(dist.entry_points)
    except Exception:
        owner = " ".join(_owner(dist))
        text = f"skipped {owner}, because its entry_points.txt is malformed; reinstall it, or tell its author"
        warnings.warn(PluginWarning(text), stacklevel=1)
        return []


def _source(point: EntryPoint) -> Source:
    owner = _owner(point.dist) if point.dist else _Owner("?", "?")
    return Source(GROUPS[point.group], point.name, owner.package, owner.version, point.value)


@cache  # importlib.metadata parses metadata anew on every access
def _owner(dist: Distribution) -> _Owner:
    """Return name and version, from the folder's name if the package's metadata are damaged."""
    folder = Path(getattr(dist, "_path", "?-?")).stem.split("-")
    try:
        facts = dist.metadata
        return _Owner(facts["Name"] or folder[0], facts["Version"] or folder[-1])
    except Exception:
        return _Owner(folder[0], folder[-1])
