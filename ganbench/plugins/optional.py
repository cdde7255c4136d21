"""Which installed components define a hook that not all of their kind have, found without importing any of them."""

from __future__ import annotations

import ast
from contextlib import suppress
from functools import cache

from ganbench.contracts.kind import Kind
from ganbench.plugins.metadata import installed
from ganbench.plugins.source import Source
from ganbench.plugins.syntax import parsed


@cache
def defining(hook: str, *kinds: Kind) -> tuple[Source, ...]:
    """Return the components of these kinds whose module defines a function of the hook's name at its top level."""
    return tuple(source for source in installed() if source.kind in kinds and _defines(source, hook))


def _defines(source: Source, hook: str) -> bool:
    tree = None
    with suppress(OSError):
        tree = parsed(source.file.read_bytes()) if source.file else None
    return tree is not None and any(isinstance(node, ast.FunctionDef) and node.name == hook for node in tree.body)
