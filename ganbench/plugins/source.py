"""Read a module's location, summary, plugin API and source hash from its file, without importing it."""

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
    """``summary`` is the first line of the docstring, ``api`` the value assigned to ``GANBENCH_API``, or None."""

    summary: str
    api: object = None
    doc: str = ""
    """The whole docstring."""


def file_of(module: str) -> Path | None:
    """Find the module's source file without importing the module or its packages."""
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
    """Read the docstring and the plugin API of a module."""
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
    """Hash a module and everything it imports from its own top-level package.

    The hash distinguishes an edited plugin from the published one. It covers the syntax trees, without anything that
    cannot change a result (see ``digest_of``). Python 3.11 to 3.14 give the same hash.

    Returns:
        The kind of hash and 12 hexadecimal digits, ``ast1:0123456789ab``, or ``text1:...`` if one of the files cannot
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
    # An import refers to the other files by name, so their names count. The module's own name does not: it may move.
    return combined([("", files.pop(module)), *sorted(files.items())])


def package_hash(folder: Path, leave_out: Collection[str] = ()) -> str:
    """Hash all modules of a package and their paths within it, in the format of ``source_hash``.

    Args:
        folder: the package's folder, named like the package.
        leave_out: subfolders that do not belong to the package.
    """
    files = {file.relative_to(folder): file for file in folder.rglob("*.py")}
    return combined(
        (path.as_posix(), digest_of(file.read_bytes(), folder.name))
        for path, file in sorted(files.items())
        if path.parts[0] not in leave_out
    )


@cache
def _examined(text: bytes, module: str, is_package: bool) -> tuple[Digest, list[str]]:
    """Return the hash of a module, and the modules of its own top-level package that it may import."""
    tree = parsed(text)
    if tree is None:
        return digest_of(text), []
    return of_tree(tree, module.partition(".")[0]), _own_imports(tree, module, is_package)


def _own_imports(tree: ast.Module, module: str, is_package: bool) -> list[str]:
    """Return the modules of the same top-level package that a source may import (some names may not be modules).

    This includes imports under ``if TYPE_CHECKING:``, because a package that loads its modules lazily names them only
    there.
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
    """Hash every module of the core, in the same way as a plugin's source."""
    folder = Path(__file__).parents[1]
    return package_hash(
        folder, leave_out=["_example"]
    )  # a wheel holds it for `ganbench new-plugin`; a checkout does not


@dataclass(frozen=True, order=True)
class Source:
    """Where a component comes from. ``argument`` is the text after the colon, as in ``folder:PATH``."""

    kind: Kind
    name: str
    package: str
    version: str
    module: str
    argument: str = ""

    @property
    def label(self) -> str:
        """The component's name as the user typed it."""
        return f"{self.name}:{self.argument}" if self.argument else self.name

    @property
    def reference(self) -> str:
        """The text that ``find`` resolves to this source."""
        return f"{self.package}:{self.label}"

    def __str__(self) -> str:
        return f"{self.name} ({self.package} {self.version})"

    @property
    def file(self) -> Path | None:
        """The module's source file, found without importing the module or its packages."""
        return file_of(self.module)

    @property
    def summary(self) -> str:
        """The first line of the module's docstring, read without importing the module."""
        return header_of(self.module).summary

    @property
    def source_hash(self) -> str:
        """The hash of the module and of everything it imports from its own package: ``ast1:0123456789ab``.

        It distinguishes an edited plugin from the published one, and ignores comments, docstrings and formatting.
        """
        return source_hash(self.module)
