"""Entry points -> components: what is installed, what a name means, how one is loaded.

The names that the rest of the core uses are importable from here; none is imported before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganbench.plugins.metadata import (
        ALLOW_LIST,
        Source,
        allow_list,
        announced,
        build,
        canonical,
        checkout_of,
        find,
        find_for,
        find_many,
        hand_over,
        installed,
        of_kind,
        unambiguous,
    )

_HOME = {
    "metadata": (
        "ALLOW_LIST",
        "Source",
        "allow_list",
        "announced",
        "build",
        "canonical",
        "checkout_of",
        "find",
        "find_for",
        "find_many",
        "hand_over",
        "installed",
        "of_kind",
        "unambiguous",
    ),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "ALLOW_LIST",
    "Source",
    "allow_list",
    "announced",
    "build",
    "canonical",
    "checkout_of",
    "find",
    "find_for",
    "find_many",
    "hand_over",
    "installed",
    "of_kind",
    "unambiguous",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
