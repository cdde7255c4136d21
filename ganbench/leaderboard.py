"""Leaderboards: records -> statistics -> tables, from records and nothing else.

``build`` sorts records into rows, judges which rows differ, and says what it left out and why. ``tables.py`` writes a
``Table`` down, ``publishing.py`` keeps folders of records with the tables that follow from them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from statistics import median
from typing import Any, Literal, NamedTuple

import msgspec

from ganbench.contracts import Goal
from ganbench.errors import GanbenchError
from ganbench.protocol import Protocol
from ganbench.record import FINISHED, Column, Record, entry_name
from ganbench.statistics import Summary, on_log_scale, pooled_sd, ranks, summarise

Kind = Literal["entry", "custom", "yardstick"]
KINDS: tuple[Kind, ...] = ("entry", "custom", "yardstick")
USUAL = ("fid", "is", "modes_covered", "coverage")
"""Scores shown beside the headline where nobody chose."""
HEADINGS = {"modes_covered": "modes"}


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
        taken = Counter(map(short_name, self.columns))
        return {name: short_name(name) if taken[short_name(name)] == 1 else name for name in self.columns}

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
                reasons = list(dict.fromkeys(one_line(record.reason) for record in failed if record.reason))
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
    headline = next((name for name in columns if wanted in (name, short_name(name))), wanted)
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


def short_name(column: str) -> str:
    """``fid`` for ``fid@digits-cnn:1a2b3c4d``."""
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
        chosen = [name for usual in USUAL for name in columns if short_name(name) == usual]
        if not {"fid", "is"} & {short_name(name) for name in columns}:
            chosen = [name for name, column in columns.items() if column.goal != "info"][:5]
    return [name for name in dict.fromkeys(chosen) if name != headline]


def _resolve(columns: Mapping[str, Column], asked: str, others: Iterable[str] = ()) -> list[str]:
    """Columns called ``asked``, in full, in short, or as their heading.

    Raises:
        GanbenchError: there is none.
    """
    found = [n for n in columns if asked == n] or [
        n for n in columns if asked in (short_name(n), HEADINGS.get(short_name(n)))
    ]
    if found:
        return found
    known = list(dict.fromkeys([*map(short_name, columns), *others]))
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
    skipped = {f"{r.entry}: skipped: {one_line(r.reason)}" for r in records if r.status == "skipped"}
    records = [record for record in records if record.status != "skipped"]
    records = keep(newest(records), len(records), "replaced by a newer one of the same entry and seed")
    return records, left_out + sorted(skipped)


def _most_common(values: Iterable[Any]) -> Any:
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value), default=None)


def _judgement(record: Record) -> tuple[str, str]:
    """Scores on other data, or in another feature space, are other quantities."""
    return record.dataset_hash, record.extractor


def newest(records: Iterable[Record]) -> list[Record]:
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


def one_line(text: str) -> str:
    """A reason fit for a footnote."""
    text = " ".join(text.split())
    return text if len(text) <= 160 else text[:159] + "…"
