"""Leaderboards: records -> statistics -> tables, from records and nothing else.

``build`` sorts records into rows, judges which rows differ, and says what it left out and why. The renderers
below it only write down what a ``Table`` holds: the same records give the same bytes, whatever their order and
the day.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from ganbench.contracts import Goal
from ganbench.errors import GanbenchError, RecordError
from ganbench.protocol import Protocol
from ganbench.record import FINISHED, Column, Record, entry_name, read, read_all, write, write_atomically
from ganbench.statistics import LOW_N, Summary, on_log_scale, pooled_sd, ranks, summarise

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table as RichTable

Kind = Literal["entry", "custom", "yardstick"]
KINDS: tuple[Kind, ...] = ("entry", "custom", "yardstick")
USUAL = ("fid", "is", "modes_covered", "coverage")
"""Scores shown beside the headline where nobody chose."""
HEADINGS = {"modes_covered": "modes"}
DASH = "–"


# -- rows ----------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """What the records of one row have in common."""

    yardstick: str
    arch: str
    loss: str
    arch_package: str
    loss_package: str
    changes: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """``dcgan+wgan-gp``, with changes, or a yardstick's name."""
        return self.yardstick or entry_name(self.arch, self.loss, dict(self.changes))


def entry_of(record: Record) -> Entry:
    """The row a record belongs to; components of the same name from two packages are two rows."""
    if record.yardstick:
        return Entry(record.yardstick, "", "", "", "", ())
    arch, loss = record.arch, record.loss
    return Entry(
        "",
        arch.name if arch else "?",
        loss.name if loss else "?",
        arch.package if arch else "?",
        loss.package if loss else "?",
        tuple(sorted(record.changes.items())),
    )


@dataclass(frozen=True)
class Row:
    """One entry, custom run or yardstick over its seeds.

    ``records`` are the finished ones, one per seed; ``missing`` are the protocol's seeds that have none.
    ``scores`` sums up the runs that ended well, ``noise`` is the sd between evaluations of one run, ``costs``
    are medians over seeds (no timings where the seeds ran on several machines).
    """

    entry: Entry
    records: tuple[Record, ...]
    missing: tuple[int, ...]
    scores: dict[str, Summary]
    noise: dict[str, float]
    costs: dict[str, float]
    machines: tuple[str, ...]
    rank: int | None = None
    here: bool = False

    @property
    def kind(self) -> Kind:
        if self.entry.yardstick:
            return "yardstick"
        return "custom" if self.entry.changes else "entry"

    @cached_property
    def failures(self) -> tuple[Record, ...]:
        return tuple(record for record in self.records if record.status != "ok")

    @property
    def ok(self) -> int:
        return len(self.records) - len(self.failures)

    @property
    def seeds(self) -> int:
        """How many runs there should be."""
        return len(self.records) + len(self.missing)

    @property
    def d_norm(self) -> str:
        """How D was normalised, as it was built."""
        return ", ".join(sorted({record.d_norm for record in self.records if record.d_norm}))

    @property
    def tier(self) -> tuple[int, int]:
        """Complete rows stand before rows with failures, those before rows that lack runs."""
        return (2 if self.missing else 1 if self.failures else 0), -self.ok if self.failures or self.missing else 0

    @property
    def verdict(self) -> str:
        """``5/5``, ``3/5 (2 diverged)``, ``3/5 (2 missing)``"""
        wrong = Counter(record.status for record in self.failures)
        reasons = [f"{count} {status}" for status, count in sorted(wrong.items())]
        reasons += [f"{len(self.missing)} missing"] if self.missing else []
        return f"{self.ok}/{self.seeds}" + (f" ({', '.join(reasons)})" if reasons else "")


def _positive(values: Iterable[float]) -> float | None:
    known = [value for value in values if value > 0]
    return median(known) if known else None


class _Cost(NamedTuple):
    goal: Goal
    of: Callable[[Record], float]
    timing: bool = True


COSTS: dict[str, _Cost] = {
    "images/s": _Cost("max", lambda record: record.speed.train),
    "samples/s": _Cost("max", lambda record: record.speed.sample),
    "step_ms": _Cost("min", lambda record: record.speed.step_ms),
    "memory_mb": _Cost("min", lambda record: record.speed.peak_memory_mb, timing=False),
    "params_g": _Cost("min", lambda record: record.parameters.get("G", 0), timing=False),
    "params_d": _Cost("min", lambda record: record.parameters.get("D", 0), timing=False),
    "kimg": _Cost("max", lambda record: record.cost.images / 1000, timing=False),
    "train_s": _Cost("min", lambda record: record.cost.train_seconds),
}
"""The runner's columns (images shown to D per second, images generated per second ...): medians."""


def machine_of(record: Record) -> str:
    """Within which timings may be compared."""
    where = record.environment
    threads = "" if where.cuda else f", {where.threads} thread{'s' * (where.threads != 1)}"
    return f"{where.device}{threads}" + (f", {where.precision}" if where.precision != "float32" else "")


