"""Leaderboards, computed from records and nothing else: records -> statistics -> tables.

``build`` groups records into rows, ranks them, and says what it left out and why. ``entries.py`` says which row a
record belongs to, ``rows.py`` summarises one row, and ``admission.py`` decides which records are used. ``terminal.py``,
``export.py``, ``html.py`` and the package ``pages`` write a ``Table``, with the cells of ``cells.py``.
``pages/folder.py`` writes folders of records with the tables made from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ganbench.contracts.executor import entry_name
from ganbench.contracts.metric import Goal
from ganbench.contracts.protocol import Protocol
from ganbench.contracts.score_name import is_called, short_name, short_names
from ganbench.errors import GanbenchError, meant, plural
from ganbench.leaderboards.admission import Found, admit, merge
from ganbench.leaderboards.edits import Installed, KnownSources, edits_of, known_sources
from ganbench.leaderboards.entries import PlayerUsed, RunEntry, entry_of
from ganbench.leaderboards.notes import notes_on, one_line
from ganbench.leaderboards.ranking import Standing, centre_of, judged, log_columns, sign_of, standing_of
from ganbench.leaderboards.rows import (
    COSTS,
    PARTS,
    Part,
    Row,
    RowKey,
    RowKind,
    SummaryRules,
    make_row,
    summarised,
)
from ganbench.leaderboards.speeds import with_timings
from ganbench.records.record import Column, Record, runs_in
from ganbench.records.timing import Timing

SHOWN_BY_DEFAULT = 5
"""Number of scores shown beside the headline if neither the user nor the protocol names any."""
KIMG_TO_TARGET, SECONDS_TO_TARGET = "kimg to target", "s to target"


@dataclass(frozen=True)
class Table:
    """One protocol's leaderboard.

    ``headline`` and the keys of ``columns`` are full names (``fid@digits-cnn:1a2b3c4d``). ``shown`` are the score
    columns for the terminal and Markdown; ``chosen`` says whether the user chose them. ``rows`` holds every row in the
    requested order (``sorted_by`` a column). ``left_out`` and ``notes`` are sentences. ``logs`` are the columns that
    are compared and averaged on the log scale.
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
    logs: frozenset[str] = frozenset()
    sorted_by: str = ""

    def block(self, kind: RowKind) -> list[Row]:
        """The rows of one kind."""
        return [row for row in self.rows if row.kind == kind]

    def rows_of(self, part: Part) -> list[Row]:
        """The rows of one part of the table."""
        return [row for row in self.rows if row.part == part]

    def standing(self, column: str) -> Standing | None:
        """Ranks by any score column; None if there are none."""
        return standing_of(self.rows, column, self.columns.get(column), self.seeds)

    def label(self, column: str) -> str:
        """``fid`` for ``fid@digits-cnn:1a2b3c4d``; the full name if two columns would share the short one."""
        return self._labels.get(column, column)

    @cached_property
    def _labels(self) -> dict[str, str]:
        return short_names(self.columns)

    @property
    def best_label(self) -> str:
        """The heading of the column of best-so-far scores."""
        return f"best {self.label(self.headline)}"

    @property
    def extras(self) -> tuple[str, ...]:
        """Columns that only some tables have: best so far, and time to target."""
        best = [self.best_label] if any(row.best for row in self.rows) else []
        return (*best, *([KIMG_TO_TARGET, SECONDS_TO_TARGET] if self.target is not None else []))

    def column(self, asked: str) -> str:
        """The full name of a score column, given any of its names.

        Raises:
            GanbenchError: there is none.
        """
        return _resolve(self.columns, asked)[0]

    @property
    def goal(self) -> Goal:
        """The headline's direction."""
        column = self.columns.get(self.headline)
        return column.goal if column else "info"

    @cached_property
    def machines(self) -> tuple[str, ...]:
        """The machines that the trained rows ran on."""
        return tuple(
            sorted({machine for row in self.rows if isinstance(row.entry, RunEntry) for machine in row.machines})
        )

    @property
    def mixed(self) -> bool:
        """Whether the table has both local and published rows."""
        return {row.here for row in self.rows} == {True, False}

    @property
    def timed_on(self) -> str:
        """The machine on which every row was timed alone; empty if each row shows its runs' own figure."""
        return next((row.timing.environment.machine for row in self.rows if row.timing), "")

    @property
    def log(self) -> bool:
        """Whether the headline is compared, and averaged, on the log scale."""
        return self.headline in self.logs

    @property
    def target(self) -> float | None:
        """The value of the headline that runs are timed to reach; None if no row has such a time."""
        known = self.protocol is not None and any(row.reached for row in self.rows)
        return self.protocol.evaluation.target if self.protocol and known else None

    @property
    def failures(self) -> list[str]:
        """A sentence for each row and status: ``dcgan+wgan: 2/5 diverged: d_loss is not finite at iteration 120``."""
        sentences = []
        for row in self.rows:
            for status in sorted({record.status for record in row.failures}):
                failed = [record for record in row.failures if record.status == status]
                sentences.append(self._told(row, status, [record.reason for record in failed]))
        return sentences

    @property
    def collapses(self) -> list[str]:
        """``collapsed, modes_hit at most 1: mlp+hinge 4/5, mlp+dragan 1/5``; one sentence per kind of collapse."""
        ways: dict[str, list[str]] = {}
        for row in self.rows:
            found = Counter(way for each in row.collapses.values() for way in {collapse.way for collapse in each})
            for way, count in found.items():
                ways.setdefault(way, []).append(f"{self.title(row)} {count}/{row.seeds}")
        return [f"collapsed, {way}: {', '.join(where)}" for way, where in sorted(ways.items())]

    def _told(self, row: Row, what: str, why: Sequence[str]) -> str:
        reasons = list(dict.fromkeys(one_line(reason) for reason in why if reason))
        more = f" (and {plural(len(reasons) - 2, 'other reason')})" if len(reasons) > 2 else ""
        told = f": {'; '.join(reasons[:2])}{more}" if reasons else ""
        return f"{self.title(row)}: {len(why)}/{row.seeds} {what}{told}"

    def title(self, row: Row) -> str:
        """A row's name in a sentence."""
        if not isinstance(row.entry, RunEntry):
            return row.entry.name
        return entry_name(map(self.component, row.entry.players), dict(row.entry.changes))

    def component(self, player: PlayerUsed) -> str:
        """The component's name, prefixed with its package if several packages have one of that name."""
        kind, used = player
        return used.reference if self._named[kind, used.name] > 1 else used.name

    @cached_property
    def _named(self) -> Counter[tuple[str, str]]:
        """The number of packages in the table that have a component of a kind and name."""
        players = {player for row in self.rows if isinstance(row.entry, RunEntry) for player in row.entry.players}
        return Counter((kind, used.name) for kind, used in players)


