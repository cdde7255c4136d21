"""Text that would do harm wherever it is shown as anything but text, and records that are full of it."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ganbench.records.record import Record
from ganbench.records.store import facts_of

NASTY = (
    "=\x1b[31mred\x1b]0;title\x07\x08\r\x9b2J\u202erev\u2066\u2028[/][bold][batch, 1]:smile:a|b\\|c</td>"
    "<script>s()</script><img src=x onerror=x>![i](http://evil.example/i.png)[l](http://evil.example)[r]: http://evil.example\n"
    "`code`\n~~~\n# heading\n$m$ www.evil.example &lt;b&gt; "
)
KEPT = ("ok", "error", "min", "max", "info")
"""Words that a record has no choice about."""


def nasty(record: Record, *keep: str) -> Record:
    """The record with ``NASTY`` before every text in it, names of columns included, but for the texts to ``keep`` and
    those that are empty."""

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name if name in FIELDS else turned(name): turned(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [turned(inner) for inner in value]
        return NASTY + value if isinstance(value, str) and value not in {"", *KEPT, *keep} else value

    facts = facts_of(record)
    FIELDS = {*facts, *_inner_names(facts)}
    return msgspec.convert(turned(facts), type(record))


def _inner_names(facts: dict[str, Any]) -> set[str]:
    """Names of fields of the structures within a record."""
    from ganbench.records import record as structure

    kinds = [kind for kind in vars(structure).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    return {name for kind in kinds for name in kind.__struct_fields__} - {"modes_covered"}


def controls(text: str) -> set[str]:
    """What would move the cursor, ring the bell or turn letters around; lines and tabs are fine."""
    return {*re.findall("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", text)}
