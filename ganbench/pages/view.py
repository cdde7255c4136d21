"""A table as a page's template shows it: headings, rows and cells as text, with their sort keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from ganbench.contracts.kind import Kind
from ganbench.leaderboards.cells import EVALUATION_SD, SEED_SD, Key, ScoreOf, cells_of, headings_of, is_number
from ganbench.leaderboards.entries import RunEntry
from ganbench.leaderboards.ranking import centre_of
from ganbench.leaderboards.rows import PARTS, Part, Row, RowKey
from ganbench.leaderboards.table import KIMG_TO_TARGET, SECONDS_TO_TARGET, Table
from ganbench.pages.anchors import anchor_of
from ganbench.pages.charts.bar import bars
from ganbench.pages.charts.curve import curve
from ganbench.pages.commands import command_of
from ganbench.pages.glossary import about_column
from ganbench.pages.places import Places, code_of
from ganbench.records.record import Component, External, ExternalRecord, runs_in

TITLES: dict[Part, str] = {
    "ranked": "Complete rows, by the mean over seeds",
    "unstable": "Rows with a failed or collapsed seed: by rule below all complete rows, not tested",
    "incomplete": "Rows with missing seeds: not ranked yet",
    "custom": "Custom runs, with changed settings: never ranked",
    "edited": "Edited runs, with code that differs from the known code of its version: never ranked",
    "external": "Samples from elsewhere, not trained under these rules: never ranked",
}
RARE = (SEED_SD, EVALUATION_SD, KIMG_TO_TARGET, SECONDS_TO_TARGET, "D norm", "device")
"""Columns that a page shows only on request, beside the best score during training."""


class Heading(NamedTuple):
    """A column. ``first`` is the direction in which it sorts first; ``rare`` ones are shown on request."""

    text: str
    about: str
    number: bool
    first: str
    rare: bool


class Cell(NamedTuple):
    """A cell's text, its sort key ("" for none), and whether it is the best of its column."""

    text: str
    value: str
    best: bool = False


class PluginUsed(NamedTuple):
    """A plugin of a row, with the URL of its code ("" if unknown)."""

    kind: Kind
    component: Component
    code: str


class Setting(NamedTuple):
    """A setting of a row's recipe, and where it comes from."""

    name: str
    value: str
    source: str


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    row: Row
    anchor: str
    title: str
    cells: tuple[Cell, ...]
    bar: Markup
    curve: Markup
    command: str
    places: Places
    plugins: tuple[PluginUsed, ...]

    @property
    def kind(self) -> str:
        """``yardstick``, ``external``, ``trouble`` or ``entry``, which sets its style."""
        if self.row.kind in ("yardstick", "external"):
            return self.row.kind
        return "trouble" if self.row.trouble else "entry"

    @property
    def packages(self) -> str:
        """The packages of its plugins."""
        return " ".join(sorted({part.component.package for part in self.plugins}))

    @property
    def parameters(self) -> int:
        """The number of parameters of G and D."""
        return round(sum(self.row.costs.get(name, 0) for name in ("params_g", "params_d")))

    @property
    def recipe(self) -> list[Setting]:
        """The settings of the first run."""
        first = next(iter(runs_in(self.row.records)), None)
        if first is None:
            return []
        return [
            Setting(name, _value(value), first.recipe_from.get(name, "the loss"))
            for name, value in first.recipe.items()
            if value is not None
        ]

    @property
    def what_happened(self) -> list[str]:
        """Sentences on seeds that failed or collapsed."""
        failed = [f"seed {record.seed}: {record.status}, {record.reason}" for record in self.row.failures]
        ways = {seed: "; ".join(way.told for way in found) for seed, found in self.row.collapses.items()}
        return [*failed, *(f"seed {seed} collapsed: {told}" for seed, told in ways.items())]

    @property
    def external(self) -> External | None:
        """What is known of samples from elsewhere; None for other rows."""
        return next((r.external for r in self.row.records if isinstance(r, ExternalRecord)), None)


class Tier(NamedTuple):
    """A part of the table with its lines."""

    part: Part
    title: str
    lines: tuple[Line, ...]


