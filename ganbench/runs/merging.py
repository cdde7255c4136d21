"""Bring records of many machines into one folder of runs. Each is checked first, and nothing is ever overwritten."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from ganbench.errors import GanbenchError, RecordError, listed, told
from ganbench.leaderboards.entries import run_key
from ganbench.records.files import Copy, copy_together
from ganbench.records.record import FINISHED, Record
from ganbench.records.store import read
from ganbench.runs.bits import ended_alike, first_difference
from ganbench.runs.checks import Check, Rules, Unfinished, check, strips_of
from ganbench.runs.conditions import conditions
from ganbench.runs.folders import rows_of

BATCH = 500
"""Records that are copied together."""
BESIDE = ("history.jsonl", "checkpoint.pt")
"""What belongs to a run besides its record and its strips. Pictures can be drawn again from the checkpoint."""
How = Literal["merged", "there", "same", "left", "refused"]
"""``there``: the same record was there already; ``same``: another record with the same bits was; ``left``: the run is
not over."""


class Ending(NamedTuple):
    """What became of a record. ``problem`` is set if it was left or refused, ``protocol`` if it could be read."""

    file: Path
    how: How
    protocol: str = ""
    problem: Check | None = None


class _Holder(NamedTuple):
    """A record that is in the place of another one."""

    file: Path
    record: Record


def merge(files: Iterable[Path], out: Path, rules: Rules, *, dry_run: bool = False) -> list[Ending]:
    """Copy records, with the files that belong to them, to ``out/PROTOCOL/ROW/seedN``, in order.

    A record comes last in its folder, so that a merge that was killed can be repeated. With ``dry_run``, nothing is
    written.

    Raises:
        RecordError: a file cannot be written.
    """
    merging, endings, rest = _Merging(out, rules), list[Ending](), iter(files)
    while batch := list(islice(rest, BATCH)):
        copies = list[Copy]()
        for file in batch:
            ending, needed = merging.decide(file)
            endings.append(ending)
            copies += needed
        if not dry_run:
            copy_together(copies)
    return endings


class _Merging:
    """Decides about records, one after another."""

    def __init__(self, out: Path, rules: Rules) -> None:
        self.out, self.rules = out, rules
        self._taken: dict[str, Path] = {}
        """A place in ``out`` -> the record that this merge copies there."""

    def decide(self, file: Path) -> tuple[Ending, list[Copy]]:
        """What becomes of a record, and the copies to make of it and its files."""
        checked = check(file, self.rules)
        record, problem = checked.record, checked.problem
        if record is None or problem:
            left = problem is not None and isinstance(problem.error, Unfinished)
            return Ending(file, "left" if left else "refused", record.protocol if record else "", problem), []
        try:
            how, copies = self._placed(file, record)
        except GanbenchError as error:
            return Ending(file, "refused", record.protocol, Check("a place of its own", error)), []
        except OSError as error:  # a file beside it, or in its new folder, cannot be read
            why = RecordError(f"{file} cannot be merged: {told(error)}", "make its files readable, and merge again")
            return Ending(file, "refused", record.protocol, Check("readable files", why)), []
        return Ending(file, how, record.protocol), copies

    def _placed(self, file: Path, record: Record) -> tuple[How, list[Copy]]:
        """Find the place of a record, and compare it with the one that is there.

        Raises:
            GanbenchError: another result is there, or something that is not a record.
        """
        free, in_the_way = "", None
        for row in rows_of(record, self.rules.of(record).evaluation.yardsticks):
            place = os.path.join(self.out, record.protocol, row, f"seed{record.seed}", "record.json")
            holder = self._taken.get(place) or (Path(place) if os.path.exists(place) else None)
            if holder is None:
                free = free or place
                continue
            if filecmp.cmp(file, holder, shallow=False):
                return "there", []
            other = read(holder)
            if run_key(other) == run_key(record):
                return _compared(_Holder(holder, other), _Holder(file, record)), []
            in_the_way = holder
        if not free:
            raise RecordError(f"{file} has no place, because {in_the_way} is of another row", "choose another --out")
        copies = [*_copies(file, Path(free).parent), Copy(file, Path(free))]
        self._taken[free] = file
        return "merged", copies


def _copies(file: Path, folder: Path) -> Iterator[Copy]:
    """The files that belong to a record and are not yet in its new folder.

    Raises:
        RecordError: other files of these names are there.
        OSError: one of them cannot be read.
    """
    belonging = {f"strip{strip.suffix}": strip for strip in strips_of(file)}
    if file.name == "record.json":
        beside = {name: os.path.join(file.parent, name) for name in BESIDE}
        belonging |= {name: Path(path) for name, path in beside.items() if os.path.isfile(path)}
    for name, source in belonging.items():
        source.open("rb").close()  # found out now, a file that cannot be read concerns its record alone
        target = folder / name
        if not target.exists():
            yield Copy(source, target)
        elif not filecmp.cmp(source, target, shallow=False):
            raise RecordError(
                f"{file} cannot be merged, because {target} belongs to another run",
                f"remove {folder}, which holds no record, or choose another --out",
            )


def _compared(there: _Holder, new: _Holder) -> How:
    """Whether two records of one run are the same record, or the same result.

    Raises:
        RecordError: they are different results.
    """
    if there.record == new.record:
        return "there"
    if there.record.status not in FINISHED:
        hint = "finish it with the same `ganbench run`, or remove its folder, and merge again"
        raise RecordError(f"{new.file} is finished, but {there.file} says '{there.record.status}'", hint)
    first = _first_difference(there.record, new.record)
    if not first:
        return "same"
    changed = [change.brief for change in conditions(there.record, new.record)]
    where = f"made with another {listed(changed)}" if changed else "made on the same machine with the same versions"
    raise RecordError(
        f"{there.file} and {new.file} are two results of {new.record.entry}, seed {new.record.seed}, {where}: {first}",
        "the first one stays; `ganbench reproduce` says which of them a repetition here agrees with",
    )


def _first_difference(there: Record, new: Record) -> str:
    if there.digest != new.digest:
        return f"their rules have the digests {there.digest} and {new.digest}"
    if not ended_alike(there, new):
        return f"one ended as {there.status}, the other as {new.status}"
    return first_difference(there, new)
