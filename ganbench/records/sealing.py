"""Seals: a hash of a file's content that stands in the file, so that nobody changes a number by hand unnoticed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ganbench._version import __version__
from ganbench.errors import RecordError, legible
from ganbench.records.files import in_the_way

T = TypeVar("T")


def sealed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values, every text of them valid Unicode, with their ``seal``."""
    plain = {name: _legible(value) for name, value in facts.items()}
    return {**plain, "seal": _seal(plain)}


def read_sealed(path: Path, shape: type[T], newest: int, what: str, again: str, *, since: int = 1) -> T:
    """Load what a file holds.

    Args:
        path: of the file.
        shape: the structure of its content.
        newest: the newest format that can be read.
        what, again: what the file is called, and how to make it again, in messages.
        since: the format that introduced the seal.

    Raises:
        RecordError: the file cannot be read, holds something else, was changed since it was written, or was written by
            a newer GANBench.
    """
    try:
        facts = msgspec.json.decode(path.read_bytes())
        number = facts.get("format", 0) if isinstance(facts, dict) else 0
        if isinstance(number, int) and number > newest:
            raise RecordError(
                f"{path} has {what} format {number}, but GANBench {__version__} reads formats up to {newest}",
                "upgrade: pip install -U ganbench",
            )
        found = msgspec.convert(facts, shape)
    except OSError as error:
        hint = in_the_way(path) or f"delete it and {again}"
        raise RecordError(f"{path} is not a readable {what}: {error.strerror or error}", hint) from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise RecordError(f"{path} is not a readable {what}: {error}", f"delete it and {again}") from error
    if number >= since and facts.get("seal") != _seal(facts):
        raise RecordError(
            f"{path} was changed after it was written: its seal does not match", f"restore the file, or {again}"
        )
    return found


def as_text(facts: Mapping[str, Any]) -> bytes:
    """Indented JSON with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n"


def _legible(value: Any) -> Any:
    """Names and sentences come from plugins and file systems, where a text may hold bytes that are no Unicode."""
    if isinstance(value, str):
        return legible(value, len(value))
    if isinstance(value, dict):
        return {_legible(name): _legible(part) for name, part in value.items()}
    return [_legible(part) for part in value] if isinstance(value, (list, tuple)) else value


def _seal(facts: Mapping[str, Any]) -> str:
    """A hash over the plain values, so that fields of later formats change no older seal."""
    content = {name: value for name, value in facts.items() if name != "seal"}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]
