"""Commands to copy that reproduce a row, quoted for the shell."""

from __future__ import annotations

import shlex

from ganbench.contracts.executor import UNPACKAGED
from ganbench.leaderboards.entries import RunEntry
from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.table import Table
from ganbench.plain import plain_line


def command_of(table: Table, row: Row) -> str:
    """``ganbench run`` with the row's components and changes; "" if no command can reproduce it."""
    if not isinstance(row.entry, RunEntry):
        return ""
    if any(player.component.package == UNPACKAGED for player in row.entry.players):
        return ""
    words = [word for player in row.entry.players for word in (f"--{player.kind}", table.component(player))]
    changes = [word for name, value in row.entry.changes for word in ("--set", f"{name}={value}")]
    return run_command(*words, "--protocol", table.name, *changes)


def run_command(*words: str) -> str:
    """``ganbench run`` with these words."""
    return f"ganbench run {shlex.join(map(plain_line, words))}"