class View:
    """A table as its page shows it, with URLs relative to the folder of the page."""

    def __init__(self, table: Table, places: Mapping[RowKey, Places], folder: Path | None = None) -> None:
        self.table, self._places, self._folder = table, places, folder
        texts = {part: headings_of(table, part) for part in PARTS if table.rows_of(part)} or {
            "ranked": headings_of(table, "ranked")
        }
        first = next(iter(texts.values()))
        self._keys: list[Key] = [key for key in first if key not in ("rank", "arch", "loss")]
        self._texts = first
        self._bars = bars(table, table.headline)

    @cached_property
    def headings(self) -> list[Heading]:
        """The headings of the columns after rank, row and samples."""
        return [self._heading(key) for key in self._keys]

    @cached_property
    def about_rank(self) -> str:
        """The explanation of ranks."""
        return about_column(self.table, "rank")

    @cached_property
    def tiers(self) -> list[Tier]:
        """The parts of the table that have rows."""
        parts = ((part, self.table.rows_of(part)) for part in PARTS)
        return [Tier(part, TITLES[part], tuple(map(self._line, rows))) for part, rows in parts if rows]

    @property
    def lines(self) -> list[Line]:
        """All rows in the order of the table."""
        return [line for tier in self.tiers for line in tier.lines]

    @property
    def moves(self) -> bool:
        """Whether any picture is animated."""
        return any(line.places.appearance.moving for line in self.lines)

    @cached_property
    def choices(self) -> dict[str, list[str]]:
        """The choices of the filters: archs, losses, packages and devices, each only if there are at least two."""
        trained = [line for line in self.lines if isinstance(line.row.entry, RunEntry)]
        found = {
            "arch": {self.arch(line) for line in trained},
            "loss": {self.loss(line) for line in trained},
            "package": {name for line in trained for name in line.packages.split()},
            "device": {machine for line in trained for machine in line.row.machines},
        }
        return {name: sorted(values) for name, values in found.items() if len(values) > 1}

    @cached_property
    def sizes(self) -> list[int]:
        """Powers of ten that divide the rows by number of parameters."""
        known = [line.parameters for line in self.lines if line.parameters]
        powers = range(3, 13)
        return [
            10**power for power in powers if any(n <= 10**power for n in known) and any(n > 10**power for n in known)
        ]

    def arch(self, line: Line) -> str:
        """The name of a row's arch; "" for a row that was not trained."""
        entry = line.row.entry
        return self.table.component(entry.players[0]) if isinstance(entry, RunEntry) else ""

    def loss(self, line: Line) -> str:
        """The name of a row's loss; "" for a row that was not trained."""
        entry = line.row.entry
        return self.table.component(entry.players[1]) if isinstance(entry, RunEntry) else ""

    def _heading(self, key: Key) -> Heading:
        rare = key in RARE or key == self.table.best_label
        column = self.table.columns.get(key.name) if isinstance(key, ScoreOf) else None
        most = column is not None and column.goal == "max"
        first = "descending" if most or key in ("samples/s", "ok") else "ascending"
        return Heading(self._texts[key], about_column(self.table, key), is_number(self.table, key), first, rare)

    @cached_property
    def _best(self) -> dict[Key, float]:
        """The best value of each score column among complete rows."""
        found: dict[Key, float] = {}
        for name in self.table.shown:
            goal = self.table.columns[name].goal if name in self.table.columns else "info"
            values = [row.scores[name].centre for row in self.table.rows if row.rank and name in row.scores]
            if values and goal != "info":
                found[ScoreOf(name)] = max(values) if goal == "max" else min(values)
        return found

    def _line(self, row: Row) -> Line:
        texts, table = cells_of(self.table, row), self.table
        cells = tuple(self._cell(row, key, texts.get(key, "")) for key in self._keys)
        places = self._places.get(row.key, Places())
        first = next(iter(runs_in(row.records)), None)
        parts = first.players if first else ()
        return Line(
            row,
            anchor_of(table, row),
            table.title(row),
            cells,
            self._bars.get(row.key, Markup("")),
            curve(table, row),
            command_of(table, row),
            places,
            tuple(PluginUsed(kind, part, code_of(kind, part, self._folder)) for kind, part in parts),
        )

    def _cell(self, row: Row, key: Key, text: str) -> Cell:
        if isinstance(key, ScoreOf):
            summary = row.scores.get(key.name)
            if summary is None:
                return Cell(text, "")
            centre = centre_of(row, summary)
            return Cell(text, f"{centre:.6g}", bool(row.rank) and centre == self._best.get(key))
        return Cell(text, _sorts_by(row, key, text))


def _sorts_by(row: Row, key: str, text: str) -> str:
    """The sort key of a cell: a number if the column has one, else the text."""
    reached = row.reached
    numbers: dict[str, float | None] = {
        "samples/s": row.costs.get("samples/s"),
        "params G/D": sum(row.costs.get(name, 0) for name in ("params_g", "params_d")) or None,
        "ok": float(len(row.records) - row.trouble),
        KIMG_TO_TARGET: reached.kimg if reached else None,
        SECONDS_TO_TARGET: reached.seconds if reached else None,
    }
    if key in numbers:
        value = numbers[key]
        return f"{value:.6g}" if value is not None and math.isfinite(value) else ""
    found = text.split(" ", maxsplit=1)[0].lstrip("~")
    return found if _is_number(found) else "" if text == "–" else text


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