def _row(entry: Entry, records: Iterable[Record], columns: Mapping[str, Column], seeds: Sequence[int]) -> Row:
    finished = tuple(sorted((r for r in records if r.status in FINISHED), key=lambda r: r.seed))
    there = {record.seed for record in finished}
    well = [record for record in finished if record.status == "ok"]
    scores, noise = {}, {}
    for name, column in columns.items():
        values = [record.scores[name] for record in well if name in record.scores]
        if values:
            scores[name] = summarise(values, column.low, column.high)
        spread = pooled_sd([draw[name] for draw in record.draws if name in draw] for record in well)
        if spread is not None:
            noise[name] = spread
    machines = tuple(sorted({machine_of(record) for record in finished}))
    costs = {
        name: value
        for name, cost in COSTS.items()
        if (len(machines) == 1 or not cost.timing)
        and (value := _positive(cost.of(record) for record in well or finished)) is not None
    }
    missing = () if entry.yardstick else tuple(seed for seed in seeds if seed not in there)
    return Row(entry, finished, missing, scores, noise, costs, machines)


# -- the table -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """One protocol's leaderboard.

    ``headline`` and the keys of ``columns`` are names in full (``fid@digits-cnn:1a2b3c4d``). ``shown`` are the
    score columns for the terminal and Markdown, ``chosen`` whether somebody chose them. ``rows`` holds every
    row in the order asked for; ``left_out`` and ``notes`` are sentences.
    """

    name: str
    digest: str
    protocol: Protocol | None
    seeds: tuple[int, ...]
    headline: str
    columns: dict[str, Column]
    shown: tuple[str, ...]
    chosen: bool
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    def block(self, kind: Kind) -> list[Row]:
        """The rows of one kind: entries are ranked, yardsticks and custom runs never."""
        return [row for row in self.rows if row.kind == kind]

    def label(self, column: str) -> str:
        """``fid`` for ``fid@digits-cnn:1a2b3c4d``; in full where two columns would share the short name."""
        return self._labels.get(column, column)

    @cached_property
    def _labels(self) -> dict[str, str]:
        taken = Counter(map(_base, self.columns))
        return {name: _base(name) if taken[_base(name)] == 1 else name for name in self.columns}

    @property
    def goal(self) -> Goal:
        """The headline's direction."""
        column = self.columns.get(self.headline)
        return column.goal if column else "info"

    @cached_property
    def machines(self) -> tuple[str, ...]:
        """Where the trained rows ran."""
        return tuple(sorted({machine for row in self.rows if not row.entry.yardstick for machine in row.machines}))

    @property
    def log(self) -> bool:
        """Whether entries were compared on the log scale."""
        column = self.columns.get(self.headline)
        groups = [r.scores[self.headline].values for r in self.block("entry") if _competes(r, self.headline)]
        return on_log_scale(groups, column is not None and column.log)

    @property
    def failures(self) -> list[str]:
        """``dcgan+wgan: 2/5 diverged: d_loss is not finite at iteration 120``"""
        sentences = []
        for row in self.rows:
            for status in sorted({record.status for record in row.failures}):
                failed = [record for record in row.failures if record.status == status]
                reasons = list(dict.fromkeys(_one_line(record.reason) for record in failed if record.reason))
                more = f" (and {len(reasons) - 2} other reasons)" if len(reasons) > 2 else ""
                told = f": {'; '.join(reasons[:2])}{more}" if reasons else ""
                sentences.append(f"{self.title(row)}: {len(failed)}/{row.seeds} {status}{told}")
        return sentences

    def title(self, row: Row) -> str:
        """A row's name in a sentence."""
        if row.entry.yardstick:
            return row.entry.yardstick
        return entry_name(self.part(row, "arch"), self.part(row, "loss"), dict(row.entry.changes))

    def part(self, row: Row, kind: Literal["arch", "loss"]) -> str:
        """The row's arch or loss, its package in front where several packages have one of that name."""
        name, package = getattr(row.entry, kind), getattr(row.entry, f"{kind}_package")
        return f"{package}:{name}" if len(self._packages[kind, name]) > 1 else name

    @cached_property
    def _packages(self) -> dict[tuple[str, str], set[str]]:
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for row in self.rows:
            for kind in ("arch", "loss"):
                found[kind, getattr(row.entry, kind)].add(getattr(row.entry, f"{kind}_package"))
        return found