def build(
    records: Iterable[Record],
    protocol: Protocol | None = None,
    *,
    published: Iterable[Record] | None = None,
    known: Iterable[Record] = (),
    installed: Installed | None = None,
    sort: str = "",
    metrics: Sequence[str] = (),
    remarks: Sequence[str] = (),
    timings: Iterable[Timing] = (),
) -> Table:
    """The table of one protocol.

    Args:
        records: records of that protocol; others are left out and counted.
        protocol: the rules, which set digest and seeds; if None (the plugin is missing), most records set them.
        published: records to show beside ``records``, which are then local: their rows replace published ones only if
            they are complete and of the same code.
        known: published records that are not shown, but provide the published source of components.
        installed: returns the source of an installed plugin; local rows from other source are marked *edited*.
        sort: a column to sort by, such as ``fid`` or ``samples/s``; if empty, the headline.
        metrics: score columns to show beside the headline, instead of the protocol's.
        remarks: sentences from the ``NOTES.md`` of the published folder.
        timings: timings of rows alone; they fill the speed columns if one machine covers the table's rows.

    Raises:
        GanbenchError: no such column, or there is neither a record nor a protocol.
    """
    pool = [Found(record, published is not None) for record in records]
    found, left_out = admit([*pool, *(Found(record, False) for record in published or ())], protocol)
    if not found and protocol is None:
        raise GanbenchError("there are no records to build a table from", "run something first: ganbench run --help")
    kept = [one.record for one in found]
    columns = _columns(kept)
    wanted = protocol.evaluation.headline if protocol else kept[0].headline
    headline = next((name for name in columns if is_called(name, wanted)), wanted)
    seeds = protocol.seeds if protocol else tuple(sorted({r.seed for r in runs_in(kept)}))
    rules = SummaryRules(columns, headline, seeds, protocol.evaluation.target if protocol else None)
    sources = known_sources([*found, *(Found(record, False) for record in known)], installed)
    rows, beside = merge(_rows(found, rules, sources))
    logs = log_columns(rows, columns)
    rows = [summarised(row, rules._replace(logs=logs)) for row in rows]
    digest = protocol.digest if protocol else kept[0].digest
    rows = with_timings(rows, timings, digest)
    table = Table(
        name=protocol.name if protocol else kept[0].protocol,
        digest=digest,
        protocol=protocol,
        seeds=seeds,
        headline=headline,
        columns=columns,
        shown=(headline, *_shown(columns, headline, metrics, protocol.evaluation.shown if protocol else ())),
        chosen=bool(metrics),
        rows=tuple(judged(rows, headline, columns.get(headline), seeds)),
        left_out=tuple(left_out),
        notes=(*remarks, *beside, *notes_on(rows)),
        logs=logs,
    )
    return _sorted(table, sort or headline)


