"""Draws who leads at every budget: the headline score during training, from the records of a published table.

    python tests/curves.py [--write]

lists the pictures of ``docs/pictures/curves-*.svg`` that are stale, or draws them anew. A line is the mean over the
seeds of a row, on the selection split, geometric where the table's are; a thin one is a row with a failed or collapsed
seed. ``curves-PROTOCOL+ARCH.svg`` has the rows of one arch.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import fmean, geometric_mean

from ganbench.leaderboards.entries import Entry, entry_of
from ganbench.leaderboards.gathering import records_in
from ganbench.leaderboards.table import Table, build
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import TrainingRecord
from ganbench.records.store import read_all

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 380, 46, 34, 128, 44
LINE = 14
"""Pixels between the names of two rows."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#8c564b", "#000000", "#bcbd22")
"""Told apart by people who are colour-blind, too (the first six: Okabe and Ito 2008)."""

Curve = Sequence[tuple[float, float]]
"""(kimg, score)"""


def curves(table: Table, records: Sequence[TrainingRecord], arch: str = "") -> dict[Entry, Curve]:
    """The mean over seeds at each look that all seeds of a row had, in the order of the table."""
    mean = geometric_mean if table.log else fmean
    found: dict[Entry, Curve] = {}
    for row in table.rows:
        looks = [
            {look.kimg: look.score for look in record.curve if look.score is not None}
            for record in records
            if entry_of(record) == row.entry and arch in ("", record.arch.name)
        ]
        if looks and not getattr(row.entry, "changes", ()):
            common = sorted(set.intersection(*(set(one) for one in looks)))
            found[row.entry] = [(kimg, mean([one[kimg] for one in looks])) for kimg in common]
    return found


def drawn(name: str) -> str:
    """The picture of a published table, or of the rows of one arch: ``digits-16-v2+dcgan``."""
    protocol, _, arch = name.partition("+")
    records, errors = read_all(records_in(ROOT / "leaderboards" / protocol))
    assert not errors, errors
    table = build(records, load_protocol(protocol))
    found = curves(table, [record for record in records if isinstance(record, TrainingRecord)], arch)
    names = {entry: table.title(row).removeprefix(f"{arch}+") for row in table.rows if (entry := row.entry) in found}
    unsteady = {row.entry for row in table.rows_of("unstable")}
    label = table.label(table.headline)
    seeds = len(table.seeds)
    title = f"{protocol}{f', {arch}' if arch else ''}: {label} during training, mean of {seeds} seeds"
    return svg(title, found, names, unsteady, log=table.log)


def svg(
    title: str, found: Mapping[Entry, Curve], names: Mapping[Entry, str], thin: set[Entry], *, log: bool = False
) -> str:
    """A line for each row, with its name where it ends."""
    points = [point for curve in found.values() for point in curve]
    most, top = max(kimg for kimg, _ in points), max(score for _, score in points)
    low = min(score for _, score in points)

    def x(kimg: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * kimg / most

    def y(score: float) -> float:
        share = math.log(score / (0.9 * low)) / math.log(1.05 * top / (0.9 * low)) if log else score / (1.05 * top)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    parts = [_text(LEFT, 20, title, size=13)]
    for score in ticks_between(low, top) if log else ticks_to(top):
        parts.append(f'<path d="M{LEFT} {y(score):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 6, y(score) + 4, f"{score:g}", "end"))
    parts += [_text(x(kimg), HEIGHT - BOTTOM + 18, f"{kimg:,g}", "middle") for kimg in ticks_to(most)]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "thousands of reals shown to D", "middle"))
    places = _apart({entry: y(curve[-1][1]) for entry, curve in found.items() if curve})
    for entry, colour in zip(places, COLOURS * len(places), strict=False):
        path = " ".join(f"{x(kimg):.1f},{y(score):.1f}" for kimg, score in found[entry])
        width = 1 if entry in thin else 2.5
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        parts.append(_text(WIDTH - RIGHT + 8, places[entry] + 4, names[entry], colour=colour))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" role="img">'
    )
    described = f"<title>{escape(title)}</title>"
    return "\n".join([head, described, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>', *parts, "</svg>\n"])


def ticks_to(top: float) -> list[float]:
    """Round numbers from 0 to ``top``, six at most."""
    size = 10 ** math.floor(math.log10(top))
    step = next(step for step in (size / 5, size / 2, size, 2 * size) if top <= 5.001 * step)
    return [round(i * step, 10) for i in range(int(top / step + 0.001) + 1)]


def ticks_between(low: float, top: float) -> list[float]:
    """Round numbers for a log scale: 1, 2 and 5 times powers of ten."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(top)) + 1)
    return [tick for power in powers for tick in (10.0**power, 2 * 10.0**power, 5 * 10.0**power) if low <= tick <= top]


def _apart(wanted: Mapping[Entry, float]) -> dict[Entry, float]:
    """Heights of the names, near those wanted, and a line apart."""
    found: dict[Entry, float] = {}
    at = float(TOP)
    for entry in sorted(wanted, key=lambda one: wanted[one]):
        at = found[entry] = max(at + LINE, wanted[entry])
    over = max(0.0, at - (HEIGHT - BOTTOM))
    for i, entry in enumerate(reversed(list(found))):
        found[entry] = min(found[entry], at - over - i * LINE)
    return found


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 11, colour: str = "#333") -> str:
    style = f'font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def stale() -> dict[Path, str]:
    """The pictures that differ from what the records give, and what they should hold."""
    wanted = {path: drawn(path.stem.removeprefix("curves-")) for path in sorted(PICTURES.glob("curves-*.svg"))}
    return {path: text for path, text in wanted.items() if path.read_text("utf-8") != text}


if __name__ == "__main__":
    found = stale()
    for path, text in found.items():
        print(path.name)
        if "--write" in sys.argv[1:]:
            path.write_text(text, "utf-8")
    sys.exit(bool(found) and "--write" not in sys.argv[1:])