def build(
    records: Iterable[Record],
    protocol: Protocol | None = None,
    *,
    sort: str = "",
    metrics: Sequence[str] = (),
    here: Collection[Place] = (),
) -> Table:
    """The table of one protocol.

    Args:
        records: of that protocol; what does not belong is left out and counted.
        protocol: whose digest and seeds count; without it (its plugin is missing) those of most records do.
        sort: a column to sort by, ``fid`` or ``images/s``; the headline where empty.
        metrics: score columns to show beside the headline instead of the usual ones.
        here: rows to mark as made on this machine (``merge`` returns them).

    Raises:
        GanbenchError: no such column, or there is neither a record nor a protocol.
    """
    kept, left_out = _select(list(records), protocol)
    if not kept and protocol is None:
        raise GanbenchError("there are no records to make a table of", "run something first: ganbench run --help")
    seeds = protocol.seeds if protocol else tuple(sorted({r.seed for r in kept if not r.yardstick}))
    columns = _columns(kept)
    wanted = protocol.evaluation.headline if protocol else kept[0].headline
    headline = next((name for name in columns if wanted in (name, _base(name))), wanted)
    groups: dict[Entry, list[Record]] = {}
    for record in kept:
        groups.setdefault(entry_of(record), []).append(record)
    rows = [
        replace(_row(entry, group, columns, seeds), here=_place(group[0]) in here) for entry, group in groups.items()
    ]
    rows = _ranked(rows, headline, columns.get(headline), len(seeds))
    table = Table(
        name=protocol.name if protocol else kept[0].protocol,
        digest=protocol.digest if protocol else kept[0].digest,
        protocol=protocol,
        seeds=seeds,
        headline=headline,
        columns=columns,
        shown=(headline, *_shown(columns, headline, metrics)),
        chosen=bool(metrics),
        rows=tuple(rows),
        left_out=tuple(left_out),
        notes=tuple(_notes(kept)),
    )
    return _sorted(table, sort or headline)


def _base(column: str) -> str:
    return column.partition("@")[0]


def _columns(records: Sequence[Record]) -> dict[str, Column]:
    """Every score column, in the order of the protocol's metrics."""
    found: dict[str, Column] = {}
    for record in records:
        for name, column in record.columns.items():
            found.setdefault(name, column)
    return found


def _shown(columns: Mapping[str, Column], headline: str, metrics: Sequence[str]) -> list[str]:
    """Score columns beside the headline: those chosen, else the usual ones, else the protocol's first few."""
    if metrics:
        chosen = [name for metric in metrics for name in _resolve(columns, metric)]
    else:
        chosen = [name for usual in USUAL for name in columns if _base(name) == usual]
        if not {"fid", "is"} & {_base(name) for name in columns}:
            chosen = [name for name, column in columns.items() if column.goal != "info"][:5]
    return [name for name in dict.fromkeys(chosen) if name != headline]


def _resolve(columns: Mapping[str, Column], asked: str, others: Iterable[str] = ()) -> list[str]:
    """Columns called ``asked``, in full, in short, or as their heading.

    Raises:
        GanbenchError: there is none.
    """
    found = [n for n in columns if asked == n] or [n for n in columns if asked in (_base(n), HEADINGS.get(_base(n)))]
    if found:
        return found
    known = list(dict.fromkeys([*map(_base, columns), *others]))
    close = get_close_matches(asked, known, 1, 0.5)
    meant = f" - did you mean '{close[0]}'?" if close else ""
    raise GanbenchError(f"no column called '{asked}'{meant}", f"columns: {', '.join(known) or 'none'}")


def _competes(row: Row, headline: str) -> bool:
    """Ranks are for complete entries in which every seed has the headline's score."""
    return row.kind == "entry" and headline in row.scores and row.scores[headline].n == row.seeds


def _ranked(rows: Sequence[Row], headline: str, column: Column | None, seeds: int) -> list[Row]:
    """Give ranks: complete entries by significance; those with failures share the rank below all of them."""
    rivals = [row for row in rows if _competes(row, headline)]
    if column is None or column.goal == "info" or not rivals or seeds < 2:
        return list(rows)
    given = ranks([row.scores[headline].values for row in rivals], column.goal, column.log)
    rank_of = {row.entry: rank for row, rank in zip(rivals, given, strict=True)}
    rank_of |= {row.entry: len(rivals) + 1 for row in rows if row.kind == "entry" and row.tier[0] == 1}
    return [replace(row, rank=rank_of.get(row.entry)) for row in rows]


def _sorted(table: Table, by: str) -> Table:
    """Entries, custom runs, yardsticks; complete rows first; then by a column, the better before the worse."""
    value = _sort_value(table, by)

    def key(row: Row) -> tuple[Any, ...]:
        place = value(row)
        return KINDS.index(row.kind), row.tier, place is None, place or ()

    return replace(table, rows=tuple(sorted(table.rows, key=key)))  # what is equal stays in the order of names


