"""One plugin: imported, its hooks checked, its component built. Errors name the plugin and its package in a sentence.

Each plugin gets its own pluggy manager, so a broken plugin cannot affect the next, and order does not matter.
"""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

import ganbench
from ganbench._version import __version__
from ganbench.errors import GanbenchError, PluginError, PluginWarning, blaming, closest, told
from ganbench.plugins import hookspecs
from ganbench.plugins.hookspecs import API_VERSION
from ganbench.plugins.source import API_VARIABLE, Source, header_of

if TYPE_CHECKING:
    from ganbench.plugins.source import Source

OURS = f"ganbench {__version__} (plugin API {API_VERSION})"
HOOK_PREFIX = "ganbench_"
UPGRADE = "pip install -U ganbench"


@cache
def load(source: Source) -> pluggy.PluginManager:
    """The plugin's module, imported, in a manager of its own.

    Raises:
        PluginError: it cannot be imported, or its hooks are wrong.
    """
    _check_module_name(source)
    _check_api(source, header_of(source.module).api)  # before an import that only a newer GANBench satisfies
    try:
        with chdir("."):  # a plugin may go elsewhere, but relative paths are meant from here
            module = importlib.import_module(source.module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may raise anything
        raise PluginError(f"{source} cannot be used: {told(error)}", _mend_import(source, error)) from error
    _check_api(source, vars(module).get(API_VARIABLE))
    manager = pluggy.PluginManager("ganbench")
    manager.add_hookspecs(hookspecs)
    _check_hooks(source, module, manager)
    with warnings.catch_warnings(record=True) as deprecations:
        warnings.simplefilter("always")
        try:
            manager.register(module)
        except pluggy.PluginValidationError as error:
            hint = f"module {source.module}; the hooks are documented in ganbench.plugins.hookspecs"
            raise PluginError(f"{source} cannot be used: {told(error)}", hint) from error
    for said in deprecations:
        warnings.warn_explicit(PluginWarning(f"{source}: {said.message}"), None, said.filename, said.lineno)
    return manager


def _check_module_name(source: Source) -> None:
    if not re.fullmatch(r"\w+(\.\w+)*", source.module):
        raise PluginError(
            f"{source} cannot be used: its entry point '{source.module}' is not the name of a module",
            f'its author has to write: {source.name} = "{source.module.partition(":")[0]}"',
        )


def _check_api(source: Source, wanted: object) -> None:
    """A plugin may state the lowest plugin API that will do, ``GANBENCH_API = 2``."""
    if wanted is None:
        return
    if not isinstance(wanted, int) or wanted < 1:
        raise PluginError(
            f"{source} cannot be used: its {API_VARIABLE} is {wanted!r}",
            f"expected a whole number: {API_VARIABLE} = {API_VERSION}",
        )
    if wanted > API_VERSION:
        raise PluginError(
            f"{source} was built for a newer ganbench: it needs plugin API {wanted}, but this is {OURS}",
            f"{UPGRADE}, or install an older {source.package}",
        )


def _check_hooks(source: Source, module: ModuleType, manager: pluggy.PluginManager) -> None:
    """Check that the hook of its kind exists, every hook is known, and none asks for an unknown argument."""
    wanted, implemented = f"ganbench_{source.kind}", list[str]()
    for attribute in dir(module):
        options = manager.parse_hookimpl_opts(module, attribute)
        if options is None:
            continue
        hook = options.get("specname") or attribute
        implemented.append(hook)
        caller = getattr(manager.hook, hook, None)
        if caller is None:
            known = [name for name in vars(manager.hook) if name.startswith(HOOK_PREFIX)]
            said = f"unknown hook '{hook}'"
            raise _newer_or_misspelt(source, said, f"hooks of {OURS}", hook, known)
        for name, parameter in inspect.signature(getattr(module, attribute)).parameters.items():
            required = parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            if required and name not in caller.spec.argnames:
                said = f"its {hook} asks for the argument '{name}', which {OURS} does not pass"
                raise _newer_or_misspelt(source, said, f"{hook} is given", name, caller.spec.argnames)
    if wanted not in implemented:
        others = f"; it implements {', '.join(implemented)}" if implemented else ""
        raise PluginError(
            f"{source} cannot be used: {source.module} does not implement {wanted}{others}",
            f"define it and decorate it: @hookimpl def {wanted}(...)",
        )


def _newer_or_misspelt(source: Source, said: str, what: str, name: str, known: Sequence[str]) -> PluginError:
    tails = {other.removeprefix(HOOK_PREFIX): other for other in known}  # a prefix that all share is no likeness
    if close := closest(name.removeprefix(HOOK_PREFIX), tails):
        return PluginError(
            f"{source} cannot be used: {said} - did you mean '{tails[close]}'?", f"{what}: {', '.join(known)}"
        )
    return PluginError(
        f"{source} cannot be used: it was built for a newer ganbench or misspells a name ({said})",
        f"{UPGRADE}, or correct it ({what}: {', '.join(known) or 'nothing'})",
    )


def check_result(source: Source, built: object) -> None:
    """Check that a hook returned what its kind requires."""
    hook, kind = f"ganbench_{source.kind}", source.kind
    if built is None:
        raise PluginError(f"{source} returned None from {hook}", "return the object that it built")
    if isinstance(built, type):
        raise PluginError(f"{source} returned the class {built.__name__} from {hook}", f"return {built.__name__}()")
    members = {"loss": ("d_loss", "g_loss"), "metric": ("columns", "version", "__call__")}.get(kind)
    if members:
        missing = [member for member in members if not hasattr(built, member)]
        if missing:
            said = f"{source} returned a {type(built).__name__} without {' and '.join(missing)} from {hook}"
            raise PluginError(said, f"what a {kind} needs is documented in ganbench.{kind.title()}")
        return
    name = {"arch": "GAN"}.get(kind, kind.title())
    accepted = (getattr(ganbench, name), *((Mapping,) if kind == "protocol" else ()))
    if not isinstance(built, accepted):
        raise PluginError(
            f"{source} returned a {type(built).__name__} from {hook}", f"{hook} returns a ganbench.{name}"
        )


def _mend_import(source: Source, error: BaseException) -> str:
    """The next step after a failed import."""
    blamed = getattr(error, "name", None) or ""
    if isinstance(error, ImportError) and blamed.partition(".")[0] == "ganbench":
        return f"if {source.package} is written for a newer ganbench than {__version__}: {UPGRADE}"
    if (
        isinstance(error, ModuleNotFoundError)
        and blamed
        and blamed.partition(".")[0] != source.module.partition(".")[0]
    ):
        return f"install {blamed}, which {source.package} needs, or uninstall {source.package}"
    return f"run with --debug to see where; tell the author of {source.package}, or uninstall it"


def build(source: Source, **arguments: Any) -> Any:
    """Import one plugin, check its hook, and return what the hook built.

    Raises:
        PluginError: the import fails, a hook is misspelt or has a wrong signature, the hook fails or returns the wrong
            thing, or the plugin needs a newer GANBench.
        GanbenchError: the plugin itself declined (``Unsupported``, ``DataError``).
    """
    hook = getattr(load(replace(source, argument="")).hook, f"ganbench_{source.kind}")
    if source.argument and "argument" not in hook.get_hookimpls()[0].argnames:
        raise PluginError(
            f"{source} takes no argument, but was given '{source.argument}'", f"write just '{source.name}'"
        )
    with (
        blaming(f"{source} failed to build", "run with --debug to see where; tell its author", passing=GanbenchError),
        chdir("."),
    ):
        results = hook(**arguments)
    built = results[0] if results else None
    check_result(source, built)
    return built
