"""The front page of a folder of leaderboards, from its protocols' summaries, and the files that all pages share."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ganbench.errors import GanbenchWarning, RecordError, plural
from ganbench.leaderboards.footnotes import DIRECTION
from ganbench.pages.markdown import bracketed, escaped, prose
from ganbench.pages.summary import NAME, TableSummary, read_summary
from ganbench.pages.templating import ASSETS, asset, linked, rendered
from ganbench.records.files import text_of, write_atomically

SHARED = "assets"
"""The folder of the files that all pages share."""
TITLE = "GANBench leaderboards"
_VERSION = re.compile(r"-v(\d+)\Z")


class Shelf(NamedTuple):
    """Protocols in their newest version, and older versions, which are kept for reference."""

    current: Sequence[TableSummary]
    older: Sequence[TableSummary]


def shelf_of(summaries: Sequence[TableSummary]) -> Shelf:
    """Split summaries into current ones, which have no later version of the same name, and older ones."""
    newest: dict[str, int] = {}
    for summary in summaries:
        family, version = _parted(summary.name)
        newest[family] = max(version, newest.get(family, 0))
    current = [s for s in summaries if _parted(s.name)[1] == newest[_parted(s.name)[0]]]
    return Shelf(sorted(current, key=_order), sorted((s for s in summaries if s not in current), key=_order))


def _parted(name: str) -> tuple[str, int]:
    found = _VERSION.search(name)
    return (name[: found.start()], int(found[1])) if found else (name, 0)


def _order(summary: TableSummary) -> tuple[int, str]:
    """Sort key: those with the most records first."""
    return -summary.facts.records, summary.name


def hub_files(folder: Path) -> dict[str, str]:
    """The text of every file of a hub, by its path in the folder.

    A summary that cannot be read is skipped with a warning, as it may belong to another folder than the one written.
    """
    shelf = shelf_of(list(_readable(sorted(folder.glob(f"*/{NAME}")))))
    page = rendered("hub.html", shelf=shelf, title=TITLE, directions=DIRECTION, quote=quote, shared=linked(SHARED))
    shared = {f"{SHARED}/{name}": asset(name) for name in ASSETS}
    return {"index.html": page, "README.md": _markdown(shelf), **shared}


def _readable(paths: Iterable[Path]) -> Iterator[TableSummary]:
    for path in paths:
        try:
            yield read_summary(path)
        except RecordError as error:
            warnings.warn(GanbenchWarning(f"{error.message}; the page of all protocols leaves it out"), stacklevel=3)


def write_hub(folder: Path) -> list[str]:
    """Write the hub of a folder of published leaderboards; returns the files that changed.

    Raises:
        RecordError: a file cannot be written.
    """
    changed = stale_hub(folder)
    files = hub_files(folder)
    for name in changed:
        write_atomically(folder / name, files[name].encode())
    return changed


def stale_hub(folder: Path) -> list[str]:
    """Files of a hub that differ from what its summaries give."""
    return sorted(name for name, text in hub_files(folder).items() if text_of(folder / name) != text)


def _markdown(shelf: Shelf) -> str:
    parts = [f"# {TITLE}", "`ganbench run` makes rows, and `ganbench leaderboard --write` publishes them."]
    parts += [_section(summary) for summary in shelf.current]
    if shelf.older:
        older = [f"* [{bracketed(s.name)}]({quote(s.name)}/README.md): {_size(s)}" for s in shelf.older]
        parts += ["## Older versions", "Kept for reference; a newer version of each is listed above.", "\n".join(older)]
    return "\n\n".join(parts) + "\n"


def _section(summary: TableSummary) -> str:
    here = quote(summary.name)
    picture = f"![samples of {bracketed(summary.pictured)}]({here}/{summary.picture})" if summary.picture else ""
    ranking = ["| rank | row | " + escaped(summary.headline) + " |", "| ---: | --- | ---: |"]
    ranking += [f"| {row.rank} | {escaped(row.title)} | {escaped(row.score)} |" for row in summary.best]
    parts = [f"## [{bracketed(summary.name)}]({here}/README.md)", prose(summary.description), picture]
    parts += ["\n".join(ranking) if summary.best else "", _size(summary)]
    return "\n\n".join(part for part in parts if part)


def _size(summary: TableSummary) -> str:
    facts = summary.facts
    made = f"made {facts.days} on {escaped(' and '.join(facts.machines))}" if facts.machines else "no runs yet"
    sizes = ", ".join((plural(facts.rows, "row"), plural(facts.seeds, "seed"), plural(facts.records, "record")))
    return f"{sizes}, {made}"