def _sort_value(table: Table, by: str) -> Callable[[Row], tuple[Any, ...] | None]:
    """What a row is sorted by. Timings sort within machines only."""
    if by in ("arch", "loss"):
        return lambda row: (getattr(row.entry, by),)
    if by == "rank":
        return lambda row: None if row.rank is None else (row.rank,)
    if by in COSTS:
        sign, timing = (-1 if COSTS[by].goal == "max" else 1), COSTS[by].timing
        return lambda row: (row.machines if timing else (), sign * row.costs[by]) if by in row.costs else None
    if by == table.headline and by not in table.columns:
        return lambda row: None
    name = _resolve(table.columns, by, ["rank", "arch", "loss", *COSTS])[0]
    sign = -1 if table.columns[name].goal == "max" else 1
    return lambda row: (sign * row.scores[name].mean,) if name in row.scores else None


# -- which records count -------------------------------------------------------------------------------------


def _select(records: list[Record], protocol: Protocol | None) -> tuple[list[Record], list[str]]:
    """The records that may share a table, sorted, one per entry and seed; and what was left out."""
    left_out: list[str] = []

    def keep(those: Iterable[Record], total: int, why: str) -> list[Record]:
        kept = list(those)
        if len(kept) < total:
            gone = total - len(kept)
            left_out.append(f"{gone} record{'s' * (gone != 1)} {why} left out")
        return kept

    digest = protocol.digest if protocol else _most_common(record.digest for record in records)
    records = keep((r for r in records if r.digest == digest), len(records), "of another protocol digest")
    judged = _most_common(_judgement(record) for record in records)
    why = "judged on other data or by another extractor"
    records = keep((r for r in records if _judgement(r) == judged), len(records), why)
    if protocol:
        seeds = set(protocol.seeds)
        inside = (r for r in records if r.yardstick or r.seed in seeds)
        records = keep(inside, len(records), "of seeds that the protocol does not have")
    skipped = {f"{r.entry}: skipped: {_one_line(r.reason)}" for r in records if r.status == "skipped"}
    records = [record for record in records if record.status != "skipped"]
    records = keep(_newest(records), len(records), "replaced by a newer one of the same entry and seed")
    return records, left_out + sorted(skipped)


def _most_common(values: Iterable[Any]) -> Any:
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value), default=None)


def _judgement(record: Record) -> tuple[str, str]:
    """Scores on other data, or in another feature space, are other quantities."""
    return record.dataset_hash, record.extractor


def _newest(records: Iterable[Record]) -> list[Record]:
    """One record per entry and seed, sorted by them: a finished one if there is one, then the latest."""
    by_run: dict[tuple[Entry, int], list[Record]] = defaultdict(list)
    for record in records:
        by_run[entry_of(record), record.seed].append(record)
    return [group[0] if len(group) == 1 else max(group, key=_recency) for _, group in sorted(by_run.items())]


def _recency(record: Record) -> tuple[bool, str, bytes]:
    return record.status in FINISHED, record.started, msgspec.json.encode(record)


Place = tuple[str, tuple[str, str], Entry]
"""The row of a table: protocol digest, judgement, entry."""


def _place(record: Record) -> Place:
    return record.digest, _judgement(record), entry_of(record)


def merge(local: Iterable[Record], published: Iterable[Record]) -> tuple[list[Record], frozenset[Place]]:
    """Records of this machine and published ones, and which rows are local.

    A row with finished local runs stands on these alone: its plugin may be another than the published one.
    """
    local = list(local)
    here = frozenset(_place(record) for record in local if record.status in FINISHED)
    return local + [record for record in published if _place(record) not in here], here


def _notes(records: Sequence[Record]) -> list[str]:
    """What a reader should know about where the numbers come from."""
    notes = []
    trained = [record for record in records if not record.yardstick]
    for what, of in (
        ("torch", lambda r: r.environment.torch),
        ("ganbench", lambda r: r.environment.ganbench),
        ("precision", lambda r: r.environment.precision),
    ):
        versions = sorted({of(record) for record in trained})
        if len(versions) > 1:
            notes.append(f"the runs differ in {what}: {', '.join(versions)}")
    dirty = sum(record.environment.dirty for record in records)
    if dirty:
        notes.append(f"{dirty} of {len(records)} records come from a checkout with uncommitted changes")
    judges: dict[str, set[str]] = defaultdict(set)
    sources: dict[tuple[Entry, str], set[str]] = defaultdict(set)
    for record in records:
        for name, metric in record.metrics.items():
            judges[name].add(f"{metric.package} {metric.version} {metric.source}")
        for kind, part in (("arch", record.arch), ("loss", record.loss)):
            sources[entry_of(record), kind].add(f"{part.version} {part.source}" if part else "")
    notes += [f"the metric {name} changed between runs: {len(s)} sources" for name, s in judges.items() if len(s) > 1]
    changed = sorted(key for key, found in sources.items() if len(found) > 1)
    notes += [f"{entry.name}: its {kind} changed between seeds" for entry, kind in changed]
    return notes


# -- numbers and cells ---------------------------------------------------------------------------------------


