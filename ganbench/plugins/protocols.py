"""Protocols by name or from a TOML file."""

from __future__ import annotations

import os
from pathlib import Path

from ganbench import plugins
from ganbench.contracts import protocol as protocols
from ganbench.contracts.protocol import Protocol
from ganbench.errors import PluginError


def load_protocol(text: str) -> Protocol:
    """A protocol by name, or from a user's TOML file.

    Raises:
        GanbenchError: there is none of that name, or it breaks the rules.
    """
    if text.endswith(".toml") or os.sep in text:
        return protocols.read_toml(Path(text))
    source = plugins.find("protocol", text)
    built = plugins.build(source)
    found = built if isinstance(built, Protocol) else protocols.parse(built, str(source))
    if found.name != source.name:
        raise PluginError(f"{source} provides a protocol that calls itself '{found.name}'", "use the same name in both")
    return found
