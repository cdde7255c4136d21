"""What a module's file tells without an import: where it is, its first line, its plugin API, its hash."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

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
        tree = _parsed(file.read_bytes())
    except OSError:
        tree = None
    if tree is None:
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


def _parsed(text: bytes) -> ast.Module | None:
    """The syntax tree of a source, or None where this Python cannot parse it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # under -W error, an invalid escape would make the source unreadable
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: nested too deeply
            return None


# -- the hash of a source ------------------------------------------------------------------------------------

TREE, TEXT, BYTECODE = "ast1", "text1", "code1"
"""Kinds of hash: over syntax trees; over the bytes of a source that cannot be parsed; over the bytecode of an object
handed over from Python without a source. A change in what is hashed needs the next number."""
WEAKEST_FIRST = (BYTECODE, TEXT, TREE)
CORE = "ganbench"


class Digest(NamedTuple):
    """The hash of one source: its kind, and sha256 as 64 hexadecimal digits."""

    kind: str
    digits: str


@cache
def source_hash(module: str) -> str:
    """The hash of a module and of what it imports from its own top-level package; tells an edited plugin from a
    published one.

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


def combined(parts: Iterable[tuple[str, Digest]]) -> str:
    """One hash of several, each with its name, in this order. It is of the weakest kind among them."""
    lines, kinds = list[str](), {TREE}
    for name, part in parts:
        lines.append(f"{name} {part.kind} {part.digits}")
        kinds.add(part.kind)
    return f"{min(kinds, key=WEAKEST_FIRST.index)}:{sha256(lines)[:12]}"


def digest_of(text: bytes, package: str = "", indented: bool = False) -> Digest:
    """The hash of one source: of its syntax tree, or of its bytes where this Python cannot parse it.

    The hash leaves out what cannot change a result:

    * comments and formatting;
    * docstrings, other statements that consist of a constant, and ``pass``;
    * the body of ``if TYPE_CHECKING:``, which never runs, and the import of that name;
    * the module of an import from ``ganbench``, and the order and grouping of such imports. The name of the imported
      object and the name it is bound to count.

    Args:
        text: the source of a module, a class or a function.
        package: the top-level package that the source belongs to. Within ``ganbench`` the module of an import counts:
            only its public names are unique.
        indented: the source is that of a nested class or function.
    """
    tree = _parsed(b"if True:\n" + text if indented else text)
    if tree is None:
        return Digest(TEXT, hashlib.sha256(text).hexdigest())
    if indented and isinstance(opening := tree.body[0], ast.If):
        tree.body = opening.body
    return _of_tree(tree, package)


def sha256(lines: Iterable[str]) -> str:
    """64 hexadecimal digits over some lines of text."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@cache
def _examined(text: bytes, module: str, is_package: bool) -> tuple[Digest, list[str]]:
    """The hash of a module, and which modules of its own top-level package it may import."""
    tree = _parsed(text)
    if tree is None:
        return digest_of(text), []
    return _of_tree(tree, module.partition(".")[0]), _own_imports(tree, module, is_package)


def _of_tree(tree: ast.Module, package: str) -> Digest:
    return Digest(TREE, sha256(_written(tree, by_name=package != CORE)))


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


# -- a syntax tree, written down -----------------------------------------------------------------------------

BLOCKS = {"body", "orelse", "finalbody"}
"""Fields that hold statements, where they hold a list."""
SILENT = {"ctx", "kind", "type_comment"}
"""Fields that add nothing: ``ctx`` follows from the position, ``kind`` tells ``u"x"`` from ``"x"``."""


