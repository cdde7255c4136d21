"""Seals: a hash of a file's content, stored in the file, that reveals accidental changes.

A seal needs no key, so it is not a signature: anyone who can write the file can seal it again. SECURITY.md says more.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from ganbench._version import __version__
from ganbench.errors import RecordError, legible
from ganbench.records.files import in_the_way, read_whole, reason_of

T = TypeVar("T")
LARGEST = 16 * 2**20
"""In bytes; a record has some ten thousand."""
_BUG = "this is a bug in GANBench or a plugin"


def sealed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values, with all text made valid Unicode, and their ``seal``."""
    plain = {name: _legible(value) for name, value in facts.items()}
    return {**plain, "seal": seal_of(plain)}


def refuse_unreadable(facts: Mapping[str, Any], shape: type[Struct], what: str) -> None:
    """Raise RecordError if a field does not fit its type, which is not checked when a structure is created."""
    try:
        msgspec.convert(facts, shape)
    except msgspec.ValidationError as error:
        raise RecordError(f"cannot write a {what}: {error}", _BUG) from error


def lacking(missing: str, what: str) -> RecordError:
    """The error for a file that is not written because something is missing."""
    return RecordError(f"cannot write a {what} without {missing}", _BUG)


def read_sealed(path: Path, shape: Callable[[Mapping[str, Any]], type[T]], formats: range, what: str, again: str) -> T:
    """Load a sealed file.

    Args:
        path: the file.
        shape: returns the type of the content, given its plain values.
        formats: the formats that can be read.
        what: what messages call the file.
        again: what messages call making it again.

    Raises:
        RecordError: the file cannot be read, holds something else, was changed since it was written, or is of a format
            that this GANBench does not read.
    """
    try:
        facts = _facts_in(read_whole(path, LARGEST))
        _check_format(facts["format"], formats, path, what, again)
        found = msgspec.convert(facts, shape(facts))
        seal = seal_of(facts)
    except RecursionError:
        raise _unreadable(path, what, "it is nested too deeply", again) from None
    except OSError as error:
        hint = in_the_way(path) or f"delete it and {again}"
        raise RecordError(f"{path} is not a readable {what}: {reason_of(error)}", hint) from error
    except (ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise _unreadable(path, what, str(error), again) from error
    if facts.get("seal") != seal:
        raise RecordError(
            f"{path} was changed after it was written: its seal does not match", f"restore the file, or {again}"
        )
    return found


def _facts_in(content: bytes) -> dict[str, Any]:
    """The JSON object in a file.

    Its names must be unique: if one came twice, some readers would see the first value and others the last.
    """
    facts = msgspec.json.decode(content)
    if not isinstance(facts, dict) or "format" not in facts:
        raise ValueError("it states no format")
    # a quick test that files sealed here pass
    if msgspec.json.format(content, indent=-1) != msgspec.json.encode(facts):
        json.loads(content, object_pairs_hook=_once)
    return facts


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    facts = dict(pairs)
    if len(facts) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"'{twice}' occurs in it twice")
    return facts


def _check_format(number: object, formats: range, path: Path, what: str, again: str) -> None:
    if type(number) is not int:  # True is also an int
        raise ValueError("its format is not a whole number")
    if number not in formats:
        known = f"formats {formats[0]} to {formats[-1]}" if len(formats) > 1 else f"format {formats[0]}"
        raise RecordError(
            f"{path} has {what} format {number}, but GANBench {__version__} reads {known}",
            "upgrade: pip install -U ganbench" if number > formats[-1] else again,
        )


def _unreadable(path: Path, what: str, why: str, again: str) -> RecordError:
    return RecordError(f"{path} is not a readable {what}: {why}", f"delete it and {again}")


def as_text(facts: Mapping[str, Any]) -> bytes:
    """Indented JSON with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n"


def _legible(value: Any) -> Any:
    """Make all text valid Unicode: names and sentences from plugins and file systems may hold other bytes."""
    if isinstance(value, str):
        return legible(value, len(value))
    if isinstance(value, dict):
        return {_legible(name): _legible(part) for name, part in value.items()}
    return [_legible(part) for part in value] if isinstance(value, (list, tuple)) else value


def seal_of(facts: Mapping[str, Any]) -> str:
    """A hash over the plain values, so that fields of later formats do not change older seals."""
    content = {name: value for name, value in facts.items() if name != "seal"}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]