def number(value: float) -> str:
    """About three significant digits: ``0.712``, ``9.60``, ``54.3``, ``1043``; whole numbers as they are."""
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e7):
        return f"{value:.1e}"
    whole = value == round(value)
    return _fixed(value, 0 if whole or size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3)


def interval(summary: Summary) -> str:
    """``0.712 [0.64, 0.78]``: with the digits that the width of the interval gives a meaning to."""
    if summary.low is None or summary.high is None:
        return number(summary.mean)
    half = max(summary.mean - summary.low, summary.high - summary.mean)
    if half == 0:
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


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 160 else text[:159] + "…"


def _headings(table: Table, kind: Kind) -> dict[str, str]:
    """Column -> what stands above it in one block of the table."""
    scores = {f"score {name}": _heading(table, name) for name in table.shown}
    if kind == "yardstick":
        return {"arch": "yardstick", **scores, "ok": "draws"}
    device = ["device"] if len(table.machines) > 1 else []
    rank = ["rank"] if kind == "entry" else []
    names = [*rank, "arch", "loss", *scores, "images/s", "params G/D", "D norm", "ok", *device]
    return {name: scores.get(name, name) for name in names}


def _is_number(key: str) -> bool:
    return key.startswith("score ") or key in ("rank", "images/s", "params G/D")


def _heading(table: Table, column: str) -> str:
    label = table.label(column)
    short = HEADINGS.get(label, label)
    return label if short in table.columns else short


def _cells(table: Table, row: Row) -> dict[str, str]:
    """A text for every heading."""
    scores = {f"score {name}": _score(table, row, name) for name in table.shown}
    if row.kind == "yardstick":
        return {"arch": row.entry.yardstick, **scores, "ok": str(row.ok)}
    low_n = "†" if 0 < row.ok < LOW_N else ""
    changes = "".join(f" {name}={value}" for name, value in row.entry.changes)
    return {
        "rank": "custom" if row.kind == "custom" else str(row.rank or DASH),
        "arch": table.part(row, "arch"),
        "loss": table.part(row, "loss") + changes,
        **scores,
        "images/s": f"{row.costs['images/s']:.0f}" if "images/s" in row.costs else DASH,
        "params G/D": "/".join(count(row.costs.get(name)) for name in ("params_g", "params_d")),
        "D norm": row.d_norm or DASH,
        "ok": row.verdict + low_n,
        "device": " + ".join(row.machines) or DASH,
    }


def _score(table: Table, row: Row, name: str) -> str:
    """A mean, with its interval in headline and chosen columns; in parentheses where runs failed."""
    if name not in row.scores:
        return DASH
    if row.failures:
        return f"({number(row.scores[name].mean)})"
    detailed = table.chosen or name == table.headline
    return interval(row.scores[name]) if detailed else number(row.scores[name].mean)


def _how_ranked(table: Table) -> str:
    better = {"max": "higher is better", "min": "lower is better", "info": "no direction"}[table.goal]
    scale = " on the log scale" if table.log else ""
    return (
        f"rank: 1 + the number of entries with a significantly better {table.label(table.headline)} ({better}; "
        f"Welch's t-test over seeds{scale}, Holm, 5 %); equal ranks are ties"
    )


def _footnotes(table: Table) -> list[str]:
    """What the cells leave unsaid, failures and notes apart."""
    notes = [_how_ranked(table), "in brackets: Student-t 95 % interval of the mean over seeds"]
    spaces: dict[str, list[str]] = defaultdict(list)
    for name in table.shown:
        if "@" in name:
            spaces[name.partition("@")[2]].append(_base(name))
    notes += [f"{', '.join(names)}: in the feature space of {space}" for space, names in spaces.items()]
    if len(table.machines) == 1:
        notes.append(f"images/s: real images shown to D per second of training, on {table.machines[0]}")
    elif table.machines:
        notes.append("images/s: real images shown to D per second of training; never compare it across devices")
    if any(row.failures for row in table.rows):
        notes.append("in parentheses: mean of the surviving runs; an entry with failures ranks below all complete ones")
    if any(row.missing for row in table.rows):
        notes.append("missing: seeds that were not run to their end; without them an entry has no rank")
    if any(0 < row.ok < LOW_N for row in table.rows if row.kind != "yardstick"):
        notes.append(f"†: fewer than {LOW_N} runs: intervals are wide, ties likely; a single run has no rank")
    return notes


# -- terminal ------------------------------------------------------------------------------------------------


