"""Protocols by name or from a TOML file."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from ganbench import plugins
from ganbench.contracts import protocol as protocols
from ganbench.contracts.protocol import Protocol
from ganbench.contracts.protocol_file import read_toml
from ganbench.errors import PluginError, ProtocolError


def load_protocol(text: str) -> Protocol:
    """A protocol by name, or from a user's TOML file.

    Raises:
        GanbenchError: there is none of that name, or it breaks the rules.
    """
    if text.endswith(".toml") or os.sep in text:
        return read_toml(Path(text))
    source = plugins.find("protocol", text)
    built = plugins.build(source)
    found = checked(built, str(source)) if isinstance(built, Protocol) else protocols.parse(built, str(source))
    if found.name != source.name:
        raise PluginError(f"{source} provides a protocol that calls itself '{found.name}'", "use the same name in both")
    return found


def checked(protocol: Protocol, origin: str) -> Protocol:
    """Rules made in Python, which no constructor checks, checked like those of a file: ``metrics=("fid")`` is a string.

    Raises:
        ProtocolError: they break the rules of protocols.
    """
    try:
        plain = msgspec.to_builtins(protocol)
    except (TypeError, ValueError, RecursionError) as error:
        why = f"{origin}: a field holds neither text nor a number, nor a tuple of these"
        raise ProtocolError(why, "write the rules as in a TOML file") from error
    rules = protocols.parse(plain, origin)
    return protocol if rules == protocol else rules  # 1 stays 1, where the checked rules hold 1.0
