"""Read protocols from TOML files with the standard library, and write them with tomlkit."""

from __future__ import annotations

import stat
import tomllib
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from ganbench.contracts.component_ref import ComponentRef
from ganbench.contracts.protocol import EXAMPLE, Protocol, parse
from ganbench.errors import ProtocolError

LARGEST_FILE = 20_000
"""Maximum size in bytes; a complete file has about 1,000. Parsing takes memory quadratic in the parts of a key."""


def read_toml(path: Path) -> Protocol:
    """Read a protocol from a user's TOML file. Paths in its dataset and extractor are relative to that file.

    Raises:
        ProtocolError: the file cannot be read, is not TOML, or has an invalid field.
    """
    protocol = from_toml(_text(path), str(path))
    dataset, judge = _located("dataset", protocol.dataset_ref, path), protocol.extractor_ref
    rules = protocol.evaluation
    if judge is not None:
        rules = msgspec.structs.replace(rules, extractor=str(_located("extractor", judge, path)))
    return msgspec.structs.replace(protocol, dataset=str(dataset), evaluation=rules)


def from_toml(text: str, origin: str) -> Protocol:
    """Parse a protocol from TOML, as written by ``to_toml``. Paths in its dataset stay unchanged.

    Raises:
        ProtocolError: the text is not TOML, or has an invalid field. The message begins with ``origin``.
    """
    try:
        rules = tomllib.loads(text)
    except RecursionError as error:
        raise ProtocolError(f"{origin} is not a protocol: its values are nested too deeply", EXAMPLE) from error
    except ValueError as error:  # also for a number with thousands of digits
        why = " ".join(str(error).split())
        raise ProtocolError(f"{origin} is not valid TOML: {why}", EXAMPLE) from error
    return parse(rules, origin)


def _text(path: Path) -> str:
    """Return the content of a protocol's file, without the byte order mark that some editors write.

    Raises:
        ProtocolError: the file cannot be read, is not a regular file, is too large, or is not UTF-8.
    """
    try:
        there = path.stat()
        if not stat.S_ISREG(there.st_mode):  # reading a pipe or a device may never end
            raise ProtocolError(f"the protocol file {path} is not a regular file", "give the path of a TOML file")
        if there.st_size > LARGEST_FILE:
            too_large = f"the protocol file {path} has {there.st_size:,} bytes, more than the limit of {LARGEST_FILE:,}"
            raise ProtocolError(too_large, EXAMPLE)
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        why = error.strerror or str(error)
        raise ProtocolError(f"cannot read the protocol file {path}: {why}", "give the path of a TOML file") from error
    except UnicodeDecodeError as error:
        raise ProtocolError(f"the protocol file {path} is not UTF-8 text", "save it as UTF-8") from error


def _located(field: str, named: ComponentRef, file: Path) -> ComponentRef:
    """Resolve a component's paths relative to the file.

    Raises:
        ProtocolError: a number may be a path, or a path would be read as a number.
    """
    for number in named.parameters:
        if _is_there(file.parent / number):
            why = f'{file}: the {number} in `{field} = "{named}"` is a number, but also an existing path'
            how = f"write ./{number} if you mean the path; if you mean the number, rename {file.parent / number}"
            raise ProtocolError(why, how)
    located = named.with_paths(partial(_beside, file))
    if ComponentRef.of(str(located)).parameters != named.parameters:
        why = f"{file}: in {located}, a part of the path between commas would be read as a number"
        raise ProtocolError(why, "rename it, so that no number follows a comma")
    return located


def _beside(file: Path, part: str) -> str:
    """Resolve a path that exists in the folder of ``file``. Return anything else unchanged."""
    there = file.parent / part
    return str(there.resolve()) if part and not Path(part).is_absolute() and _is_there(there) else part


def _is_there(path: Path) -> bool:
    with suppress(OSError):  # the name is too long
        return path.exists()
    return False


def to_toml(protocol: Protocol) -> str:
    """Write all rules, including defaults, as TOML that ``from_toml`` and ``read_toml`` accept."""
    import tomlkit  # imported here, because most commands only read

    return tomlkit.dumps(_without_none(msgspec.to_builtins(protocol)))


def _without_none(rules: dict[str, Any]) -> dict[str, Any]:
    """Drop the fields that are None, because TOML has no null."""
    given = {name: value for name, value in rules.items() if value is not None}
    return {name: _without_none(value) if isinstance(value, dict) else value for name, value in given.items()}
