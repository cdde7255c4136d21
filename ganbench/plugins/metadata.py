"""What is installed: every component that a package announces as an entry point.

Everything a listing or a typo hint needs comes from package metadata. Only components that a run names are imported.
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
"""Groups of entry points, and the kind of what each announces."""
ALLOW_LIST = "GANBENCH_PLUGINS"


class _Owner(NamedTuple):
    """The package that announces a component."""

    package: str
    version: str


def announced() -> list[Source]:
    """Every component that an installed package announces, admitted or not; metadata only."""
    found = {_source(point) for point in _scan()}
    return sorted(found, key=lambda s: (KINDS.index(s.kind), s.name, s.package, s.version, s.module))


@cache
def installed() -> tuple[Source, ...]:
    """The components that may be used, scanned once per process.

    They are those of the packages that ``GANBENCH_PLUGINS`` names, or all if it is empty.
    """
    admitted = {canonical(name) for name in allow_list()}
    return tuple(s for s in announced() if not admitted or canonical(s.package) in admitted)


def allow_list() -> list[str]:
    """The packages that ``GANBENCH_PLUGINS`` names."""
    return [name.strip() for name in os.environ.get(ALLOW_LIST, "").split(",") if name.strip()]


def of_kind(kind: Kind) -> list[Source]:
    """The installed components of one kind."""
    return [source for source in installed() if source.kind == kind]


def canonical(package: str) -> str:
    """A package's name as indexes compare it: ``My_Package`` is ``my-package``."""
    return re.sub(r"[-_.]+", "-", package.strip()).lower()


def checkout_of(package: str) -> Path | None:
    """The folder of an editable install (PEP 610); None for any other install, or none at all."""
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
    except Exception:  # with one malformed entry_points.txt, importlib.metadata returns none
        first = {canonical(_owner(dist).package): dist for dist in reversed(list(distributions()))}  # as on sys.path
        return [point for dist in first.values() for point in _points(dist) if point.group in GROUPS]


def _points(dist: Distribution) -> Sequence[EntryPoint]:
    try:
        return list(dist.entry_points)
    except Exception:
        owner = " ".join(_owner(dist))
        text = f"{owner} is left out: its entry_points.txt is malformed; reinstall it, or tell its author"
        warnings.warn(PluginWarning(text), stacklevel=1)
        return []


def _source(point: EntryPoint) -> Source:
    owner = _owner(point.dist) if point.dist else _Owner("?", "?")
    return Source(GROUPS[point.group], point.name, owner.package, owner.version, point.value)


@cache  # metadata are parsed again on every access
def _owner(dist: Distribution) -> _Owner:
    """Name and version, taken from the folder's name if a package's metadata are damaged."""
    folder = Path(getattr(dist, "_path", "?-?")).stem.split("-")
    try:
        facts = dist.metadata
        return _Owner(facts["Name"] or folder[0], facts["Version"] or folder[-1])
    except Exception:
        return _Owner(folder[0], folder[-1])
