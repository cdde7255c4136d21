"""Load protocols by name or from a TOML file."""

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
    """Load a protocol by name or from a user's TOML file.

    Raises:
        GanbenchError: no protocol has that name, or its fields are invalid.
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
    """Validate a protocol built in Python like one from a file, because its constructor checks nothing.

    For example, ``metrics=("fid")`` is a string, not a tuple.

    Raises:
        ProtocolError: a field is invalid.
    """
    try:
        plain = msgspec.to_builtins(protocol)
    except (TypeError, ValueError, RecursionError) as error:
        why = f"{origin}: a field is not text, a number or a tuple of these"
        raise ProtocolError(why, "use the types that a TOML file would have") from error
    rules = protocols.parse(plain, origin)
    return protocol if rules == protocol else rules  # keep 1 as 1, where the validated copy has 1.0