def to_rich(table: Table, width: int | None = None) -> RichTable:
    """For the terminal: entries, custom runs and yardsticks in blocks, and footnotes as the caption.

    Where ``width`` characters are too few for every column, the least telling ones go, and a footnote says so.
    """
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    cells = {row.entry: _cells(table, row) | {"here": "here" if row.here else ""} for row in table.rows}
    headings = _headings(table, "entry") | ({"here": ""} if any(row.here for row in table.rows) else {})
    widths = {key: _narrowest(table, key, text, cells.values()) for key, text in headings.items()}
    dropped = _too_many(widths, width)
    notes = [*_footnotes(table), *table.failures, *table.left_out, *table.notes]
    if dropped:
        gone = [text for key, text in headings.items() if key in dropped]
        notes.append(f"not shown for want of width: {', '.join(gone)}")
    title = Text(f"{table.name}, {_plural(table.seeds, 'seed')}, digest {table.digest}")
    caption = Text("\n".join(notes))
    shown = RichTable(title=title, caption=caption, title_justify="left", caption_justify="left")
    shown.box, shown.padding = box.SIMPLE_HEAD, (0, 1, 0, 0)
    keys = [key for key in headings if key not in dropped]
    for key in keys:
        side: Literal["left", "right"] = "right" if _is_number(key) else "left"
        fits = all(len(texts.get(key, "")) <= widths[key] for texts in cells.values())
        shown.add_column(Text(headings[key]), justify=side, min_width=widths[key], no_wrap=fits, overflow="fold")
    ends = {block[-1].entry for block in map(table.block, KINDS) if block}
    for row in table.rows:
        style = "dim" if row.failures else "italic" if row.kind == "yardstick" else ""
        texts = [Text(cells[row.entry].get(key, "")) for key in keys]
        shown.add_row(*texts, style=style, end_section=row.entry in ends)
    return shown


def _narrowest(table: Table, key: str, heading: str, cells: Iterable[Mapping[str, str]]) -> int:
    """Characters that a column needs; long names, changes and reasons may wrap."""
    texts = [heading, *(cell.get(key, "") for cell in cells)]
    if key == "loss":
        texts = [heading, *(table.part(row, "loss") for row in table.rows)]
    if key == "ok":
        texts = [word for text in texts for word in text.split()]
    longest = max(map(len, texts), default=0)
    return min(longest, 24) if key in ("arch", "loss", "device") else longest


def _too_many(widths: Mapping[str, int], width: int | None) -> list[str]:
    """Columns to drop so that the others fit; arch, loss, headline and ok always stay."""
    scores = [key for key in widths if key.startswith("score ")]
    dropped: list[str] = []
    for key in ["D norm", "params G/D", *scores[:0:-1], "images/s", "device"]:
        kept = [value for name, value in widths.items() if name not in dropped]
        if width is None or sum(kept) + 2 * len(kept) + 1 <= width:
            break
        dropped.append(key)
    return dropped


# -- files ---------------------------------------------------------------------------------------------------


def to_markdown(table: Table) -> str:
    """The README of a published leaderboard."""
    rule = table.protocol.description if table.protocol else ""
    parts = [f"# {table.name}", _prose(rule), _rules(table), "## How to read this", _reading(table)]
    ranking = _pipes(table, "entry") or "No runs yet."
    parts += ["## Ranking", ranking, _bullets(_footnotes(table))]
    if table.block("yardstick"):
        parts += ["## Yardsticks", "Scored by the same code; nothing was trained.", _pipes(table, "yardstick")]
    if table.block("custom"):
        parts += ["## Custom runs", "Made with changed settings: never ranked.", _pipes(table, "custom")]
    if table.failures:
        parts += ["## Failures", _bullets(table.failures)]
    if table.left_out or table.notes:
        parts += ["## Notes", _bullets([*table.left_out, *table.notes])]
    parts += ["## Reproduce", *_reproduce(table), "## Machines", _bullets(_machines(table)) or "None yet."]
    command = f"`ganbench leaderboard {table.name} --write`"
    parts.append(f"*Written by {command} from `records/`. Do not edit: change the records.*")
    return "\n\n".join(part for part in parts if part) + "\n"


def _rules(table: Table) -> str:
    """What the protocol fixes."""
    protocol, rules = table.protocol, []
    if protocol is not None:
        training, judging = protocol.training, protocol.evaluation
        size = f" at {protocol.resolution} px" if protocol.resolution else ""
        space = f" in the feature space of `{judging.extractor}`" if judging.extractor else ""
        draws = f"{judging.draws} x " if judging.draws > 1 else ""
        rules = [
            f"data: `{protocol.dataset}`{size}",
            f"budget: {training.budget_kimg:g} thousand real images shown to D, {training.batch} at a time",
            f"judged at the end of the budget on {draws}{judging.samples} samples{space}",
        ]
    rules += [
        f"headline: `{table.headline}`",
        f"seeds: {', '.join(map(str, table.seeds))}",
        f"digest: `{table.digest}`",
    ]
    return "\n".join(f"* {rule}" for rule in rules)


