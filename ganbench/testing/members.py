"""What a plugin's object has and keeps: members that are spelt like those of a contract, and values that change."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches
from typing import Any

from ganbench.testing.findings import Finding

ALIKE = 0.85
"""How much of two names must agree for one to be taken for the other misspelt (``difflib``'s ratio)."""


def misspelt(thing: object, known: Collection[str]) -> Iterator[Finding]:
    """Members whose names nobody asks for, but for a letter."""
    for name in dir(thing):
        close = get_close_matches(name, known, 1, ALIKE)
        if close and name not in known and not name.startswith("_"):
            yield Finding(f"a member called {name}, which nobody asks for", close[0], f"call it {close[0]}")


def changing(thing: object, act: Callable[[], Any]) -> list[str]:
    """Attributes that ``act`` changes each time; what it only fills in once (a cached property) is none of them."""
    act()
    before = _values(thing)
    act()
    after = _values(thing)
    return [name for name in after if name in before and after[name] != before[name]]


def _values(thing: object) -> dict[str, bytes]:
    return {name: _plain(value) for name, value in getattr(thing, "__dict__", {}).items()}


def _plain(value: object) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception:  # what cannot be pickled is compared by what it says of itself
        return repr(value).encode()
