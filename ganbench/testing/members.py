"""Finds members of a plugin's object that look like misspelt names of a contract, and values that change."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Iterator
from typing import Any

from ganbench.contracts.kind import Kind
from ganbench.errors import closest, told
from ganbench.testing.finding import Finding

ALIKE = 0.85
"""The similarity (``difflib``'s ratio) at which one name is taken for a misspelling of another."""


def misspelt(thing: object, known: Collection[str]) -> Iterator[Finding]:
    """Members whose names differ by a letter or so from the known ones."""
    for name in dir(thing):
        if name in known or name.startswith("_"):
            continue
        if close := closest(name, known, ALIKE):
            yield Finding(f"a member called {name}, which is never read", close, f"call it {close}")


def changing(thing: object, act: Callable[[], Any]) -> list[str]:
    """Attributes that ``act`` changes each time, without those that it fills only once (cached properties)."""
    act()
    before = _values(thing)
    act()
    after = _values(thing)
    return [name for name in after if name in before and after[name] != before[name]]


def unpickled(thing: Any, kind: Kind) -> Any:
    """The object after pickling, as in a worker process, or the finding that it cannot be pickled."""
    try:
        return pickle.loads(pickle.dumps(thing))
    except Exception as error:
        return Finding(
            seen=f"pickling fails: {told(error)}",
            expected=f"pickle.loads(pickle.dumps({kind})) to be the same {kind}",
            mend=f"keep lambdas, modules and open files out of the {kind}; define its class at the top of a module",
        )


def _values(thing: object) -> dict[str, bytes]:
    return {name: _plain(value) for name, value in getattr(thing, "__dict__", {}).items()}


def _plain(value: object) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception:  # compare by repr if it cannot be pickled
        return repr(value).encode()
