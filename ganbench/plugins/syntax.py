"""The hash of a source: over its syntax tree, without what cannot change a result. Python 3.11 to 3.14 agree on it."""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

TREE, TEXT, BYTECODE = "ast1", "text1", "code1"
"""Kinds of hash: over syntax trees; over the bytes of a source that cannot be parsed; over the bytecode of an object
handed over from Python without a source. A change in what is hashed needs the next number."""
WEAKEST_FIRST = (BYTECODE, TEXT, TREE)
CORE = "ganbench"


class Digest(NamedTuple):
    """The hash of one source: its kind, and sha256 as 64 hexadecimal digits."""

    kind: str
    digits: str


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
    tree = parsed(b"if True:\n" + text if indented else text)
    if tree is None:
        return Digest(TEXT, hashlib.sha256(text).hexdigest())
    if indented and isinstance(opening := tree.body[0], ast.If):
        tree.body = opening.body
    return of_tree(tree, package)


def parsed(text: bytes) -> ast.Module | None:
    """The syntax tree of a source, or None where this Python cannot parse it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # under -W error, an invalid escape would make the source unreadable
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: nested too deeply
            return None


def sha256(lines: Iterable[str]) -> str:
    """64 hexadecimal digits over some lines of text."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def of_tree(tree: ast.Module, package: str) -> Digest:
    """The hash of a syntax tree of a package, as in ``digest_of``."""
    return Digest(TREE, sha256(_written(tree, by_name=package != CORE)))


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
    """A name or a constant in ASCII, integers in hexadecimal.

    Pythons differ in the characters that ``repr`` shows, and refuse to write long integers in decimal.
    """
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