def _rows(found: Sequence[Found], rules: SummaryRules, sources: KnownSources) -> list[Row]:
    groups: dict[RowKey, list[Record]] = {}
    for one in found:
        groups.setdefault(RowKey(entry_of(one.record), one.here), []).append(one.record)
    sorted_groups = sorted(groups.items(), key=lambda item: item[0].order)
    return [make_row(key, group, rules, edits_of(group, sources)) for key, group in sorted_groups]


def _columns(records: Sequence[Record]) -> dict[str, Column]:
    """Every score column, in the order of the protocol's metrics."""
    found: dict[str, Column] = {}
    for record in records:
        for name, column in record.columns.items():
            found.setdefault(name, column)
    return found


def _shown(columns: Mapping[str, Column], headline: str, metrics: Sequence[str], named: Sequence[str]) -> list[str]:
    """Score columns beside the headline: those chosen, else those the protocol names, else the first few."""
    if metrics:
        chosen = [name for metric in metrics for name in _resolve(columns, metric)]
    elif named:
        chosen = [name for column in named for name in columns if is_called(name, column)]
    else:
        chosen = [name for name, column in columns.items() if column.goal != "info" and name != headline][
            :SHOWN_BY_DEFAULT
        ]
    return [name for name in dict.fromkeys(chosen) if name != headline]


def _resolve(columns: Mapping[str, Column], asked: str, others: Iterable[str] = ()) -> list[str]:
    """Columns whose full or short name is ``asked``.

    Raises:
        GanbenchError: there is none.
    """
    if found := [n for n in columns if asked == n] or [n for n in columns if asked == short_name(n)]:
        return found
    known = list(dict.fromkeys([*map(short_name, columns), *others]))
    said = f"there is no column called '{asked}'{meant(asked, known, 0.5)}"
    raise GanbenchError(said, f"columns: {', '.join(known) or 'none'}")


def _sorted(table: Table, by: str) -> Table:
    """Sort the table's rows within each part.

    Rows with failed or collapsed seeds are sorted by their number first. Then the column decides, better before worse,
    for yardsticks too.
    """
    value, usual = _sort_value(table, by), _sort_value(table, table.headline)

    def key(row: Row) -> tuple[Any, ...]:
        place, otherwise = value(row), usual(row)
        trouble = row.trouble if row.part == "unstable" else 0
        return PARTS.index(row.part), trouble, place is None, place or (), otherwise is None, otherwise or ()

    named = [name for name in table.columns if is_called(name, by)]
    # ties keep the order of the headline, then of names
    return replace(table, rows=tuple(sorted(table.rows, key=key)), sorted_by=named[0] if named else by)


def _sort_value(table: Table, by: str) -> Callable[[Row], tuple[Any, ...] | None]:
    """The sort key of a row for a column. Timings sort only within a machine."""
    if by in ("arch", "loss"):
        return lambda row: _name_of(row, by)
    if by == "rank":
        return lambda row: None if row.rank is None else (row.rank,)
    if by in COSTS:
        sign, timing = (-1 if COSTS[by].goal == "max" else 1), COSTS[by].timing
        return lambda row: (_clock(row) if timing else (), sign * row.costs[by]) if by in row.costs else None
    if by == table.headline and by not in table.columns:
        return lambda row: None
    if by in table.extras:
        return _sort_extra(table, by)
    name = _resolve(table.columns, by, ["rank", "arch", "loss", *COSTS, *table.extras])[0]
    sign = sign_of(table.columns[name])
    return lambda row: (sign * centre_of(row, row.scores[name]),) if name in row.scores else None


def _name_of(row: Row, kind: str) -> tuple[str] | None:
    """The name of a row's arch or loss; None for a row that was not trained."""
    players = row.entry.players if isinstance(row.entry, RunEntry) else ()
    return next(((player.component.name,) for player in players if player.kind == kind), None)


def _clock(row: Row) -> tuple[str, ...]:
    """What a row's timings were measured on; timings compare only within it."""
    return ("",) if row.timing else row.machines


def _sort_extra(table: Table, by: str) -> Callable[[Row], tuple[Any, ...] | None]:
    if by == KIMG_TO_TARGET:
        return lambda row: (row.reached.kimg, -row.reached.hits) if row.reached else None
    if by == SECONDS_TO_TARGET:
        return lambda row: (_clock(row), row.reached.seconds) if row.reached and row.reached.seconds else None
    sign = sign_of(table.columns[table.headline])
    return lambda row: (sign * centre_of(row, row.best.score),) if row.best else None
