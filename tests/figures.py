"""Keeps the figures of the documentation equal to those of the published tables.

    python tests/figures.py [--write]

lists stale figures, or writes them anew. A comment right behind a figure says where it comes from::

    FID .45<!--digits-16-v1: sngan+hinge: fid-->                protocol: row: column
    (.36<!--fid low--> to .57<!--fid high-->)                   what is left out is as before
    99.4<!--digits-edges-v1: cyclegan+lsgan: label_accuracy %--> %
    .93<!--digits-16-v1: sngan+hinge vs dcgan+hinge: fid-->     ratio or difference; also low, high, p, adjusted
    .85<!--simulated-->                                         not from a table (``ORIGINS``)

The row may be left out within a paragraph or a line of a table, the protocol under one heading. Columns are those of
``table.csv``: ``fid low``, ``fid sd``, ``best fid``, ``params_g``. ``fid`` alone is the mean, or the median if a seed
failed or collapsed. The row ``ranked`` has ``rows``, ``pairs``, and each score's ``min`` and ``max`` over the complete
rows. ``spreads`` in place of a protocol has what a limit of collapse was chosen by. A figure keeps its number of
decimals and its way of writing ``.5``. Below ``<!--table PROTOCOL: ROW-->`` stands a table as in the terminal, below
``<!--collapsed-->`` the list of rows with collapsed seeds.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from functools import cache
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from rich.console import Console

from ganbench.errors import GanbenchError, meant
from ganbench.leaderboards.comparison import Contender, compare, p_value
from ganbench.leaderboards.entries import YardstickEntry, entry_of
from ganbench.leaderboards.export import to_frame
from ganbench.leaderboards.gathering import records_in, timings_in
from ganbench.leaderboards.table import Table, build
from ganbench.leaderboards.terminal import to_rich
from ganbench.plugins.protocols import load_protocol
from ganbench.records.collapse import SPREAD, collapses_of
from ganbench.records.record import Record, TrainingRecord
from ganbench.records.store import read_all
from ganbench.records.timing import read_timings

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/systems.md", "docs/tables.md")
PUBLISHED = sorted(path.parent.name for path in ROOT.glob("leaderboards/*/records"))
ORIGINS = {"measured", "not published", "paper", "setting", "simulated", "version"}
SPREADS, RANKED = "spreads", "ranked"
WIDTH = 107
"""Characters of a table in the terminal."""

FIGURE = re.compile(r"(?:[<=] )?(?<![\w.>])-?(?:\d[\d,]*)?\.?\d+(?=<!--)")
BARE = re.compile(r"(?<![\w.>])-?\d*\.\d+(?!\.?\d|<!--)")
"""A decimal number without a comment."""
COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)
BLOCK = re.compile(r"<!--(table (.*?): (.*)|collapsed)-->\n+(```text\n[^`]*```|(?:\* .*\n)+)")
NOT_PROSE = re.compile(r"```.*?```|`(?:[^`\n]|\n(?!\n))*`|!\[[^]]*\]|\]\([^)]*\)|<img[^>]*>", re.DOTALL)


class Problem(NamedTuple):
    """What is wrong with a line of a page; what is ``stale`` can be written anew."""

    line: int
    text: str
    stale: bool = False


class Place(NamedTuple):
    """Where a figure comes from."""

    protocol: str
    row: str
    column: str


def refreshed(page: str) -> tuple[str, list[Problem]]:
    """The page with the figures of today, and what is wrong with it as it is."""
    problems: list[Problem] = []

    def wrong(start: int, text: str, stale: bool = False) -> None:
        problems.append(Problem(page.count("\n", 0, start) + 1, text, stale))

    prose = NOT_PROSE.sub(_blank, page)
    bare = re.search(r"(?<![\w.])-?\.\d+<!--", prose) is not None
    changes, done, place = [], 0, Place("", "", "")
    for comment in COMMENT.finditer(prose):
        said = comment[1].strip()
        figure = next(FIGURE.finditer(prose, done, comment.end()), None)
        block = BLOCK.match(page, comment.start())
        if not figure and not block:
            wrong(comment.start(), f"<!--{said}--> stands behind no figure")
            continue
        start, end = figure.span() if figure else block.span(4)
        place, done = _place(said, place, prose[done:start]), comment.end()
        try:
            new = _block(block) if block else page[start:end] if said in ORIGINS else _text(place, figure[0], bare)
        except GanbenchError as error:
            wrong(start, error.message)
            continue
        if new != page[start:end]:
            wrong(
                start, f"the block below <!--{said}--> is stale" if block else f"{figure[0]} is now {new}", stale=True
            )
            changes.append((start, end, new))
    for found in BARE.finditer(COMMENT.sub(lambda comment: "<!--" + _blank(comment)[4:], prose)):
        wrong(found.start(), f"{found[0]} does not say where it comes from: see tests/figures.py")
    for start, end, new in reversed(changes):
        page = page[:start] + new + page[end:]
    return page, sorted(problems)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _place(said: str, before: Place, between: str) -> Place:
    """What a comment leaves out is as in the comment before."""
    *front, column = said.split(": ")
    protocol = "" if "\n#" in between else before.protocol
    row = "" if re.search(r"\n[\n|]", between) else before.row
    if front and (len(front) > 1 or front[0] in (*PUBLISHED, SPREADS)):
        protocol = front.pop(0)
    return Place(protocol, front[0] if front else row, column)


def _text(place: Place, now: str, bare: bool) -> str:
    """The value as the figure ``now`` is written; a page that writes ``.5`` is ``bare``."""
    sign, number = re.fullmatch(r"([<=] )?-?(.*)", now).groups("")
    value = _value(place._replace(column=place.column.removesuffix(" %")))
    if place.column.endswith((" p", " adjusted")):
        said = p_value(value).removeprefix("p ")
        return said if sign else said.removeprefix("= ")
    value *= 100 if place.column.endswith(" %") else 1
    text = f"{value:,.{len(number.partition('.')[2])}f}"
    without = number.startswith(".") or (bare and not number.startswith("0"))
    return sign + (re.sub(r"^(-?)0\.", r"\1.", text) if without else text)


# -- values --------------------------------------------------------------------------------------------------

Cells = Mapping[str, object]


def _value(place: Place) -> float:
    """Raises GanbenchError: there is no such row or column."""
    one, versus, other = place.row.partition(" vs ")
    cells = _row(place.protocol, one)
    if versus and _row(place.protocol, other):
        cells = _against(place.protocol, one, other, place.column.split()[0])
    value = cells.get(place.column)
    if value is None or pd.isna(value):
        raise GanbenchError(f"{place.row} of {place.protocol} has no '{place.column}'{meant(place.column, cells)}")
    return float(value)


def _row(protocol: str, name: str) -> Cells:
    if protocol not in (*PUBLISHED, SPREADS):
        raise GanbenchError(f"'{protocol}' is no protocol with a published table{meant(protocol, PUBLISHED)}")
    rows = _spreads() if protocol == SPREADS else _rows(protocol)
    if name not in rows:
        raise GanbenchError(f"no row of {protocol} is called '{name}'{meant(name, rows)}")
    return rows[name]


@cache
def _records(protocol: str) -> list[Record]:
    return read_all(records_in(ROOT / "leaderboards" / protocol))[0]


@cache
def _table(protocol: str, *entries: str) -> Table:
    """A published table, or what it is of some entries alone."""
    records = [record for record in _records(protocol) if not entries or record.entry in entries]
    timings, _ = read_timings(timings_in(ROOT / "leaderboards" / protocol))
    return build(records, load_protocol(protocol), timings=timings)


@cache
def _rows(protocol: str) -> dict[str, Cells]:
    """The rows of a table by name, and ``RANKED``."""
    table, rows = _table(protocol), {}
    frame = to_frame(table)
    scores = [column.removesuffix(" centre") for column in frame if column.endswith(" centre")]
    for title, cells in zip(map(table.title, table.rows), frame.to_dict("records"), strict=True):
        means = {name: (cells[f"{name} centre"], cells[f"{name} median"]) for name in scores}
        rows[title] = cells | {name: median if pd.isna(mean) else mean for name, (mean, median) in means.items()}
    complete = [row for row in rows.values() if pd.notna(row["rank"])]
    ends = {f"{name} {end.__name__}": end(row[name] for row in complete) for name in scores for end in (min, max)}
    return rows | {RANKED: {"rows": len(complete), "pairs": math.comb(len(complete), 2), **ends}}


def _against(protocol: str, one: str, other: str, metric: str) -> Cells:
    """What ``ganbench compare`` says of two rows."""
    table = _table(protocol)
    column, titles = table.column(metric), {table.title(row): row for row in table.rows}
    a, b = (Contender(titles[name], name) for name in (one, other))
    found = compare(a, b, column, table.columns[column], metric, table.standing(column))
    if (apart := found.difference) is None:
        raise GanbenchError(found.verdict)
    cells = {metric: apart.estimate, f"{metric} low": apart.low, f"{metric} high": apart.high, f"{metric} p": apart.p}
    return cells | ({f"{metric} adjusted": found.in_table.adjusted} if found.in_table else {})


@cache
def _spreads() -> dict[str, Cells]:
    """The variance of samples as a share of the reals', over the seeds of a row and over all runs, marked or not."""
    found = []
    for record in (record for protocol in PUBLISHED for record in _records(protocol)):
        if (checks := record.self_checks) is None or checks.spread is None:
            continue
        marked = any(collapse.column == SPREAD for collapse in collapses_of(record))
        groups = ("runs", "marked" if marked else "unmarked") if isinstance(record, TrainingRecord) else ()
        both = max(checks.spread, checks.raw_spread or 0)
        found += [(group, checks.spread, both) for group in (f"{record.protocol} {record.entry}", *groups)]
    frame = pd.DataFrame(found, columns=["", "features", "both"]).groupby("").agg(["min", "max", "count"])
    frame.columns = frame.columns.map(" ".join)
    return frame.to_dict("index")


