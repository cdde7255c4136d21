"""The size of a table, when its runs took place, and on which machines."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from ganbench.errors import plural
from ganbench.leaderboards.entries import RunEntry
from ganbench.leaderboards.table import Table


class Facts(NamedTuple):
    """``first`` and ``last`` are days, ``2026-11-29``; ``machines`` and ``versions`` are sorted."""

    rows: int
    seeds: int
    records: int
    first: str
    last: str
    machines: tuple[str, ...]
    versions: tuple[str, ...]
    packages: tuple[str, ...]

    @property
    def days(self) -> str:
        """``2026-11-28 to 2026-11-29``."""
        return self.first if self.first == self.last else f"{self.first} to {self.last}"


def facts_of(table: Table) -> Facts:
    """The facts of all records behind a table."""
    records = [record for row in table.rows for record in row.records]
    days = sorted(record.started[:10] for record in records) or [""]
    trained = [row for row in table.rows if isinstance(row.entry, RunEntry)]
    components = [part for row in trained for record in row.records for _, part in record.players]
    return Facts(
        rows=len(trained),
        seeds=len(table.seeds),
        records=len(records),
        first=days[0],
        last=days[-1],
        machines=table.machines,
        versions=tuple(sorted({f"ganbench {record.environment.ganbench}" for record in records})),
        packages=tuple(sorted({part.package for part in components})),
    )


def machines_of(table: Table) -> list[str]:
    """Hardware and software behind the records, with the number of records for each."""
    found: Counter[str] = Counter()
    for row in table.rows:
        for record in row.records:
            where = record.environment
            cuda = f", CUDA {where.cuda}, cuDNN {where.cudnn}" if where.cuda else ""
            versions = f"Python {where.python}, torch {where.torch}{cuda}, ganbench {where.ganbench}"
            found[f"{where.machine}; {where.system}; {versions}"] += 1
    return [f"{machine} ({plural(n, 'record')})" for machine, n in sorted(found.items())]
