"""Protocols as TOML files: read with the standard library, written with tomlkit."""

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
"""Bytes. A protocol's file with every field has about 1,000. The parser takes memory by the square of a key's parts."""


def read_toml(path: Path) -> Protocol:
    """A protocol from a user's TOML file; relative paths in its dataset and extractor are relative to that file.

    Raises:
        ProtocolError: the file cannot be read, is not TOML, or breaks the rules.
    """
    protocol = from_toml(_text(path), str(path))
    dataset, judge = _located("dataset", protocol.dataset_ref, path), protocol.extractor_ref
    rules = protocol.evaluation
    if judge is not None:
        rules = msgspec.structs.replace(rules, extractor=str(_located("extractor", judge, path)))
    return msgspec.structs.replace(protocol, dataset=str(dataset), evaluation=rules)


def from_toml(text: str, origin: str) -> Protocol:
    """What ``to_toml`` wrote; the paths in its dataset are left as they are.

    Raises:
        ProtocolError: it is not TOML, or breaks the rules; begins with ``origin``.
    """
    try:
        rules = tomllib.loads(text)
    except RecursionError as error:
        raise ProtocolError(f"{origin} is not a protocol: its values are nested too deeply", EXAMPLE) from error
    except ValueError as error:  # also a number of thousands of digits
        why = " ".join(str(error).split())
        raise ProtocolError(f"{origin} is not valid TOML: {why}", EXAMPLE) from error
    return parse(rules, origin)


def _text(path: Path) -> str:
    """The content of a protocol's file; a byte order mark, which some editors write, is left out.

    Raises:
        ProtocolError: it cannot be read, is no file, is too large, or is not UTF-8.
    """
    try:
        there = path.stat()
        if not stat.S_ISREG(there.st_mode):  # reading a pipe or a device may never end
            raise ProtocolError(f"the protocol file {path} is not a regular file", "give the path of a TOML file")
        if there.st_size > LARGEST_FILE:
            too_large = f"the protocol file {path} has {there.st_size:,} bytes, more than {LARGEST_FILE:,}"
            raise ProtocolError(too_large, EXAMPLE)
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        why = error.strerror or str(error)
        raise ProtocolError(f"cannot read the protocol file {path}: {why}", "give the path of a TOML file") from error
    except UnicodeDecodeError as error:
        raise ProtocolError(f"the protocol file {path} is not UTF-8 text", "save it as UTF-8") from error


def _located(field: str, named: ComponentRef, file: Path) -> ComponentRef:
    """A component with its paths found beside the file.

    Raises:
        ProtocolError: a number might be a path, or a path would be read as a number.
    """
    for number in named.parameters:
        if _is_there(file.parent / number):
            why = f'{file}: the {number} in `{field} = "{named}"` is a number, but a path as well'
            how = f"write ./{number} if you mean the path; if you mean the number, rename {file.parent / number}"
            raise ProtocolError(why, how)
    located = named.with_paths(partial(_beside, file))
    if ComponentRef.of(str(located)).parameters != named.parameters:
        why = f"{file}: in {located}, a part of the path between commas would be read as a number"
        raise ProtocolError(why, "rename it, so that it holds no number after a comma")
    return located


def _beside(file: Path, part: str) -> str:
    """A path that exists in the folder of ``file``, resolved; anything else unchanged."""
    there = file.parent / part
    return str(there.resolve()) if part and not Path(part).is_absolute() and _is_there(there) else part


def _is_there(path: Path) -> bool:
    with suppress(OSError):  # too long for a name
        return path.exists()
    return False


def to_toml(protocol: Protocol) -> str:
    """The rules in full, defaults included, as TOML that ``from_toml`` and ``read_toml`` accept."""
    import tomlkit  # here, as most commands only read

    return tomlkit.dumps(_without_none(msgspec.to_builtins(protocol)))


def _without_none(rules: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null, so what is None is left out."""
    given = {name: value for name, value in rules.items() if value is not None}
    return {name: _without_none(value) if isinstance(value, dict) else value for name, value in given.items()}
