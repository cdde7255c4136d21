"""Describe in words what a field allows and what it holds instead, from the types that msgspec validates.

The ``title`` of a ``Meta`` describes its pattern.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from reprlib import Repr
from typing import Any

import msgspec
from msgspec import inspect

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 40
_SHORT.maxlevel = 2
_BY_CLASS = {inspect.BoolType: "true or false", inspect.StrType: "text"}


def broken_rule(error: msgspec.ValidationError, kind: type[msgspec.Struct], given: Mapping[str, Any]) -> str:
    """Describe a ``ValidationError`` in one sentence: the field, what it allows, and what it holds."""
    message, _, path = str(error).partition(" - at `$.")
    path = path.rstrip("`")
    if missing := re.search(r"missing required field `(\w+)`", message):
        return f"`{'.'.join(filter(None, [path, missing[1]]))}` is missing"
    rule, value = _at(inspect.type_info(kind), given, re.findall(r"\w+", path))
    return f"`{path}` must be {allowed(rule)}, not {shortened(value)}"


def allowed(rule: inspect.Type) -> str:
    """Describe what a type allows: ``a whole number from 1 to 1000``."""
    match rule:
        case inspect.IntType() | inspect.FloatType():
            return f"a {'whole ' * isinstance(rule, inspect.IntType)}number{_limits(rule)}"
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(map(repr, values))}"
        case inspect.Metadata(extra_json_schema={"title": words}):
            return str(words)
        case inspect.TupleType() | inspect.VarTupleType():
            return _list(rule)
        case inspect.UnionType(types=types):
            return " or ".join(allowed(one) for one in types if not isinstance(one, inspect.NoneType))
        case _:
            return _BY_CLASS.get(type(rule), "a section with fields of its own")


def shortened(value: Any) -> str:
    """Write a value as a user would, on one line of limited length."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return "a section" if isinstance(value, Mapping) else _SHORT.repr(value)
    except ValueError:  # Python refuses to print integers with thousands of digits
        return "a number with thousands of digits"


def _at(rule: inspect.Type, value: Any, steps: list[str]) -> tuple[inspect.Type, Any]:
    """Return the type and the value at a path: ``["training", "betas", "0"]`` for ``training.betas[0]``."""
    for step in steps:
        if isinstance(rule, inspect.UnionType):
            rule = rule.types[0]
        match rule:
            case inspect.StructType(fields=fields):
                rule = next(field.type for field in fields if field.name == step)
                value = value[step]
            case inspect.TupleType(item_types=items):
                rule, value = items[int(step)], value[int(step)]
            case inspect.VarTupleType(item_type=item):
                rule, value = item, value[int(step)]
    return rule, value


def _limits(rule: inspect.IntType | inspect.FloatType) -> str:
    if rule.ge is not None and rule.le is not None:
        return f" from {_plain(rule.ge)} to {_plain(rule.le)}"
    words = {"above": rule.gt, "of at least": rule.ge, "below": rule.lt, "at most": rule.le}
    told = [f"{word} {_plain(limit)}" for word, limit in words.items() if limit is not None]
    return f" {' and '.join(told)}" if told else ""


def _plain(limit: float) -> str:
    return f"{limit:d}" if isinstance(limit, int) else f"{limit:.7g}"


def _list(rule: inspect.TupleType | inspect.VarTupleType) -> str:
    if isinstance(rule, inspect.TupleType):
        return f"a list of {len(rule.item_types)}, each {allowed(rule.item_types[0])}"
    least, most = rule.min_length or 0, rule.max_length
    count = f"{least} to {most}" if most else f"{least} or more"
    return f"a list of {count}, each {allowed(rule.item_type)}"
