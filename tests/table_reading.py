"""What tests read in a table."""

from __future__ import annotations

import io

from rich.console import Console

from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.table import Table
from ganbench.leaderboards.terminal import to_rich
from ganbench.pages.markdown import to_markdown


def names(table: Table, kind: str = "entry") -> list[str]:
    return [table.title(row) for row in table.block(kind)]


def row(table: Table, name: str) -> Row:
    return next(row for row in table.rows if table.title(row) == name)


def shown(table: Table, width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(to_rich(table, width))
    return console.file.getvalue()


def markdown_headings(table: Table) -> list[str]:
    line = next(line for line in to_markdown(table).splitlines() if line.startswith("| rank"))
    return [cell.strip() for cell in line.strip("|").split("|")]
