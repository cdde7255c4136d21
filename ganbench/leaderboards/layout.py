"""Choose the columns of a table that fit a terminal, and their widths.

The least informative columns are dropped first: details of cost and networks, then scores beyond the first three. Then
arch and loss share a column, and intervals and the other scores go. Names wrap last. No number or word is ever cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from rich.cells import cell_len, chop_cells

from ganbench.leaderboards.cells import EVALUATION_SD, HERE, NOT_BEATEN, SEED_SD, Key, ScoreOf, cells_of, headings_of
from ganbench.leaderboards.entries import RunEntry
from ganbench.leaderboards.rows import Row, RowKey
from ganbench.leaderboards.table import KIMG_TO_TARGET, SECONDS_TO_TARGET, Table
from ganbench.plain import plain_line

TELLING = 4
"""Number of scores, including the headline, to keep as long as they fit; others are dropped before intervals."""
WIDEST = 1000
"""Characters in a line of a table without a limit."""
JOINED = "arch+loss"
_PIECES = re.compile(r"[+=]?[^-+=_.:/@]*[-_.:/@]?")


class Shape(NamedTuple):
    """What a layout shows, and in what form."""

    keys: tuple[Key, ...]
    joined: bool = False
    intervals: bool = True
    folded: bool = False


@dataclass(frozen=True)
class Layout:
    """The columns that are shown, with their headings and widths, and the cells of each row."""

    shape: Shape
    headings: Mapping[Key, str]
    cells: Mapping[RowKey, Mapping[Key, str]]
    widths: Mapping[Key, int]
    gap: int

    @property
    def width(self) -> int:
        """Characters of a line."""
        return sum(self.widths.values()) + self.gap * (len(self.widths) - 1)


def fold(text: str, width: int) -> list[str]:
    """Wrap text into lines of at most ``width`` characters.

    Lines break between words, else before a plus, else after a hyphen or the like. Only a longer piece is split.
    """
    lines = [""]
    for word in text.split():
        if cell_len(f"{lines[-1]} {word}".strip()) <= width:
            lines[-1] = f"{lines[-1]} {word}".strip()
        elif cell_len(word) <= width:
            lines.append(word)
        else:
            parts = [_packed(_PIECES.findall(part), width) for part in re.split(r"(?<=.)(?=\+)", word)]
            lines += [*(line for part in parts for line in part), ""]
    return [line for line in lines if line] or [""]


def _packed(pieces: Sequence[str], width: int) -> list[str]:
    """Join the pieces into as few lines as possible."""
    lines = [""]
    for piece in pieces:
        if cell_len(lines[-1] + piece) <= width:
            lines[-1] += piece
        else:
            lines += chop_cells(piece, width)
    return lines


def lay_out(table: Table, width: int | None, *, noises: bool = False) -> Layout:
    """The layout for ``width`` characters; None keeps every column."""
    room = _Room(table, noises)
    most = WIDEST if width is None else width
    for shape in room.shapes():
        layout = room.layout(shape, gap=2)
        if layout.width > most:
            layout = replace(layout, gap=1)
        if layout.width <= most:
            break
    return room.widened(layout, most)


class _Room:
    """The texts of a table, and the width they need."""

    def __init__(self, table: Table, noises: bool) -> None:
        self.table = table
        self.headings = {key: plain_line(text) for key, text in headings_of(table, "ranked", noises=noises).items()}

    def shapes(self) -> Iterator[Shape]:
        """Shapes from the widest, with all columns, to the narrowest, with names and headline."""
        keys, scores = tuple(self.headings), self._scores
        yield Shape(keys)
        for key in self._details:
            keys = tuple(other for other in keys if other != key)
            yield Shape(keys)
        keys = tuple(key for key in keys if key != "loss")
        yield Shape(keys, joined=True)
        yield Shape(keys, joined=True, intervals=False)
        for key in ("samples/s", *reversed(scores[1:])):
            keys = tuple(other for other in keys if other != key)
            yield Shape(keys, joined=True, intervals=False)
        yield Shape(keys, joined=True, intervals=False, folded=True)
        for key in ("rank", "ok"):
            keys = tuple(other for other in keys if other != key)
            yield Shape(keys, joined=True, intervals=False, folded=True)

    @property
    def _scores(self) -> list[Key]:
        """The score columns that are not details, headline first."""
        return [key for key in self.headings if isinstance(key, ScoreOf) and key not in self._details]

    @cached_property
    def _details(self) -> list[Key]:
        """The columns to drop first, in this order; never the one that the rows are sorted by."""
        table = self.table
        scores = [key for key in self.headings if isinstance(key, ScoreOf)]
        order: list[Key] = ["D norm", "params G/D", KIMG_TO_TARGET, SECONDS_TO_TARGET, table.best_label, EVALUATION_SD]
        order += [SEED_SD, "device", *([] if table.chosen else reversed(scores[TELLING:]))]
        return [key for key in order if key in self.headings and key not in (table.sorted_by, ScoreOf(table.sorted_by))]

    def layout(self, shape: Shape, gap: int) -> Layout:
        """The narrowest layout of a shape: headings wrap, and settings have lines of their own."""
        cells = {row.key: self._texts(row, shape) for row in self.table.rows}
        headings = {key: JOINED if key == "arch" and shape.joined else self.headings[key] for key in shape.keys}
        widths = {}
        for key, heading in headings.items():
            texts = [texts.get(key, "") for texts in cells.values()]
            widths[key] = max([_longest(_words(heading)), *(self._least(key, text, shape) for text in texts)])
        return Layout(shape, headings, cells, widths, gap)

    def _texts(self, row: Row, shape: Shape) -> dict[Key, str]:
        texts = cells_of(self.table, row, intervals=shape.intervals)
        mark = f"{HERE} " if self.table.mixed and row.here else ""
        if shape.joined and isinstance(row.entry, RunEntry):
            arch, (loss, *more) = texts["arch"], texts["loss"].split(" ")
            name, beaten = arch.removesuffix(NOT_BEATEN), NOT_BEATEN if arch.endswith(NOT_BEATEN) else ""
            texts["arch"] = " ".join([f"{name}+{loss}{beaten}", *more])
        texts["arch"] = mark + texts["arch"]
        if not shape.intervals:  # notes below the table say what happened to the other seeds
            texts["ok"] = re.sub(r",[^†]*", "", texts["ok"])
        return {key: plain_line(text) for key, text in texts.items()}

    @staticmethod
    def _least(key: Key, text: str, shape: Shape) -> int:
        """Characters that a cell needs; verdicts and settings may wrap, names only if ``folded``."""
        if key == "arch" and shape.folded:
            return _longest(_pieces(text))
        if key in ("loss", "ok", "device") or (key == "arch" and shape.joined):
            return _longest(text.split())
        return cell_len(text)

    @staticmethod
    def widened(layout: Layout, width: int) -> Layout:
        """The layout with the spare width given to names, then to headings and verdicts."""
        widths = dict(layout.widths)
        full = {key: [layout.headings[key], *(texts.get(key, "") for texts in layout.cells.values())] for key in widths}
        first = [key for key in ("arch", "loss") if key in widths]
        for key in [*first, *(key for key in widths if key not in first)]:
            left = width - sum(widths.values()) - layout.gap * (len(widths) - 1)
            widths[key] += max(0, min(left, _longest(full[key]) - widths[key]))
        return replace(layout, widths=widths)


def _words(heading: str) -> Sequence[str]:
    return re.findall(r"[^ _]+_?", heading)


def _pieces(text: str) -> Sequence[str]:
    return [piece for word in text.split() for piece in _PIECES.findall(word)]


def _longest(texts: Iterable[str]) -> int:
    return max(map(cell_len, texts), default=0)
