"""The cells of a table as text, for every format: numbers, intervals, headings, footnotes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ganbench.leaderboards.rows import Kind, Row
from ganbench.leaderboards.statistics import LOW_N, Summary
from ganbench.leaderboards.table import HEADINGS, KIMG_TO_TARGET, SECONDS_TO_TARGET, Table, short_name

DASH = "–"


NOTHING = 1e-12
"""Anything smaller is rounding error, such as the distance of a set from itself."""


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
    """``0.712 [0.64, 0.78]``: with as many digits as the width of the interval makes meaningful."""
    if summary.low is None or summary.high is None:
        return number(summary.mean)
    half = max(summary.mean - summary.low, summary.high - summary.mean)
    if half < NOTHING:
        return f"{number(summary.mean)} [{number(summary.low)}, {number(summary.high)}]"
    if half < 1e-5 or half >= 1e7:
        return f"{summary.mean:.3g} [{summary.low:.3g}, {summary.high:.3g}]"
    digits, ends = 1 - math.floor(math.log10(half)), -math.floor(math.log10(half / 2))
    low, high = _fixed(summary.low, max(0, ends)), _fixed(summary.high, max(0, ends))
    return f"{_fixed(summary.mean, max(0, digits))} [{low}, {high}]"


def count(value: float | None) -> str:
    """``99k``, ``3.4k``, ``1.2M``."""
    if value is None:
        return DASH
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.{1 if value < 10 * unit else 0}f}{name}"
    return f"{value:.0f}"


def _fixed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def headings_of(table: Table, kind: Kind) -> dict[str, str]:
    """Column -> its heading in one block of the table."""
    scores = {f"score {name}": _heading(table, name) for name in table.shown}
    if kind == "yardstick":
        return {"arch": "yardstick", **scores, "ok": "draws"}
    device = ["device"] if len(table.machines) > 1 else []
    rank = ["rank"] if kind == "entry" else []
    names = [*rank, "arch", "loss", *scores, *table.extras, "images/s", "params G/D", "D norm", "ok", *device]
    return {name: scores.get(name, name) for name in names}


def is_number(key: str) -> bool:
    numbers = ("rank", "images/s", "params G/D", KIMG_TO_TARGET, SECONDS_TO_TARGET)
    return key.startswith(("score ", "best ")) or key in numbers


def _heading(table: Table, column: str) -> str:
    label = table.label(column)
    short = HEADINGS.get(label, label)
    return label if short in table.columns else short


def cells_of(table: Table, row: Row) -> dict[str, str]:
    """A text for every heading."""
    scores = {f"score {name}": _score(table, row, name) for name in table.shown}
    if row.kind == "yardstick":
        return {"arch": row.entry.yardstick, **scores, "ok": str(row.ok)}
    low_n = "†" if 0 < row.ok < LOW_N else ""
    more = [*(f"+{trick}" for trick in table.tricks(row)), *(f"{name}={value}" for name, value in row.entry.changes)]
    return {
        "rank": row.kind if row.kind in ("custom", "edited") else str(row.rank or DASH),
        "arch": table.part(row, "arch"),
        "loss": " ".join([table.part(row, "loss"), *more]),
        **scores,
        table.best_label: _mean(row, row.best.score) if row.best else DASH,
        KIMG_TO_TARGET: _to_target(row, row.reached.kimg) if row.reached else DASH,
        SECONDS_TO_TARGET: _to_target(row, row.reached.seconds) if row.reached else DASH,
        "images/s": f"{row.costs['images/s']:.0f}" if "images/s" in row.costs else DASH,
        "params G/D": "/".join(count(row.costs.get(name)) for name in ("params_g", "params_d")),
        "D norm": row.d_norm or DASH,
        "ok": row.verdict + low_n,
        "device": " + ".join(row.machines) or DASH,
    }


def _score(table: Table, row: Row, name: str) -> str:
    """A mean, with its interval in headline and chosen columns; in parentheses if runs failed."""
    if name not in row.scores:
        return DASH
    detailed = table.chosen or name == table.headline
    text = interval(row.scores[name]) if detailed and not row.failures else _mean(row, row.scores[name])
    return text if row.scores[name].n == row.ok else f"{text} ({row.scores[name].n}/{row.ok})"


def _mean(row: Row, summary: Summary) -> str:
    return f"({number(summary.mean)})" if row.failures else number(summary.mean)


def _to_target(row: Row, median: float | None) -> str:
    """``32``, ``32 (4/5)`` if not every run got there, a dash if most did not."""
    reached = row.reached
    if reached is None or median is None or not reached.hits:
        return DASH
    some = f" ({reached.hits}/{reached.runs})" if reached.hits < reached.runs else ""
    return (number(median) if math.isfinite(median) else DASH) + some


def _how_ranked(table: Table) -> str:
    better = {"max": "higher is better", "min": "lower is better", "info": "no direction"}[table.goal]
    scale = " on the log scale" if table.log else ""
    return (
        f"rank: 1 + the number of entries with a significantly better {table.label(table.headline)} ({better}; "
        f"Welch's t-test over seeds{scale}, Holm, 5 %); equal ranks are ties"
    )


def footnotes_of(table: Table, dropped: Sequence[str] = ()) -> list[str]:
    """Explanations of the cells, without failures and notes, and without extra columns that were dropped."""
    notes = [_how_ranked(table), "in brackets: Student-t 95 % interval of the mean over seeds"]
    spaces: dict[str, list[str]] = defaultdict(list)
    for name in table.shown:
        if "@" in name:
            spaces[name.partition("@")[2]].append(short_name(name))
    notes += [f"{', '.join(names)}: in the feature space of {space}" for space, names in spaces.items()]
    notes += _about_extras(table, [name for name in table.extras if name not in dropped])
    if len(table.machines) == 1:
        notes.append(f"images/s: real images shown to D per second of training, on {table.machines[0]}")
    elif table.machines:
        notes.append("images/s: real images shown to D per second of training; never compare it across devices")
    if any(row.failures for row in table.rows):
        notes.append("in parentheses: mean of the surviving runs; an entry with failures ranks below all complete ones")
    if any(row.missing for row in table.rows):
        notes.append("missing: seeds without a finished run; until they have one, the entry has no rank")
    if any(0 < row.ok < LOW_N for row in table.rows if row.kind != "yardstick"):
        notes.append(f"†: fewer than {LOW_N} runs, so intervals are wide and ties likely; a single run has no rank")
    return notes


def _about_extras(table: Table, extras: Sequence[str]) -> list[str]:
    """Explanations of the columns that only some tables have."""
    notes = []
    if table.best_label in extras:
        all_data = table.protocol is not None and table.protocol.evaluation.reference == "all"
        where = "all data, the selection split included" if all_data else "the reporting split"
        notes.append(
            f"{table.best_label}: of the best generator during training, chosen on the selection split with latents of "
            f"its own and scored on {where}; not used for ranks"
        )
    if {KIMG_TO_TARGET, SECONDS_TO_TARGET} & {*extras}:
        reached = f"{table.label(table.headline)} {'>=' if table.goal == 'max' else '<='} {table.target or 0:g}"
        notes.append(
            f"to target: until the first look (on the selection split) with {reached}, median over seeds; (4/5) means "
            f"that one of five never gets there and counts as infinite. {SECONDS_TO_TARGET} is a timing; never compare "
            "it across machines"
        )
    return notes


def plural(things: Sequence[Any], noun: str) -> str:
    return f"{len(things)} {noun}{'s' * (len(things) != 1)}"
