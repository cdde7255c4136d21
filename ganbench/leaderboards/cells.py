"""The cells of a table as text, for every format: numbers, intervals, headings, marks."""

from __future__ import annotations

import math
from typing import NamedTuple

from ganbench.leaderboards.entries import ExternalEntry, YardstickEntry
from ganbench.leaderboards.ranking import centre_of
from ganbench.leaderboards.rows import Part, Row
from ganbench.leaderboards.statistics import LOW_N, NOTHING, Summary
from ganbench.leaderboards.table import KIMG_TO_TARGET, SECONDS_TO_TARGET, Table

DASH = "–"
SEED_SD, EVALUATION_SD = "seed sd", "eval sd"
NOT_BEATEN, DOUBTED, OWN, HERE = "‡", "§", "~", "»"


class ScoreOf(NamedTuple):
    """The key of a score column: the full name of the score. The key of any other column is its heading."""

    name: str


Key = str | ScoreOf


def number(value: float) -> str:
    """About three significant digits: ``0.712``, ``9.60``, ``54.3``, ``1043``; whole numbers as they are."""
    size = abs(value)
    if size < NOTHING:
        return "0"
    if size < 1e-3 or size >= 1e7:
        return f"{value:.1e}"
    whole = value == round(value)
    return _fixed(value, 0 if whole or size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3)


def interval(summary: Summary) -> str:
    """``0.712 [0.64, 0.78]``, with as many digits as the width of the interval justifies."""
    if summary.low is None or summary.high is None:
        return number(summary.centre)
    half = max(summary.centre - summary.low, summary.high - summary.centre)
    if half < NOTHING:
        return f"{number(summary.centre)} [{number(summary.low)}, {number(summary.high)}]"
    if half < 1e-5 or half >= 1e7:
        return f"{summary.centre:.3g} [{summary.low:.3g}, {summary.high:.3g}]"
    digits, ends = 1 - math.floor(math.log10(half)), -math.floor(math.log10(half / 2))
    first = -math.floor(math.log10(summary.low)) if summary.log else 0  # a positive low end must not read 0
    low, high = _fixed(summary.low, max(0, ends, first)), _fixed(summary.high, max(0, ends))
    return f"{_fixed(summary.centre, max(0, digits))} [{low}, {high}]"


def extremes(summary: Summary) -> str:
    """``17.4 (0.9 to 65.7)``: the median, and the smallest and the largest value."""
    if summary.n < 2:
        return number(summary.centre)
    return f"{number(summary.median)} ({number(min(summary.values))} to {number(max(summary.values))})"


def count(value: float | None) -> str:
    """``99k``, ``3.4k``, ``1.2M``."""
    if value is None:
        return DASH
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.{1 if value < 10 * unit else 0}f}{name}"
    return f"{value:.0f}"


def _fixed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def headings_of(table: Table, part: Part, *, noises: bool = True) -> dict[Key, str]:
    """Column -> its heading in one part of the table; ``noises`` adds the noise between seeds and evaluations."""
    scores: dict[Key, str] = {ScoreOf(name): table.label(name) for name in table.shown}
    device = ["device"] if len(table.machines) > 1 else []
    rank = [] if part in ("custom", "edited", "external") else ["rank"]
    sds = [SEED_SD, EVALUATION_SD] if noises else []
    before, after = [*rank, "arch", "loss"], [*sds, *table.extras, "samples/s", "params G/D", "D norm", "ok", *device]
    return {**{key: key for key in before}, **scores, **{key: key for key in after}}


def is_number(table: Table, key: Key) -> bool:
    """Whether a column is right-aligned."""
    numbers = ("rank", "samples/s", "params G/D", SEED_SD, EVALUATION_SD, *table.extras)
    return isinstance(key, ScoreOf) or key in numbers


def cells_of(table: Table, row: Row, *, intervals: bool = True) -> dict[Key, str]:
    """The text for every heading; without ``intervals``, numbers alone."""
    scores: dict[Key, str] = {ScoreOf(name): _score(table, row, name, intervals) for name in table.shown}
    noises = _noises(table, row)
    if isinstance(row.entry, YardstickEntry):
        return {"arch": row.entry.name, "loss": "yardstick", **scores, **noises, "ok": str(row.ok)}
    if isinstance(row.entry, ExternalEntry):
        model = row.entry.model + (DOUBTED if row.doubts else "")
        return {"rank": DASH, "arch": model, "loss": "external", **scores, **noises, "ok": row.verdict}
    low_n = "†" if 0 < row.ok < LOW_N else ""
    arch, loss, *tricks = map(table.component, row.entry.players)
    more = [*(f"+{trick}" for trick in tricks), *(f"{name}={value}" for name, value in row.entry.changes)]
    return {
        "rank": row.kind if row.kind in ("custom", "edited") else str(row.rank or DASH),
        "arch": arch + (NOT_BEATEN if row.not_beaten else ""),
        "loss": " ".join([loss, *more]),
        **scores,
        **noises,
        table.best_label: number(centre_of(row, row.best.score)) if row.best else DASH,
        KIMG_TO_TARGET: _to_target(row, row.reached.kimg) if row.reached else DASH,
        SECONDS_TO_TARGET: _own(row, _to_target(row, row.reached.seconds)) if row.reached else DASH,
        "samples/s": _own(row, f"{row.costs['samples/s']:.0f}") if "samples/s" in row.costs else DASH,
        "params G/D": "/".join(count(row.costs.get(name)) for name in ("params_g", "params_d")),
        "D norm": row.d_norm or DASH,
        "ok": row.verdict + low_n,
        "device": " + ".join(row.machines) or DASH,
    }


def _score(table: Table, row: Row, name: str, intervals: bool) -> str:
    """A mean, or the median of a row with failed or collapsed seeds.

    The headline and the columns chosen by the user also show the interval or the extremes.
    """
    if name not in row.scores:
        return DASH
    summary, text = row.scores[name], number(centre_of(row, row.scores[name]))
    if intervals and (table.chosen or name == table.headline):
        text = extremes(summary) if row.trouble else interval(summary)
    return text if summary.n == row.ok else f"{text} ({summary.n}/{row.ok})"


def _noises(table: Table, row: Row) -> dict[Key, str]:
    """The headline's standard deviations between seeds, and between evaluations of one run."""
    summary, judging = row.scores.get(table.headline), row.noise.get(table.headline)
    seeds = summary.sd if summary else None
    return {SEED_SD: _known(seeds), EVALUATION_SD: _known(judging)}


def _known(value: float | None) -> str:
    return DASH if value is None else f"{value:.2g}" if value >= NOTHING else "0"


def _own(row: Row, text: str) -> str:
    """Mark a figure that the runs measured themselves; one that was timed alone has no mark."""
    return text if row.timing or text.startswith(DASH) else f"{OWN}{text}"


def _to_target(row: Row, median: float | None) -> str:
    """``32``, ``32 (4/5)`` if not every run reached the target, a dash if most did not."""
    reached = row.reached
    if reached is None or median is None or not reached.hits:
        return DASH
    some = f" ({reached.hits}/{reached.runs})" if reached.hits < reached.runs else ""
    return (number(median) if math.isfinite(median) else DASH) + some
