"""Parse what a user changes with ``--set``."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import tomlkit

from ganbench.contracts.allowed import shortened
from ganbench.contracts.protocol import Recipe, Training
from ganbench.errors import ProtocolError, legible, meant

_EXAMPLE = "for example: --set lr=1e-4"


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
        ProtocolError: there is no ``=``, the value is invalid, or no setting has that name.
    """
    changes = Changes()
    for text in texts:
        name, equals, written = (part.strip() for part in text.partition("="))
        if not equals or not name or not written:
            raise ProtocolError(f"--set {text}: expected name=value", _EXAMPLE)
        if (shown := legible(text, len(text))) != text:  # records could not hold it
            raise ProtocolError(f"--set {shown}: expected text in UTF-8", _EXAMPLE)
        if name in changes.raw:
            raise ProtocolError(f"--set {name} is given twice", "leave one of them out")
        value = _value(written)
        if _numbers(value) and ("_" in written or not all(map(math.isfinite, _numbers(value)))):
            raise ProtocolError(f"--set {text}: expected a finite number, in plain digits", _EXAMPLE)
        if not text.isprintable():
            raise ProtocolError(f"--set {text}: a setting is one line of text", _EXAMPLE)
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
                f"--set {name}: no such setting{meant(name, known)}",
                f"settings: {', '.join(known)}, loss.<field>, arch.<setting>",
            )
    return changes


def _value(written: str) -> Any:
    try:
        return tomllib.loads(f"value = {written}")["value"]
    except (ValueError, RecursionError):  # not TOML, thousands of digits, or thousands of brackets
        return written


def _numbers(value: Any) -> list[float]:
    """The numbers in a value, or in a list of them."""
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, int | float)]


def written(name: str, value: Any) -> str:
    """Write a setting as ``--set`` takes it, with the value as TOML.

    Raises:
        ProtocolError: the value is no number, text or list of these.
    """
    if not _holds_mapping(value):  # a TOML table takes several lines
        with suppress(ValueError):
            return f"{name}={tomlkit.item(value).as_string()}"
    hint = "a setting is a number, text, true or false, or a list of these"
    raise ProtocolError(f"settings: {name} cannot be {shortened(value)}", hint)


def _holds_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list | tuple) and any(map(_holds_mapping, value)))
