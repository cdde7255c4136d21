"""Hash a source by its syntax tree, without anything that cannot change a result.

Python 3.11 to 3.14 give the same hash.
"""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

TREE, TEXT, BYTECODE = "ast1", "text1", "code1"
"""Kinds of hash: of syntax trees, of the bytes of a source that cannot be parsed, and of the bytecode of an object
passed from Python without source. A change in what is hashed needs the next number."""
WEAKEST_FIRST = (BYTECODE, TEXT, TREE)
CORE = "ganbench"


class Digest(NamedTuple):
    """The hash of one source: its kind, and the sha256 as 64 hexadecimal digits."""

    kind: str
    digits: str


def combined(parts: Iterable[tuple[str, Digest]]) -> str:
    """Combine named hashes, in this order, into one. Its kind is the weakest among them."""
    lines, kinds = list[str](), {TREE}
    for name, part in parts:
        lines.append(f"{name} {part.kind} {part.digits}")
        kinds.add(part.kind)
    return f"{min(kinds, key=WEAKEST_FIRST.index)}:{sha256(lines)[:12]}"


def digest_of(text: bytes, package: str = "", indented: bool = False) -> Digest:
    """Hash one source by its syntax tree, or by its bytes if this Python cannot parse it.

    The hash ignores what cannot change a result:

    * comments and formatting;
    * docstrings, other statements that consist of a constant, and ``pass``;
    * the body of ``if TYPE_CHECKING:``, which never runs, and the import of that name;
    * the module in an import from ``ganbench``, and the order and grouping of such imports. The hash does cover the
      imported name and the name it is bound to.

    Args:
        text: the source of a module, a class or a function.
        package: the top-level package that the source belongs to. Within ``ganbench``, the hash covers the module of an
            import as well, because only public names are unique.
        indented: whether the source is a nested class or function.
    """
    tree = parsed(b"if True:\n" + text if indented else text)
    if tree is None:
        return Digest(TEXT, hashlib.sha256(text).hexdigest())
    if indented and isinstance(opening := tree.body[0], ast.If):
        tree.body = opening.body
    return of_tree(tree, package)


def parsed(text: bytes) -> ast.Module | None:
    """Return the syntax tree of a source, or None if this Python cannot parse it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # under -W error, an invalid escape would make parsing fail
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two if it is nested too deeply
            return None


def sha256(lines: Iterable[str]) -> str:
    """Return the sha256 of lines of text as 64 hexadecimal digits."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def of_tree(tree: ast.Module, package: str) -> Digest:
    """Hash the syntax tree of a module of ``package``, as in ``digest_of``."""
    return Digest(TREE, sha256(_written(tree, by_name=package != CORE)))


BLOCKS = {"body", "orelse", "finalbody"}
"""Fields that hold statements if they hold a list."""
SILENT = {"ctx", "kind", "type_comment"}
"""Fields without information: ``ctx`` follows from the position; ``kind`` only distinguishes ``u"x"`` from ``"x"``."""


def _written(tree: ast.AST, by_name: bool) -> list[str]:
    """Write a syntax tree as lines of ASCII that are the same in every Python from 3.11 on.

    Empty fields (None, an empty list, a flag that is 0) are omitted, because newer Pythons add such fields. None in a
    list stays, because it holds a position. A stack replaces recursion, which a long sum would exhaust.

    Args:
        tree: a module.
        by_name: whether to identify imports from ``ganbench`` by name only, without their module.
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
    """Write a name or a constant in ASCII, with integers in hexadecimal.

    Python versions differ in the characters that ``repr`` shows, and refuse to write very long integers in decimal.
    """
    return f"{value:#x}" if type(value) is int else ascii(value)


def _joined(parts: Iterable[Any]) -> list[ast.expr]:
    """Join adjacent texts in an f-string, because Python versions split them differently."""
    whole = list[ast.expr]()
    for texts, run in groupby(parts, key=lambda part: isinstance(part, ast.Constant)):
        if not texts:
            whole += run
        elif text := "".join(part.value for part in run):
            whole.append(ast.Constant(text))
    return whole


def _block(statements: Iterable[ast.stmt], by_name: bool) -> list[ast.stmt]:
    """Return the statements that can change a result, with imports from ``ganbench`` in a canonical form."""
    telling = list(_telling(statements))
    if not by_name:
        return telling
    runs = groupby(telling, key=lambda statement: isinstance(statement, _Import))
    return [one for imports, run in runs for one in (_gathered(run) if imports else run)]


def _telling(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that can change a result."""
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
    """Reorder adjacent imports: first those from ``ganbench``, as one statement with sorted names.

    No import moves past another statement, because that statement may use a name before an import rebinds it. For the
    same reason, all imports keep their order if a name is bound twice.
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
    """Split an import by name. Yield an alias for each name from ``ganbench``, and a statement for any other."""
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
