"""A table as a pandas frame with the printed columns; ``export.py`` exports all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ganbench.leaderboards.entries import ExternalEntry, RunEntry, YardstickEntry
from ganbench.leaderboards.ranking import centre_of
from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.table import Table
from ganbench.plain import plain_line

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("rank", "arch", "loss", "tricks", "settings")
REST = ("samples/s", "ok", "here")


def to_brief_frame(table: Table) -> pd.DataFrame:
    """One row per row of the table: ``rank``, ``arch``, ``loss``, ``fid``, ``fid low``, ``fid high``, ``is`` and so on.

    Numbers are floats, NaN if unknown; ``here`` is true or false; everything else is text. A score is the mean on the
    scale of the test. A row with failed or collapsed seeds has the median instead, and no interval.
    """
    import pandas as pd

    scores = {name: _heading(table.label(name)) for name in table.shown}
    low, high = (f"{scores[table.headline]} {end}" for end in ("low", "high"))
    headline, *others = scores.values()
    columns = [*NAMES, headline, low, high, *others, *REST]
    rows = [{**_about(table, row), **_numbers(table, row, scores, (low, high))} for row in table.rows]
    frame = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys([low, high, *scores.values(), "samples/s"], float))
    return frame.drop(columns=_unused(table))


def _heading(label: str) -> str:
    """The heading of a score, distinct from those that every table has."""
    return f"{label} score" if label in (*NAMES, *REST) else plain_line(label)


def _unused(table: Table) -> list[str]:
    """Columns without information: no row has tricks, no row has changed settings, or all rows have one origin."""
    entries = [row.entry for row in table.rows if isinstance(row.entry, RunEntry)]
    used = {
        "tricks": any(entry.tricks for entry in entries),
        "settings": any(entry.changes for entry in entries),
        "here": table.mixed,
    }
    return [name for name, needed in used.items() if not needed]


def _about(table: Table, row: Row) -> dict[str, Any]:
    if isinstance(row.entry, YardstickEntry):
        texts, verdict = ["", row.entry.name, row.kind, "", ""], str(row.ok)
    elif isinstance(row.entry, ExternalEntry):
        texts, verdict = [row.kind, row.entry.model, row.kind, "", ""], row.verdict
    else:
        verdict = row.verdict
        arch, loss, *tricks = map(table.component, row.entry.players)
        rank = row.kind if row.kind in ("custom", "edited") else str(row.rank or "")
        texts = [rank, arch, loss, " ".join(tricks), " ".join(f"{name}={value}" for name, value in row.entry.changes)]
    return {**dict(zip(NAMES, map(plain_line, texts), strict=True)), "ok": verdict, "here": row.here}


def _numbers(table: Table, row: Row, scores: Mapping[str, str], ends: tuple[str, str]) -> dict[str, Any]:
    known = {heading: centre_of(row, row.scores[name]) for name, heading in scores.items() if name in row.scores}
    headline = None if row.trouble else row.scores.get(table.headline)
    interval = (headline.low, headline.high) if headline else (None, None)
    return {**known, **dict(zip(ends, interval, strict=True)), "samples/s": row.costs.get("samples/s")}
