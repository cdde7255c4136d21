"""Which installed datasets and extractors say where their files can be fetched.

They are found by reading their sources. Only those that a command names, or lists, are imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ganbench.contracts.component_ref import ComponentRef
from ganbench.contracts.download import Download
from ganbench.errors import GanbenchError, PluginError, blaming, meant
from ganbench.plugins.loading import load
from ganbench.plugins.metadata import installed
from ganbench.plugins.optional import defining
from ganbench.plugins.source import Source

HOOK = "ganbench_download"


def offering() -> tuple[Source, ...]:
    """The installed components whose module defines the hook, without importing them."""
    return defining(HOOK, "dataset", "extractor")


def find_offers(names: Sequence[str]) -> list[Source]:
    """The components of these names, ``mnist`` or ``package:mnist``; an argument is ignored.

    Raises:
        PluginError: one is unknown, has nothing to fetch, or is provided by several packages.
    """
    return list(dict.fromkeys(_find(name) for name in names))


def _find(name: str) -> Source:
    known, head = offering(), ComponentRef.of(name).name
    found = [source for source in known if source.reference == name] or [s for s in known if s.name == head]
    if len(found) == 1:
        return found[0]
    if found:
        raise PluginError(f"several packages provide '{name}'", f"choose one: {', '.join(s.reference for s in found)}")
    listing = f"these can be fetched: {', '.join(source.name for source in known)}"
    if any(source.name == head for source in installed()):
        raise PluginError(f"'{head}' has nothing to fetch", listing)
    raise PluginError(f"nothing called '{head}' can be fetched{meant(head, [s.name for s in known])}", listing)


def download_of(source: Source) -> Download:
    """What a component says can be fetched.

    Raises:
        PluginError: its module cannot be imported, or the hook is missing, fails or returns something else.
    """
    found = offered_by(source)
    if found is None:
        raise PluginError(f"{source} did not return a ganbench.Download from {HOOK}", "tell its author")
    return found


def offered_by(source: Source) -> Download | None:
    """``download_of``, or None if the module has no such hook."""
    hook = getattr(load(replace(source, argument="")).hook, HOOK)
    with blaming(f"{source} cannot say what to fetch", "tell its author", passing=GanbenchError):
        results = hook()
    if results and not isinstance(results[0], Download):
        raise PluginError(f"{source} did not return a ganbench.Download from {HOOK}", "tell its author")
    return results[0] if results else None
