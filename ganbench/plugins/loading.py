"""Import one plugin, check its hooks and build its component. Every error names the plugin and its package.

Each plugin gets its own pluggy manager, so a broken plugin cannot affect another, and load order does not matter.
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
    """Import the plugin's module and register it in its own manager.

    Raises:
        PluginError: the module cannot be imported, or its hooks are invalid.
    """
    _check_module_name(source)
    _check_api(source, header_of(source.module).api)  # before the import, which may need a newer GANBench
    try:
        with chdir("."):  # undoes a chdir of the plugin, so that relative paths keep their meaning
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
            hint = f"check {source.module}; ganbench.plugins.hookspecs documents the hooks"
            raise PluginError(f"{source} cannot be used: {told(error)}", hint) from error
    for said in deprecations:
        warnings.warn_explicit(PluginWarning(f"{source}: {said.message}"), None, said.filename, said.lineno)
    return manager


def _check_module_name(source: Source) -> None:
    if not re.fullmatch(r"\w+(\.\w+)*", source.module):
        raise PluginError(
            f"{source} cannot be used: its entry point '{source.module}' is not a module name",
            f'its author must write: {source.name} = "{source.module.partition(":")[0]}"',
        )


def _check_api(source: Source, wanted: object) -> None:
    """Check the lowest plugin API that a plugin accepts, if it states one: ``GANBENCH_API = 2``."""
    if wanted is None:
        return
    if not isinstance(wanted, int) or wanted < 1:
        raise PluginError(
            f"{source} cannot be used: its {API_VARIABLE} is {wanted!r}",
            f"write a whole number: {API_VARIABLE} = {API_VERSION}",
        )
    if wanted > API_VERSION:
        raise PluginError(
            f"{source} was built for a newer ganbench: it needs plugin API {wanted}, but this is {OURS}",
            f"{UPGRADE}, or install an older {source.package}",
        )


def _check_hooks(source: Source, module: ModuleType, manager: pluggy.PluginManager) -> None:
    """Check that the hook for its kind exists, that every hook is known, and that no hook needs an unknown argument."""
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
                raise _newer_or_misspelt(source, said, f"arguments of {hook}", name, caller.spec.argnames)
    if wanted not in implemented:
        others = f"; it implements {', '.join(implemented)}" if implemented else ""
        raise PluginError(
            f"{source} cannot be used: {source.module} does not implement {wanted}{others}",
            f"define it and decorate it: @hookimpl def {wanted}(...)",
        )


def _newer_or_misspelt(source: Source, said: str, what: str, name: str, known: Sequence[str]) -> PluginError:
    tails = {other.removeprefix(HOOK_PREFIX): other for other in known}  # the shared prefix is no similarity
    if close := closest(name.removeprefix(HOOK_PREFIX), tails):
        return PluginError(
            f"{source} cannot be used: {said} - did you mean '{tails[close]}'?", f"{what}: {', '.join(known)}"
        )
    return PluginError(
        f"{source} cannot be used: it was built for a newer ganbench or misspells a name ({said})",
        f"{UPGRADE}, or correct the name ({what}: {', '.join(known) or 'none'})",
    )


def check_result(source: Source, built: object) -> None:
    """Check that a hook returned an object of its kind."""
    hook, kind = f"ganbench_{source.kind}", source.kind
    if built is None:
        raise PluginError(f"{source} returned None from {hook}", f"{hook} must return the object that it builds")
    if isinstance(built, type):
        raise PluginError(f"{source} returned the class {built.__name__} from {hook}", f"return {built.__name__}()")
    members = {"loss": ("d_loss", "g_loss"), "metric": ("columns", "version", "__call__")}.get(kind)
    if members:
        missing = [member for member in members if not hasattr(built, member)]
        if missing:
            said = f"{source} returned a {type(built).__name__} without {' and '.join(missing)} from {hook}"
            raise PluginError(said, f"ganbench.{kind.title()} documents what a {kind} needs")
        return
    name = {"arch": "GAN"}.get(kind, kind.title())
    accepted = (getattr(ganbench, name), *((Mapping,) if kind == "protocol" else ()))
    if not isinstance(built, accepted):
        raise PluginError(
            f"{source} returned a {type(built).__name__} from {hook}", f"{hook} must return a ganbench.{name}"
        )


def _mend_import(source: Source, error: BaseException) -> str:
    """Suggest the next step after a failed import."""
    blamed = getattr(error, "name", None) or ""
    if isinstance(error, ImportError) and blamed.partition(".")[0] == "ganbench":
        return f"if {source.package} needs a newer ganbench than {__version__}: {UPGRADE}"
    if (
        isinstance(error, ModuleNotFoundError)
        and blamed
        and blamed.partition(".")[0] != source.module.partition(".")[0]
    ):
        return f"install {blamed}, which {source.package} needs, or uninstall {source.package}"
    return f"run with --debug to see where; tell the author of {source.package}, or uninstall it"


def build(source: Source, **arguments: Any) -> Any:
    """Import a plugin, check its hook, and return what the hook built.

    Raises:
        PluginError: the import fails, a hook is misspelt or has a wrong signature, the hook fails or returns an object
            of another kind, or the plugin needs a newer GANBench.
        GanbenchError: the plugin itself raised one (``Unsupported``, ``DataError``).
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
