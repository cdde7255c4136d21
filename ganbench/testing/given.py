"""The subjects that a check accepts: an object, a name, a module with a hook, or the hook itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from ganbench import plugins
from ganbench.contracts.executor import Places
from ganbench.contracts.kind import Kind
from ganbench.plugins.loading import load
from ganbench.plugins.source import Source
from ganbench.testing.randomness import seeded
from ganbench.testing.switches import switches_kept

ARGUMENTS: dict[str, Any] = {"argument": "", "resolution": None, "settings": {}, "places": Places(jobs=1)}
"""Default arguments for hooks that take them."""


class Builder:
    """Builds a component as often as needed, leaving out arguments that the hook does not take.

    ``name`` is the name under which it is installed, or empty.

    Args:
        kind: the kind of component.
        given: an installed plugin's name (anything that ``plugins.find`` understands), a module with the hook, the
            hook, or any function that takes some of the hook's arguments.

    Raises:
        PluginError: nothing is installed under that name, or it cannot be used.
    """

    def __init__(self, kind: Kind, given: str | Source | ModuleType | Callable[..., Any]) -> None:
        self.name = self.argument = ""
        if isinstance(given, str):
            given = plugins.find(kind, given)
        if isinstance(given, Source):
            self.name, self.argument, self.title = given.name, given.argument, f"the {kind} {given}"
            manager = load(replace(given, argument=""))
            caller = getattr(manager.hook, f"ganbench_{kind}")
            (hook,) = caller.get_hookimpls()
            self.takes = {*hook.argnames, *hook.kwargnames}
            self._given = set(caller.spec.argnames)
            self._hook: Callable[..., Any] = lambda **arguments: plugins.build(given, **arguments)
        else:
            self._hook = getattr(given, f"ganbench_{kind}") if isinstance(given, ModuleType) else given
            self.title = f"the {kind} {getattr(given, '__name__', type(given).__name__)}"
            self.takes = self._given = _taken(self._hook)

    def __call__(self, **arguments: Any) -> Any:
        """Build the component with those of the arguments that its hook takes."""
        known = ARGUMENTS | {"argument": self.argument} | arguments
        return self._hook(**{name: known[name] for name in self._given if name in known})

    def made(self) -> Made:
        """Build the component, and note the process-wide settings that this changes."""
        with seeded(0), switches_kept() as turned:
            it = self()
        return Made(self.title, it, self, tuple(turned))


@dataclass(frozen=True)
class Made:
    """A subject of checks, and its origin.

    ``title`` is its name in reports, ``builder`` built it (None if it was given ready-made), and ``turned`` are the
    process-wide settings that building it changed.
    """

    title: str
    it: Any
    builder: Builder | None = None
    turned: tuple[str, ...] = ()


def made(kind: Kind, given: Any) -> Made:
    """The object itself, or what the given name, module or hook builds.

    Raises:
        PluginError: nothing is installed under that name, or it cannot be used.
        TypeError: a class was given instead of an object.
    """
    if isinstance(given, type):
        raise TypeError(
            f"check_{kind} was given the class {given.__name__}; pass an object, such as {given.__name__}()"
        )
    hooked = inspect.isfunction(given) and (given.__name__ == f"ganbench_{kind}" or hasattr(given, "ganbench_impl"))
    if isinstance(given, (str, Source, ModuleType)) or hooked:
        return Builder(kind, given).made()
    return Made(f"the {kind} {type(given).__name__}", given)


def _taken(hook: Callable[..., Any]) -> set[str]:
    parameters = inspect.signature(hook).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return {"data", "d_norm", "width", "z_dim", *ARGUMENTS}
    return {p.name for p in parameters}
