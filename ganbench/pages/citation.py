"""A BibTeX entry for a table, with the digest of the rules to identify it."""

from __future__ import annotations

import re

from ganbench.errors import plural
from ganbench.leaderboards.table import Table
from ganbench.pages.facts import facts_of
from ganbench.plain import plain_line


def to_bibtex(table: Table) -> str:
    """One entry; the year is that of the newest record."""
    facts = facts_of(table)
    name = plain_line(table.name)
    key = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()
    versions = ", ".join(facts.versions)
    note = f"Digest {table.digest}, {plural(facts.records, 'record')}, {versions}"
    fields = {
        "title": f"{{{_escape(f'GANBench leaderboard {name}')}}}",
        "author": "{{The GANBench developers}}",
        "year": f"{{{facts.last[:4]}}}",
        "note": f"{{{_escape(note)}}}",
    }
    lines = "".join(f"  {field:<6} = {value},\n" for field, value in fields.items() if value != "{}")
    return f"@misc{{ganbench-{key},\n{lines}}}\n"


def _escape(text: str) -> str:
    """Keep TeX from reading a name as a command."""
    return re.sub(r"[\\{}$&#^_~%]", lambda found: " " if found[0] in "\\{}^~" else f"\\{found[0]}", plain_line(text))
