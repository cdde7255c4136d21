"""The speed columns of a table: every row timed alone on one machine, or each run's own figure, marked ``~``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ganbench.leaderboards.entries import Entry, RunEntry
from ganbench.leaderboards.rows import Row
from ganbench.records.timing import Timing


def with_timings(rows: Sequence[Row], timings: Iterable[Timing], digest: str) -> list[Row]:
    """The rows with their timings, if one machine and one core of GANBench timed every entry that has all its seeds.

    Of several such machines and cores, those used last are chosen. Timings under other rules, or of other players than
    the records', are ignored. The core may be a newer one than that of the records, because it trains every row.
    """
    places: dict[Entry, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        places[row.entry].append(place)
    of_machine: dict[tuple[str, str], dict[int, Timing]] = defaultdict(dict)
    for timing in sorted(timings, key=lambda timing: timing.started):
        for place in places.get(RunEntry.of(timing.arch, timing.loss, timing.tricks), ()):
            if timing.digest == digest and _is_fresh(timing, rows[place]):
                of_machine[timing.environment.machine, timing.environment.core][place] = timing
    needed = {place for place, row in enumerate(rows) if row.kind == "entry" and not row.missing}
    covering = {machine: found for machine, found in of_machine.items() if needed and needed <= found.keys()}
    if not covering:
        return list(rows)
    chosen = covering[max(covering, key=lambda machine: (_latest(covering[machine]), machine))]
    return [_timed(row, chosen[place]) if place in chosen else row for place, row in enumerate(rows)]


def _latest(timings: Mapping[int, Timing]) -> str:
    return max(timing.started for timing in timings.values())


def _is_fresh(timing: Timing, row: Row) -> bool:
    """Whether the timed arch, loss and tricks are those of the row's records."""
    timed = [part.source for part in (timing.arch, timing.loss, *timing.tricks)]
    return bool(row.records) and all([part.source for _, part in record.players] == timed for record in row.records)


def _timed(row: Row, timing: Timing) -> Row:
    """The row with a timing instead of its runs' own figures."""
    costs = {**row.costs, "samples/s": timing.train, "generated/s": timing.sample, "step_ms": timing.step_ms}
    costs |= {"peak_share": timing.peak_share} if timing.peak_share else {}
    costs |= {"memory_mb": timing.peak_memory_mb} if timing.peak_memory_mb else {}
    reached = row.reached
    if reached is not None and timing.train:
        reached = reached._replace(seconds=1000 * reached.kimg / timing.train)
    return replace(row, timing=timing, costs=costs, reached=reached)
