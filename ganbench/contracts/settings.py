"""An architecture's own settings, which users change with ``--set arch.<name>=<value>``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from ganbench.errors import ProtocolError, UnknownSetting, closest

T = TypeVar("T")


def names_of(settings: object) -> list[str]:
    """Return the settings of a loss or an architecture that users can change: the fields of its dataclass."""
    return [field.name for field in dataclasses.fields(settings)] if dataclasses.is_dataclass(settings) else []


def settings_of(kind: type[T], given: Mapping[str, Any]) -> T:
    """Build an instance of the dataclass ``kind`` from its defaults and the user's settings.

    Args:
        kind: a dataclass whose fields all have defaults.
        given: name -> value, the ``settings`` that the hook receives.

    Raises:
        UnknownSetting: ``kind`` has no field with that name.
        ProtocolError: a value has the wrong type.
    """
    names = names_of(kind)
    for name in given:
        if name not in names:
            raise UnknownSetting(f"--set arch.{name}: no such setting", _hint(name, names))
    try:
        return msgspec.convert(dict(given), kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`")
        raise ProtocolError(
            f"--set arch.{name}={given.get(name)}: {message}", f"the default is {getattr(kind(), name)}"
        ) from error


def refuse_unheard(arch: str, settings: object, given: Mapping[str, Any]) -> None:
    """Raise UnknownSetting if the user changed a setting that the architecture does not have."""
    known = names_of(settings)
    for name in given:
        if name not in known:
            raise UnknownSetting(f"the arch '{arch}' has no setting '{name}'", _hint(name, known))


def _hint(name: str, known: list[str]) -> str:
    close = closest(name, known)
    return f"did you mean '{close}'?" if close else f"it has: {', '.join(known) or 'none'}"
