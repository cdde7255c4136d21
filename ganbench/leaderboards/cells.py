"""The cells of a table as text, for every format: numbers, intervals, headings, footnotes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from ganbench.contracts.score_name import ScoreName
from ganbench.leaderboards.entries import RunEntry, YardstickEntry
from ganbench.leaderboards.ranking import centre_of
from ganbench.leaderboards.rows import Part, Row
from ganbench.leaderboards.statistics import LOW_N, NOTHING, Summary
from ganbench.leaderboards.table import KIMG_TO_TARGET, SECONDS_TO_TARGET, Table

DASH = "–"
SEED_SD, EVALUATION_SD = "seed sd", "eval sd"
NOT_BEATEN, OWN = "‡", "~"


class ScoreOf(NamedTuple):
    """The key of a column of scores, by their name in full; other columns are known by their headings."""

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
    """``0.712 [0.64, 0.78]``: with as many digits as the width of the interval makes meaningful."""
    if summary.low is None or summary.high is None:
        return number(summary.centre)
    half = max(summary.centre - summary.low, summary.high - summary.centre)
    if half < NOTHING:
        return f"{number(summary.centre)} [{number(summary.low)}, {number(summary.high)}]"
    if half < 1e-5 or half >= 1e7:
        return f"{summary.centre:.3g} [{summary.low:.3g}, {summary.high:.3g}]"
    digits, ends = 1 - math.floor(math.log10(half)), -math.floor(math.log10(half / 2))
    first = -math.floor(math.log10(summary.low)) if summary.log else 0  # a positive low end is not to read 0
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
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.{1 if value < 10 * unit else 0}f}{name}"
    return f"{value:.0f}"


def _fixed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def headings_of(table: Table, part: Part, *, noises: bool = True) -> dict[Key, str]:
    """Column -> its heading in one part of the table; ``noises`` adds those of seeds and of evaluations."""
    scores: dict[Key, str] = {ScoreOf(name): table.label(name) for name in table.shown}
    device = ["device"] if len(table.machines) > 1 else []
    rank = [] if part in ("custom", "edited") else ["rank"]
    sds = [SEED_SD, EVALUATION_SD] if noises else []
    before, after = [*rank, "arch", "loss"], [*sds, *table.extras, "images/s", "params G/D", "D norm", "ok", *device]
    return {**{key: key for key in before}, **scores, **{key: key for key in after}}


def is_number(table: Table, key: Key) -> bool:
    """Whether a column is aligned to the right."""
    numbers = ("rank", "images/s", "params G/D", SEED_SD, EVALUATION_SD, *table.extras)
    return isinstance(key, ScoreOf) or key in numbers


def cells_of(table: Table, row: Row) -> dict[Key, str]:
    """A text for every heading."""
    scores: dict[Key, str] = {ScoreOf(name): _score(table, row, name) for name in table.shown}
    noises = _noises(table, row)
    if isinstance(row.entry, YardstickEntry):
        return {"arch": row.entry.name, "loss": "yardstick", **scores, **noises, "ok": str(row.ok)}
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
        "images/s": _own(row, f"{row.costs['images/s']:.0f}") if "images/s" in row.costs else DASH,
        "params G/D": "/".join(count(row.costs.get(name)) for name in ("params_g", "params_d")),
        "D norm": row.d_norm or DASH,
        "ok": row.verdict + low_n,
        "device": " + ".join(row.machines) or DASH,
    }


def _score(table: Table, row: Row, name: str) -> str:
    """A mean, or the median of a row with failed or collapsed seeds.

    In headline and chosen columns, the interval or the extremes follow.
    """
    if name not in row.scores:
        return DASH
    summary, text = row.scores[name], number(centre_of(row, row.scores[name]))
    if table.chosen or name == table.headline:
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
    """A figure of the runs themselves is marked; one that was timed alone is not."""
    return text if row.timing or text.startswith(DASH) else f"{OWN}{text}"


def _to_target(row: Row, median: float | None) -> str:
    """``32``, ``32 (4/5)`` if not every run got there, a dash if most did not."""
    reached = row.reached
    if reached is None or median is None or not reached.hits:
        return DASH
    some = f" ({reached.hits}/{reached.runs})" if reached.hits < reached.runs else ""
    return (number(median) if math.isfinite(median) else DASH) + some


def _how_ranked(table: Table) -> list[str]:
    label = table.label(table.headline)
    better = {"max": "higher is better", "min": "lower is better", "info": "no direction"}[table.goal]
    scale = " of the logarithms" if table.log else ""
    logs = [table.label(name) for name in table.shown if name in table.logs]
    plain = [table.label(name) for name in table.shown if name not in table.logs]
    means = [f"{', '.join(logs)}: geometric mean over seeds"] if logs else []
    means += [f"{', '.join(plain)}: mean over seeds"] if plain else []
    ranked = [
        f"rank: from 1 + the number of rows with a significantly better {label} to the number of all rows less those "
        f"with a significantly worse one ({better}; Welch's t-test{scale}, Holm over all pairs, 5 %)"
    ]
    bracket = "; in brackets: its Student-t 95 % interval, on the scale of the test" if len(table.seeds) > 1 else ""
    return [*(ranked if any(row.rank for row in table.rows) else []), f"{'; '.join(means)}{bracket}"]


def footnotes_of(table: Table, dropped: Sequence[Key] = (), *, noises: bool = True) -> list[str]:
    """Explanations of the cells, without failures and notes, and without columns that were dropped."""
    notes = _how_ranked(table)
    spaces: dict[str, list[str]] = defaultdict(list)
    for name in map(ScoreName.of, table.shown):
        if name.extractor:
            spaces[name.extractor].append(name.column)
    notes += [f"{', '.join(names)}: in the feature space of {space}" for space, names in spaces.items()]
    if noises:
        label = table.label(table.headline)
        notes.append(f"{SEED_SD}, {EVALUATION_SD}: sd of {label} between seeds, and between evaluations of one run")
    notes += _about_extras(table, [name for name in table.extras if name not in dropped])
    return notes + _about_speed(table) + _about_rows(table)


def _about_speed(table: Table) -> list[str]:
    trained = [row for row in table.rows if row.records and isinstance(row.entry, RunEntry)]
    own = [row for row in trained if "images/s" in row.costs and not row.timing]
    notes = []
    if table.timed_on:
        sessions = len({row.timing.started for row in table.rows if row.timing})
        apart = f", in {sessions} sessions, between which speeds compare less well" if sessions > 1 else ""
        notes.append(f"images/s: real images shown to D per second, each row timed alone on {table.timed_on}{apart}")
    if own:
        elsewhere = all(record.environment.cuda for row in own for record in row.records)
        clock = "wall time, alone on its device" if elsewhere else "the run's own CPU time"
        where = f", on {table.machines[0]}" if len(table.machines) == 1 else "; never compare it across machines"
        notes.append(f"{OWN}: by {clock}; images/s: real images shown to D per second{where}")
    if len(own) + sum(bool(row.timing) for row in trained) < len(trained):
        notes.append(f"images/s {DASH}: the records hold no CPU time, or the seeds ran on several machines")
    return notes


def _about_rows(table: Table) -> list[str]:
    """Explanations of the marks and of the parts of the table."""
    notes = []
    for name in sorted({row.not_beaten for row in table.rows if row.not_beaten}):
        notes.append(
            f"{NOT_BEATEN}: not significantly better than {name} (Welch, Holm over the rows, 5 %), or, where there is "
            "no test, not better by the median"
        )
    if any(row.trouble for row in table.rows):
        below = " They stand below all complete rows, untested: that is a rule, not a finding"
        notes.append(
            "rows with a failed or collapsed seed: median (smallest to largest) of the runs with a score."
            + (below if table.rows_of("unstable") else "")
        )
    if any(row.missing for row in table.rows):
        notes.append("missing: seeds without a finished run; until they have one, the entry has no rank")
    if any(0 < row.ok < LOW_N for row in table.rows if isinstance(row.entry, RunEntry)):
        notes.append(f"†: fewer than {LOW_N} runs, so intervals and ranges are wide; a single run has no rank")
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
            f"to target: until the first look (on the selection split) with {reached}, median over seeds; a seed that "
            "never gets there counts as infinite, and (4/5) tells how many do get there"
        )
    return notes
