"""Safe names from records, for anchors of rows within a page and for file names of charts."""

from __future__ import annotations

import hashlib
import re

from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.table import Table

LONGEST = 100
"""Characters kept before the hash of a name that is longer, or has characters that do not belong in a URL."""


def anchor_of(table: Table, row: Row) -> str:
    """The fragment identifier of a row, such as ``dcgan+wgan-gp``."""
    return safe(table.title(row) + (" here" if row.here and table.mixed else ""))


def safe(name: str) -> str:
    """A name with letters, digits and ``._+=-`` only, so that it never leads into another folder."""
    plain = re.sub(r"[^A-Za-z0-9._+=-]+", "-", name)
    if plain == name and len(plain) <= LONGEST:
        return plain
    return f"{plain[:LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
