"""Plugins: entry-point metadata -> Source; then load one, check one, build one.

Everything a listing or a typo hint needs comes from package metadata; only what a run names is imported. Each plugin
gets a pluggy manager of its own, so one broken plugin cannot spoil the next and order decides nothing.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import os
from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pluggy

from ganbench import hookspecs
from ganbench.errors import GanbenchError, PluginError
from ganbench.hookspecs import KINDS

GROUP = "ganbench."
ALLOW_LIST = "GANBENCH_PLUGINS"


@dataclass(frozen=True, order=True)
class Source:
    """Where a component comes from; ``argument`` is what followed the colon (``folder:PATH``)."""

    kind: str
    name: str
    package: str
    version: str
    module: str
    argument: str = ""

    @property
    def label(self) -> str:
        """The component as the user named it."""
        return f"{self.name}:{self.argument}" if self.argument else self.name

    @property
    def reference(self) -> str:
        """A text that ``find`` resolves to this very source."""
        return f"{self.package}:{self.label}"

    def __str__(self) -> str:
        return f"{self.name} ({self.package} {self.version})"

    @property
    def file(self) -> Path | None:
        """The module's source file, found without importing it (or its packages)."""
        return _file_of(self.module)

    @property
    def summary(self) -> str:
        """First line of the module's docstring, read without importing the module."""
        try:
            text = ast.get_docstring(ast.parse(self.file.read_text("utf-8"))) if self.file else None
        except (OSError, SyntaxError, ValueError):
            return "(source cannot be read)"
        return text.splitlines()[0] if text else ""

    @property
    def source_hash(self) -> str:
        """sha256 of the module's source and of what it imports from its own package (12 hex digits); tells an edited
        plugin from a published one."""
        return _source_hash(self.module)


@cache
def installed() -> tuple[Source, ...]:
    """Every component that the installed packages announce; metadata only, scanned once per process."""
    allowed = {_canonical(name) for name in os.environ.get(ALLOW_LIST, "").split(",") if name.strip()}
    found = set()
    scanned = entry_points()
    for kind in KINDS:
        for point in scanned.select(group=GROUP + kind):
            source = _source(kind, point)
            if not allowed or _canonical(source.package) in allowed:
                found.add(source)
    return tuple(sorted(found, key=lambda s: (KINDS.index(s.kind), s.name, s.package)))


def of_kind(kind: str) -> list[Source]:
    """The installed components of one kind."""
    return [source for source in installed() if source.kind == kind]


def find(kind: str, text: str) -> Source:
    """Resolve what a user typed: ``name``, ``name:argument``, ``package:name`` or ``package:name:argument``.

    Raises:
        PluginError: nothing is called that (with suggestions), or more than one package provides it.
    """
    known = of_kind(kind)
    head, _, tail = text.partition(":")
    matches, argument = [s for s in known if s.name == head], tail
    if not matches and tail:
        name, _, argument = tail.partition(":")
        matches = [s for s in known if s.name == name and _canonical(s.package) == _canonical(head)]
    if not matches:
        raise PluginError(*_not_found(kind, text, known))
    if len(matches) > 1:
        owners = ", ".join(f"{s.package} {s.version}" for s in matches)
        first = matches[-1].reference
        option = f"--{kind} " if kind in {"arch", "loss", "protocol"} else ""
        raise PluginError(
            f"{len(matches)} packages provide the {kind} '{matches[0].name}': {owners}", f"choose one: {option}{first}"
        )
    return Source(**{**vars(matches[0]), "argument": argument})


def find_many(kind: str, texts: list[str]) -> list[Source]:
    """Resolve repeated or comma-separated names; ``all`` means every installed one. No name counts twice."""
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if "all" in names:
        clashes = [n for n, count in Counter(s.name for s in of_kind(kind)).items() if count > 1]
        everyone = [s.reference if s.name in clashes else s.name for s in of_kind(kind)]
        names = [*everyone, *(name for name in names if name != "all")]
    return list(dict.fromkeys(find(kind, name) for name in names))


