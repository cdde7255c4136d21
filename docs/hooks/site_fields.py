"""Keeps the tables of docs/protocols.md in step with the program: every field, its limits, its default, its meaning.

    python docs/hooks/site_fields.py [--write]

It reports whether the tables are out of date, or rewrites them with ``--write``. A comment such as
``<!--fields Training-->`` marks a table.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import inspect

from ganbench.contracts.allowed import allowed
from ganbench.contracts.protocol_text import MEANINGS

PAGE = Path(__file__).parents[1] / "protocols.md"
TABLE = re.compile(r"(?<=<!--fields )(\w+)-->\n\n(?:\|.*\n)*")


def refreshed(page: str) -> str:
    """Return the page with all tables regenerated."""
    return TABLE.sub(lambda found: f"{found[1]}-->\n\n" + "".join(f"{row}\n" for row in table(found[1])), page)


def table(name: str) -> Iterator[str]:
    """Yield the Markdown table for one struct, with its fields in the order of a commented protocol."""
    kind = next(kind for kind in MEANINGS if kind.__name__ == name)
    fields = {field.name: field for field in inspect.type_info(kind).fields}
    yield from ("| field | value | default | meaning |", "|---|---|---|---|")
    for field, meaning in MEANINGS[kind].items():
        yield f"| `{field}` | {allowed(fields[field].type)} | {_default(fields[field])} | {meaning} |"


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    value = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    if value is None or value == "" or (not value and isinstance(value, (tuple, dict))):
        return "none"
    return ", ".join(f"`{one}`" for one in (value if isinstance(value, tuple) else [value]))


def main(write: bool) -> int:
    """Check or rewrite the page; return 1 if it is out of date and was not rewritten."""
    page = PAGE.read_text("utf-8")
    if (new := refreshed(page)) == page:
        return 0
    if write:
        PAGE.write_text(new, "utf-8")
    else:
        print("docs/protocols.md is out of date; run: python docs/hooks/site_fields.py --write")
    return int(not write)


if __name__ == "__main__":
    sys.exit(main("--write" in sys.argv[1:]))