# -- blocks --------------------------------------------------------------------------------------------------


def _block(block: re.Match[str]) -> str:
    if block[1] != "collapsed":
        return _terminal(block[2], block[3])
    lines = []
    for table in map(_table, PUBLISHED):
        rows = [f"`{table.title(row)}` {len(row.collapses)}/{row.seeds}" for row in table.rows if row.collapses]
        lines.append(f"* `{table.name}`: {', '.join(rows) or 'none'}\n")
    return "".join(lines)


def _terminal(protocol: str, name: str) -> str:
    """What ``ganbench run`` ends with, if it trains one row and draws the yardsticks."""
    _row(protocol, name)
    yardsticks = {r.entry for r in _records(protocol) if isinstance(entry_of(r), YardstickEntry)}
    *shown, _ = to_rich(_table(protocol, name, *yardsticks), WIDTH).renderables
    console = Console(width=WIDTH, file=StringIO(), color_system=None)
    console.print(*shown, sep="\n")
    text = "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())
    return f"```text\n{text.strip()}\n```"


def main(write: bool) -> int:
    """Check the pages, or write them anew; 1 if something is wrong and stays so."""
    left = 0
    for name in PAGES:
        page, problems = refreshed((ROOT / name).read_text("utf-8"))
        if write:
            (ROOT / name).write_text(page, "utf-8")
        for problem in problems:
            print(f"{name}:{problem.line}: {problem.text}")
        left += sum(not (write and problem.stale) for problem in problems)
    return min(left, 1)


if __name__ == "__main__":
    sys.exit(main("--write" in sys.argv[1:]))