def build(source: Source, **arguments: Any) -> Any:
    """Import one plugin, check its hook, and return what the hook built.

    Raises:
        PluginError: the import fails, a hook is misspelt or has a wrong signature, or the hook fails or returns None.
        GanbenchError: what the plugin itself raised to decline (``Unsupported``, ``DataError``).
    """
    manager = _load(source)
    hook = getattr(manager.hook, f"ganbench_{source.kind}")
    if source.argument and "argument" not in hook.get_hookimpls()[0].argnames:
        raise PluginError(f"{source} takes no argument, but was given '{source.argument}'", f"say just '{source.name}'")
    try:
        results = hook(**arguments)
    except GanbenchError:
        raise
    except Exception as error:
        raise PluginError(
            f"{source} failed to build: {type(error).__name__}: {error}", "run with --debug to see where"
        ) from error
    if not results:
        raise PluginError(f"{source} returned None from ganbench_{source.kind}", "return the object that it built")
    if isinstance(results[0], type):
        name = results[0].__name__
        raise PluginError(f"{source} returned the class {name} from ganbench_{source.kind}", f"return {name}()")
    return results[0]


@cache
def _load(source: Source) -> pluggy.PluginManager:
    manager = pluggy.PluginManager("ganbench")
    manager.add_hookspecs(hookspecs)
    try:
        module = importlib.import_module(source.module)
        manager.register(module)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        hint = f"module {source.module}; the hooks are documented in ganbench.hookspecs"
        raise PluginError(f"{source} cannot be used: {' '.join(str(error).split())}", hint) from error
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{source} cannot be used: {type(error).__name__}: {error}",
            f"mend or uninstall {source.package}, or leave it out with {ALLOW_LIST}",
        ) from error
    if not getattr(manager.hook, f"ganbench_{source.kind}").get_hookimpls():
        raise PluginError(
            f"{source} cannot be used: {source.module} does not implement ganbench_{source.kind}",
            f"define it and decorate it: @hookimpl def ganbench_{source.kind}(...)",
        )
    return manager


def _file_of(module: str) -> Path | None:
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin else None
    for root in spec.submodule_search_locations or ():
        stem = Path(root, *rest)
        for file in (stem.with_suffix(".py"), stem / "__init__.py"):
            if file.is_file():
                return file
    return None


@cache
def _source_hash(module: str) -> str:
    files, waiting = dict[str, bytes](), [module]
    while waiting:
        name = waiting.pop()
        file = _file_of(name)
        if name not in files and file is not None and file.is_file():
            files[name] = file.read_bytes()
            waiting += _own_imports(files[name], name, is_package=file.name == "__init__.py")
    digest = hashlib.sha256()
    for name, text in sorted(files.items()):
        digest.update(f"{name}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()[:12] if files else ""


def _own_imports(text: bytes, module: str, is_package: bool) -> list[str]:
    """Modules of the same top-level package that a source may import (some of the names may be no modules)."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    parts, found = module.split("."), list[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            home = parts[: len(parts) - node.level + is_package] if node.level else []
            stem = ".".join([*home, *filter(None, [node.module])])
            found += [stem, *(f"{stem}.{alias.name}" for alias in node.names)]
    return [name for name in found if name.partition(".")[0] == parts[0]]


def _source(kind: str, point: EntryPoint) -> Source:
    dist = point.dist
    return Source(kind, point.name, dist.name if dist else "?", dist.version if dist else "?", point.value)


def _canonical(package: str) -> str:
    return package.strip().lower().replace("_", "-").replace(".", "-")


def _not_found(kind: str, text: str, known: list[Source]) -> tuple[str, str]:
    close = get_close_matches(text, [s.name for s in known], 1, 0.5)
    meant = f" - did you mean '{close[0]}'?" if close else ""
    by_package: dict[str, list[str]] = {}
    for source in known:
        by_package.setdefault(f"{source.package} {source.version}", []).append(source.name)
    listing = "; ".join(f"{', '.join(names)} (from {package})" for package, names in by_package.items())
    allowed = os.environ.get(ALLOW_LIST, "")
    only = f" ({ALLOW_LIST} admits only {allowed})" if allowed else ""
    return f"no {kind} called '{text}'{meant}", f"installed: {listing or 'none'}{only}"