def _written(tree: ast.AST, by_name: bool) -> list[str]:
    """A syntax tree as lines of ASCII that every Python from 3.11 on writes alike.

    Empty fields (None, an empty list, a flag that is 0) are left out, because newer Pythons add such fields. None
    within a list stays, because it holds a place. A stack replaces recursion, which a long sum would exhaust.

    Args:
        tree: a module.
        by_name: imports from ``ganbench`` count by name alone.
    """
    lines, waiting = list[str](), list[ast.AST | str]([tree])
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            lines.append(node)
            continue
        line, inside = f"({type(node).__name__}", list[ast.AST | str]()
        for field in node._fields:
            if field in SILENT:
                continue
            value = getattr(node, field)
            if field in BLOCKS and isinstance(value, list):
                value = _block(value, by_name)
            elif isinstance(node, ast.JoinedStr):
                value = _joined(value)
            if isinstance(value, ast.AST):
                inside += [field, value]
            elif isinstance(value, list) and value:
                inside += [f"{field}[", *(one if isinstance(one, ast.AST) else _plain(one) for one in value), "]"]
            elif value or field == "value":  # a constant may be 0, None or False
                line += f" {field}={_plain(value)}"
        if inside:
            waiting += [")", *reversed(inside)]
        else:
            line += ")"
        lines.append(line)
    return lines


def _plain(value: object) -> str:
    """A name or a constant: in ASCII, because Pythons differ in the characters that ``repr`` shows, and integers in
    hexadecimal, because Python refuses to write long ones in decimal."""
    return f"{value:#x}" if type(value) is int else ascii(value)


def _joined(parts: Iterable[Any]) -> list[ast.expr]:
    """The parts of an f-string with adjacent texts joined: Pythons differ in where they split a text."""
    whole = list[ast.expr]()
    for texts, run in groupby(parts, key=lambda part: isinstance(part, ast.Constant)):
        if not texts:
            whole += run
        elif text := "".join(part.value for part in run):
            whole.append(ast.Constant(text))
    return whole


def _block(statements: Iterable[ast.stmt], by_name: bool) -> list[ast.stmt]:
    """The statements that can change a result, with imports from ``ganbench`` in a canonical form."""
    telling = list(_telling(statements))
    if not by_name:
        return telling
    runs = groupby(telling, key=lambda statement: isinstance(statement, _Import))
    return [one for imports, run in runs for one in (_gathered(run) if imports else run)]


def _telling(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that can change a result."""
    for statement in statements:
        match statement:
            case ast.Pass() | ast.Expr(ast.Constant()):
                continue
            case ast.If(ast.Name("TYPE_CHECKING") | ast.Attribute(_, "TYPE_CHECKING")):
                yield from _telling(statement.orelse)
            case ast.ImportFrom("typing", names, 0):
                if at_work := [name for name in names if name.name != "TYPE_CHECKING" or name.asname]:
                    yield ast.ImportFrom("typing", at_work, 0)
            case _:
                yield statement


_Import = ast.Import | ast.ImportFrom


def _gathered(imports: Iterable[Any]) -> Sequence[ast.stmt]:
    """Adjacent imports: first those from ``ganbench``, as one statement with sorted names.

    No import moves past another statement, which may use a name before an import binds it again. For the same reason
    all keep their order where a name is bound twice.
    """
    singles = [single for statement in imports for single in _singles(statement)]
    ours = {(one.name, one.asname) for one in singles if isinstance(one, ast.alias)}
    others: list[_Import] = [one for one in singles if not isinstance(one, ast.alias)]
    bound = {name for _, name in ours}
    elsewhere = {alias.asname or alias.name.partition(".")[0] for other in others for alias in other.names}
    if len(bound) < len(ours) or elsewhere & {*bound, "*"}:
        return [_from_core([one]) if isinstance(one, ast.alias) else one for one in singles]
    return [_from_core([ast.alias(*pair) for pair in sorted(ours)]), *others] if ours else others


def _singles(statement: _Import) -> Iterator[ast.alias | _Import]:
    """An import name by name: an alias for one from ``ganbench``, a statement for any other."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            if alias.asname and alias.name.startswith(f"{CORE}."):  # it binds a module, as `from ... import` can
                yield ast.alias(alias.name.rpartition(".")[2], alias.asname)
            else:
                yield ast.Import([alias])
    elif _is_core(statement) and statement.names[0].name != "*":
        yield from (ast.alias(alias.name, alias.asname or alias.name) for alias in statement.names)
    else:
        yield statement


def _is_core(statement: ast.ImportFrom) -> bool:
    return not statement.level and (statement.module or "").partition(".")[0] == CORE


def _from_core(names: list[ast.alias]) -> ast.ImportFrom:
    return ast.ImportFrom(CORE, names, 0)
