"""Find published records, and the rules and code behind them. Imports little, since shell completion uses it too."""

from __future__ import annotations

from pathlib import Path

from ganbench import plugins
from ganbench.contracts.kind import Kind
from ganbench.contracts.protocol import Protocol
from ganbench.errors import PluginError
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Component


def published_folder(protocol: str) -> Path | None:
    """The folder of a protocol's published records.

    It is ``leaderboards/<protocol>`` here, in the package that provides the protocol, or at the top of the checkout
    that the package is installed from.
    """
    folders = [Path("leaderboards", protocol)]
    for source in plugins.of_kind("protocol"):
        if source.name == protocol and source.file is not None:
            package = source.file.parents[source.module.count(".") - 1]
            checkouts = [folder for folder in package.parents[:2] if (folder / "pyproject.toml").exists()]
            folders += [folder / "leaderboards" / protocol for folder in (package, *checkouts)]
    return next((folder for folder in folders if folder.is_dir()), None)


def published_files(protocol: str) -> list[Path]:
    """The published record files of a protocol, sorted; none if nothing is published."""
    folder = published_folder(protocol)
    return sorted(folder.glob("records/*.json")) if folder else []


def rules_of(text: str, runs: Path) -> Protocol | None:
    """The protocol; None if its plugin is gone but there may still be records of it."""
    try:
        return load_protocol(text)
    except PluginError:
        known = (runs / text).is_dir() or published_folder(text) is not None
        if known and not any(s.name == text for s in plugins.of_kind("protocol")):
            return None
        raise


def installed_source(kind: Kind, part: Component) -> str:
    """The source hash of the installed plugin, if it has the same version; "" if there is none."""
    try:
        source = plugins.find(kind, f"{part.package}:{part.name}")
    except PluginError:
        return ""
    return source.source_hash if source.version == part.version else ""
