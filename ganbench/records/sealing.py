"""Seals: a hash of a file's content that stands in the file, so that nobody changes a number by hand unnoticed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec


def sealed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values with their ``seal``."""
    return {**facts, "seal": _seal(facts)}


def is_sealed(facts: Mapping[str, Any]) -> bool:
    """Whether the values are those that were sealed."""
    return bool(facts.get("seal") == _seal(facts))


def as_text(facts: Mapping[str, Any]) -> bytes:
    """Indented JSON with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n"


def _seal(facts: Mapping[str, Any]) -> str:
    """A hash over the plain values, so that fields of later formats change no older seal."""
    content = {name: value for name, value in facts.items() if name != "seal"}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]
