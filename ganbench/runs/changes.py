"""Parsing what a user changes with ``--set``."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ganbench.contracts.protocol import Recipe, Training
from ganbench.errors import ProtocolError, legible


@dataclass(frozen=True)
class Changes:
    """``--set``, parsed: changes of the protocol's training, of the recipe, and of settings of loss and arch."""

    raw: dict[str, str] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)
    arch: dict[str, Any] = field(default_factory=dict)


def parse_changes(texts: Sequence[str]) -> Changes:
    """``["lr=1e-4", "loss.weight=1"]`` -> Changes; values are read as TOML, else as text.

    Raises:
        ProtocolError: no ``=``, or a name that no setting has.
    """
    changes = Changes()
    for text in texts:
        name, equals, written = (part.strip() for part in text.partition("="))
        if not equals or not name or not written:
            raise ProtocolError(f"--set {text}: expected name=value", "for example: --set lr=1e-4")
        if (shown := legible(text, len(text))) != text:  # records could not hold it
            raise ProtocolError(f"--set {shown}: expected text in UTF-8", "for example: --set lr=1e-4")
        value = _value(written)
        if isinstance(value, float) and not math.isfinite(value):
            raise ProtocolError(f"--set {text}: expected a finite number", "for example: --set lr=1e-4")
        changes.raw[name] = written
        if name.startswith("loss."):
            changes.loss[name.removeprefix("loss.")] = value
        elif name.startswith("arch."):
            changes.arch[name.removeprefix("arch.")] = value
        elif name in Recipe.__struct_fields__:
            changes.recipe[name] = value
        elif name in Training.__struct_fields__:
            changes.training[name] = value
        else:
            known = sorted({*Training.__struct_fields__})
            raise ProtocolError(
                f"--set {name}: no such setting", f"settings: {', '.join(known)}, loss.<field>, arch.<setting>"
            )
    return changes


def _value(written: str) -> Any:
    try:
        return tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        return written