def _reading(table: Table) -> str:
    return (
        "Every row had the same data and the same number of real images shown to its discriminator, and was "
        "scored at the end of the budget. Its rank is 1 + the number of rows that are significantly better by "
        f"{table.label(table.headline)}: rows that these seeds cannot tell apart share a rank, and ranks need "
        "not follow the order of the means. Yardsticks give the numbers a scale: real data are what a perfect "
        "generator would score."
    )


def _reproduce(table: Table) -> list[str]:
    entries = table.block("entry")
    if not entries:
        return [f"```\nganbench run --arch ARCH --loss LOSS --protocol {table.name}\n```"]
    first = entries[0]
    arch, loss = table.part(first, "arch"), table.part(first, "loss")
    return [
        "One row (every seed; the same machine and versions give the same bits):",
        f"```\nganbench run --arch {arch} --loss {loss} --protocol {table.name}\n```",
    ]


def _machines(table: Table) -> list[str]:
    """Hardware and software behind the records, with how many of them."""
    found: Counter[str] = Counter()
    for row in table.rows:
        for record in row.records:
            where = record.environment
            cuda = f", CUDA {where.cuda}, cuDNN {where.cudnn}" if where.cuda else ""
            versions = f"Python {where.python}, torch {where.torch}{cuda}, ganbench {where.ganbench}"
            found[f"{machine_of(record)}; {where.system}; {versions}"] += 1
    return [f"{machine} ({_plural(range(n), 'record')})" for machine, n in sorted(found.items())]


