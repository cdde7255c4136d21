"""What a module's file tells without an import: where it is, its first line, its plugin API, its hash."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ganbench.contracts.kind import Kind
from ganbench.plugins.syntax import Digest, combined, digest_of, of_tree, parsed

API_VARIABLE = "GANBENCH_API"


class Header(NamedTuple):
    """``summary`` is the first line of the docstring, ``api`` what is assigned to ``GANBENCH_API`` (None: nothing)."""

    summary: str
    api: object = None
    doc: str = ""
    """The whole docstring."""


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
        tree = parsed(file.read_bytes())
    except OSError:
        tree = None
    if tree is None:
        return Header("(source cannot be read)")
    doc = ast.get_docstring(tree) or ""
    return Header(doc.partition("\n")[0], _assigned(tree, API_VARIABLE), doc)


def _assigned(tree: ast.Module, name: str) -> object:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if isinstance(value, ast.Constant) and any(isinstance(t, ast.Name) and t.id == name for t in targets):
            return value.value
    return None


@cache
def source_hash(module: str) -> str:
    """The hash of a module and of what it imports from its own top-level package.

    It tells an edited plugin from a published one.

    It is over the syntax trees, without what cannot change a result (see ``digest_of``). Python 3.11 to 3.14 agree
    on it.

    Returns:
        The kind of hash and 12 hexadecimal digits: ``ast1:0123456789ab``, or ``text1:...`` if one of the files cannot
        be parsed. Empty if the module has no file.
    """
    files, waiting = dict[str, Digest](), [module]
    while waiting:
        name = waiting.pop()
        file = file_of(name)
        if name not in files and file is not None and file.is_file():
            files[name], imports = _examined(file.read_bytes(), name, file.name == "__init__.py")
            waiting += imports
    if module not in files:
        return ""
    # The names of the other files say which one an import means. The module's own name decides nothing, so it may move.
    return combined([("", files.pop(module)), *sorted(files.items())])


def package_hash(folder: Path, leave_out: Collection[str] = ()) -> str:
    """The hash of all modules of a package and of their paths within it, in the form of ``source_hash``.

    Args:
        folder: the package's folder, which has the package's name.
        leave_out: folders in it that do not belong to the package.
    """
    files = {file.relative_to(folder): file for file in folder.rglob("*.py")}
    return combined(
        (path.as_posix(), digest_of(file.read_bytes(), folder.name))
        for path, file in sorted(files.items())
        if path.parts[0] not in leave_out
    )


@cache
def _examined(text: bytes, module: str, is_package: bool) -> tuple[Digest, list[str]]:
    """The hash of a module, and which modules of its own top-level package it may import."""
    tree = parsed(text)
    if tree is None:
        return digest_of(text), []
    return of_tree(tree, module.partition(".")[0]), _own_imports(tree, module, is_package)


def _own_imports(tree: ast.Module, module: str, is_package: bool) -> list[str]:
    """Modules of the same top-level package that a source may import (some of the names may be no modules).

    Imports under ``if TYPE_CHECKING:`` are among them: a package that loads its modules lazily names them only there.
    """
    parts, found = module.split("."), list[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            home = parts[: len(parts) - node.level + is_package] if node.level else []
            stem = ".".join([*home, *filter(None, [node.module])])
            found += [stem, *(f"{stem}.{alias.name}" for alias in node.names)]
    return [name for name in found if name.partition(".")[0] == parts[0]]


@cache
def core_hash() -> str:
    """The hash of every module of the core, of the same kind as a plugin's source hash."""
    folder = Path(__file__).parents[1]
    return package_hash(
        folder, leave_out=["_example"]
    )  # a wheel holds it for `ganbench new-plugin`; a checkout does not


@dataclass(frozen=True, order=True)
class Source:
    """Where a component comes from; ``argument`` is what followed the colon (``folder:PATH``)."""

    kind: Kind
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
        """The hash of the module and of what it imports from its own package, ``ast1:0123456789ab``.

        It tells an edited plugin from a published one. Comments, docstrings and formatting do not count.
        """
        return source_hash(self.module)
