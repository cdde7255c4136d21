"""Keeps docs/protocols.md equal to the rules that the program checks: each field, its limits, its default, its meaning.

    python docs/hooks/site_fields.py [--write]

says whether the tables of the page are stale, or writes them anew. ``<!--fields Training-->`` stands above a table.
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
    """The page with the tables of today."""
    return TABLE.sub(lambda found: f"{found[1]}-->\n\n" + "".join(f"{row}\n" for row in table(found[1])), page)


def table(name: str) -> Iterator[str]:
    """The fields of a struct, in the order in which a commented protocol shows them."""
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
    """Check the page, or write it anew; 1 if it is stale and stays so."""
    page = PAGE.read_text("utf-8")
    if (new := refreshed(page)) == page:
        return 0
    if write:
        PAGE.write_text(new, "utf-8")
    else:
        print("docs/protocols.md is stale: python docs/hooks/site_fields.py --write")
    return int(not write)


if __name__ == "__main__":
    sys.exit(main("--write" in sys.argv[1:]))
