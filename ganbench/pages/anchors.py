"""The address of a row within its page: what people link to."""

from __future__ import annotations

import hashlib
import re

from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.table import Table

LONGEST = 100
"""Characters before the hash of a name that is longer, or has characters that do not belong into an address."""


def anchor_of(table: Table, row: Row) -> str:
    """``dcgan+wgan-gp``, as a fragment identifier: letters, digits and ``._+=-`` only."""
    title = table.title(row) + (" here" if row.here and table.mixed else "")
    plain = re.sub(r"[^A-Za-z0-9._+=-]+", "-", title)
    if plain == title and len(plain) <= LONGEST:
        return plain
    return f"{plain[:LONGEST]}-{hashlib.sha256(title.encode()).hexdigest()[:8]}"
