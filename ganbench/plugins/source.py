"""What a module's file tells without being imported: where it is, its first line, its plugin API, its hash."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

API_VARIABLE = "GANBENCH_API"


class Header(NamedTuple):
    """``summary`` is the first line of the docstring, ``api`` what is assigned to ``GANBENCH_API`` (None: nothing)."""

    summary: str
    api: object = None


def file_of(module: str) -> Path | None:
    """The module's source file, found without importing it (or its packages)."""
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
def header_of(module: str) -> Header:
    """What stands at the top of a module."""
    file = file_of(module)
    if file is None:
        return Header("")
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return Header("(source cannot be read)")
    lines = (ast.get_docstring(tree) or "").splitlines()
    return Header(lines[0] if lines else "", _assigned(tree, API_VARIABLE))


def _assigned(tree: ast.Module, name: str) -> object:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if isinstance(value, ast.Constant) and any(isinstance(t, ast.Name) and t.id == name for t in targets):
            return value.value
    return None


@cache
def source_hash(module: str) -> str:
    """sha256 of a module's text and of what it imports from its own top-level package (12 hex digits)."""
    files, waiting = dict[str, bytes](), [module]
    while waiting:
        name = waiting.pop()
        file = file_of(name)
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
        return file_of(self.module)

    @property
    def summary(self) -> str:
        """First line of the module's docstring, read without importing the module."""
        return header_of(self.module).summary

    @property
    def source_hash(self) -> str:
        """sha256 of the module's source and of what it imports from its own package (12 hex digits); tells an edited
        plugin from a published one."""
        return source_hash(self.module)