def _pipes(table: Table, kind: Kind) -> str:
    """One block as a Markdown table."""
    headings = _headings(table, kind)
    ruler = ["---:" if _is_number(key) else "---" for key in headings]
    rows = [[_cells(table, row)[key] for key in headings] for row in table.block(kind)]
    lines = [[*map(_escape, headings.values())], ruler, *([*map(_escape, row)] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"* {_escape(sentence)}" for sentence in sentences)


def _escape(text: str) -> str:
    """Keep Markdown from reading a name or a reason as markup; ``d_loss`` is none."""
    return re.sub(r"([|<*`]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", " ".join(text.split()))


def _prose(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _plural(things: Sequence[Any], noun: str) -> str:
    return f"{len(things)} {noun}{'s' * (len(things) != 1)}"


def _flat(table: Table, row: Row) -> dict[str, Any]:
    """A row as one level of plain values; every table has the same names in the same order."""
    entry, statuses = row.entry, Counter(record.status for record in row.failures)
    flat: dict[str, Any] = {
        "kind": row.kind,
        "rank": row.rank,
        "arch": entry.arch,
        "arch package": _provenance(row, "arch"),
        "loss": entry.loss,
        "loss package": _provenance(row, "loss"),
        "yardstick": entry.yardstick,
        "changes": " ".join(f"{name}={value}" for name, value in entry.changes),
        "d_norm": row.d_norm,
        "ok": row.ok,
        "seeds": row.seeds,
        "missing": len(row.missing),
        "failed": " ".join(f"{status}:{number}" for status, number in sorted(statuses.items())),
    }
    for name in table.columns:
        flat |= {f"{table.label(name)} {part}": value for part, value in _parts(row, name).items()}
    flat |= {name: _whole(row.costs.get(name)) if name in _WHOLE else row.costs.get(name) for name in COSTS}
    spaces = {name.partition("@")[2] for name in table.columns if "@" in name}
    return flat | {"extractor": " ".join(sorted(spaces)), "device": " + ".join(row.machines)}


_WHOLE = ("params_g", "params_d")
_COUNTS = ("rank", "ok", "seeds", "missing", *_WHOLE)


def _parts(row: Row, name: str) -> dict[str, float | int | None]:
    """``eval_sd`` is the noise of one evaluation, ``sd`` that of one seed (its evaluations averaged)."""
    summary = row.scores.get(name)
    parts: dict[str, Any] = {part: getattr(summary, part, None) for part in ("mean", "sd", "low", "high")}
    return parts | {"n": summary.n if summary else 0, "eval_sd": row.noise.get(name)}


def _provenance(row: Row, kind: str) -> str:
    """``ganbench 0.1.0``"""
    parts = (getattr(record, kind) for record in row.records)
    return ", ".join(sorted({f"{part.package} {part.version}" for part in parts if part}))


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def to_frame(table: Table) -> pd.DataFrame:
    """One row per entry with every column: ``fid mean``, ``fid sd``, ``fid low``, ``images/s`` ..."""
    import pandas as pd

    rows = [_flat(table, row) for row in table.rows]
    frame = pd.DataFrame(rows, columns=_names(table))
    whole = [name for name in frame if name in _COUNTS or name.endswith(" n")]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def to_csv(table: Table) -> str:
    """``to_frame``, floats to six digits (the last bits of a quantile differ between machines)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_names(table))
    for row in table.rows:
        values = _flat(table, row).values()
        writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in values])
    return text.getvalue()


def _names(table: Table) -> list[str]:
    nobody = Row(Entry("", "", "", "", "", ()), (), (), {}, {}, {}, ())
    return list(_flat(table, nobody))


def to_json(table: Table) -> str:
    """Everything, each seed's raw values and evaluations included."""
    whole = {
        "protocol": table.name,
        "digest": table.digest,
        "headline": table.headline,
        "seeds": table.seeds,
        "columns": {name: msgspec.to_builtins(column) for name, column in table.columns.items()},
        "rows": [_tree(table, row) for row in table.rows],
        "left_out": table.left_out,
        "notes": table.notes,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _tree(table: Table, row: Row) -> dict[str, Any]:
    well = [record for record in row.records if record.status == "ok"]
    scores = {
        name: _parts(row, name)
        | {"values": {str(record.seed): record.scores[name] for record in well if name in record.scores}}
        | {"draws": {str(r.seed): [draw[name] for draw in r.draws if name in draw] for r in well}}
        for name in table.columns
        if name in row.scores
    }
    first = row.records[0] if row.records else None
    return {
        "kind": row.kind,
        "rank": row.rank,
        "name": table.title(row),
        "arch": msgspec.to_builtins(first.arch) if first else None,
        "loss": msgspec.to_builtins(first.loss) if first else None,
        "yardstick": row.entry.yardstick,
        "changes": dict(row.entry.changes),
        "ok": row.ok,
        "seeds": row.seeds,
        "missing": row.missing,
        "failures": [{"seed": r.seed, "status": r.status, "reason": r.reason} for r in row.failures],
        "scores": scores,
        "costs": row.costs,
        "devices": row.machines,
        "here": row.here,
    }


# -- folders -------------------------------------------------------------------------------------------------


def records_in(folder: Path) -> list[Path]:
    """Record files of a published leaderboard, ``records/*.json``, or of runs, ``*/seed*/record.json``."""
    return sorted([*folder.glob("records/*.json"), *folder.glob("*/seed*/record.json")])


def write_folder(records: Iterable[Record], protocol: Protocol, folder: Path) -> list[str]:
    """Publish finished records of a protocol: ``README.md``, ``table.csv`` and ``records/*.json``.

    Records that the folder already has stay, unless a new one of the same entry and seed replaces them.
    Returns the files that were written or removed; each is written whole or not at all.

    Raises:
        RecordError: a record in the folder cannot be read, or the disk refuses.
    """
    new = _newest(r for r in records if r.digest == protocol.digest and r.status in FINISHED)
    replaced = {(entry_of(record), record.seed) for record in new}
    present = {path: read(path) for path in sorted(folder.glob("records/*.json"))}
    old = [record for record in present.values() if (entry_of(record), record.seed) not in replaced]
    wanted = {folder / "records" / name: record for name, record in file_names([*new, *old]).items()}
    changed = [path for path, record in wanted.items() if present.get(path) != record]
    for path in changed:
        write(wanted[path], path)
    removed = [path for path in present if path not in wanted]
    for path in removed:
        path.unlink()
    for name, text in _derived(wanted.values(), protocol).items():
        if _text(folder / name) != text:
            write_atomically(folder / name, text.encode())
            changed.append(folder / name)
    return sorted(path.relative_to(folder).as_posix() for path in [*changed, *removed])


def check_folder(folder: Path, protocol: Protocol) -> list[str]:
    """Files of a published leaderboard that are not what its records give: edited, stale or unreadable."""
    paths = sorted(folder.glob("records/*.json"))
    records, errors = read_all(paths)
    if errors:
        return sorted(path.relative_to(folder).as_posix() for path in paths if not _readable(path))
    names = {f"records/{name}" for name in file_names(records)}
    wrong = {path.relative_to(folder).as_posix() for path in paths} ^ names
    wrong |= {name for name, text in _derived(records, protocol).items() if _text(folder / name) != text}
    return sorted(wrong)


def file_names(records: Iterable[Record]) -> dict[str, Record]:
    """A file name for every record; those that would share one on some file system get a hash as well."""
    records = list(records)
    plain = [re.sub(r"[^\w.+=-]", "-", record.file_name) for record in records]
    taken = Counter(name.lower() for name in plain)
    names = {}
    for name, record in zip(plain, records, strict=True):
        identity = hashlib.sha256(msgspec.json.encode([entry_of(record), record.seed])).hexdigest()[:8]
        clear = taken[name.lower()] == 1 and len(name) <= 150
        names[name if clear else f"{name.removesuffix('.json')[:120]}+{identity}.json"] = record
    return names


def _derived(records: Iterable[Record], protocol: Protocol) -> dict[str, str]:
    table = build(records, protocol)
    return {"README.md": to_markdown(table), "table.csv": to_csv(table)}


def _text(path: Path) -> str | None:
    """A file's text byte for byte; None where there is none."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None


def _readable(path: Path) -> bool:
    try:
        read(path)
    except RecordError:
        return False
    return True
