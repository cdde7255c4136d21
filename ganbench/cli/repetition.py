"""Repeat the run of a record and print what a comparison of the two finds, for ``reproduce`` and ``verify``."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.text import Text

from ganbench.contracts.executor import Job, Refused
from ganbench.contracts.protocol import Protocol
from ganbench.errors import GanbenchError, RecordError, listed
from ganbench.records.history import read_history
from ganbench.records.record import Fingerprints, Record
from ganbench.records.store import read
from ganbench.runs.display import PlainDisplay
from ganbench.runs.executors.local import LocalExecutor
from ganbench.runs.plan import Plan
from ganbench.runs.session import listen

if TYPE_CHECKING:
    from ganbench.runs.reproduce import Reproduction


class Repetition(NamedTuple):
    """How to repeat a run: under which rules, where, and whether to print its progress.

    ``out`` is None if the repetition is deleted afterwards.
    """

    rules: Protocol
    device: str
    out: Path | None
    quiet: bool


def repeat(file: Path, then: Record, how: Repetition, terminal: Console) -> Reproduction:
    """Repeat the run of a record in a file, and print what has changed since, the verdict and its reasons.

    Raises:
        GanbenchError: the run cannot be repeated here, or the folder for the repetition holds one already.
    """
    from ganbench.runs.conditions import conditions
    from ganbench.runs.reproduce import compare, job_of
    from ganbench.runs.siblings import other_seeds

    with ExitStack() as stack:
        folder = how.out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ganbench-")))
        job = job_of(then, how.rules, folder, how.device)
        if job.record_file.exists():
            raise RecordError(f"{job.folder} already holds a run", "give an empty folder with --out")
        others = other_seeds(file, then)
        now = _run(job, terminal, how.quiet)
        rows = read_history(Path(job.folder, "history.jsonl"))
    changes = conditions(then, now)
    for change in changes:
        terminal.print(Text.assemble(("changed:", "yellow"), f" {change.sentence}"), soft_wrap=True)
    found = compare(then, now, changes, others, [row["kimg"] for row in rows])
    colour = "red" if not found.reproduced else "green" if found.exact else "yellow"
    verdict = (found.verdict, f"bold {colour}")
    terminal.print(Text.assemble(f"{then.entry}, seed {then.seed}: ", verdict), soft_wrap=True)
    for line in _details(then, now, found):
        terminal.print(f"  {line}", soft_wrap=True)
    return found


def _run(job: Job, terminal: Console, quiet: bool) -> Record:
    """Carry out the job in its own worker process, like the original run."""
    display = None if quiet else PlainDisplay(terminal, Plan(job.protocol, [job], []))
    with LocalExecutor(1) as executor:
        for event in listen(executor, [job]):
            if isinstance(event, Refused):
                raise GanbenchError(event.message, event.hint)
            if display:
                display.show(event)
    return read(job.record_file)


def _details(then: Record, now: Record, found: Reproduction) -> list[str]:
    lines = [*filter(None, [found.first]), *found.why]
    if then.status == now.status == "ok":
        lines += _score_lines(then, now, found)
        for one, other, whose in ((then, now, "record"), (now, then, "repetition")):
            alone = [name for name in one.scores if name not in other.scores]
            lines += [f"only the {whose} has {listed(alone)}"] if alone else []
    if then.bits == Fingerprints():
        what = "scores" if then.status == "ok" else "how it ended"
        lines.append(f"the record holds no fingerprints, so only {what} could be compared")
    return lines


def _score_lines(then: Record, now: Record, found: Reproduction) -> list[str]:
    """Lines on the scores that differ beyond seed noise, or else on the one that differs most."""
    from ganbench.runs.reproduce import largest_difference

    column, apart = largest_difference(then, now)
    if not column:
        return [] if found.exact else ["no score that has a direction differs"]
    if found.judged:
        beyond = [one for one in found.judged if one.beyond_noise]
        what = "beyond seed noise" if beyond else "largest difference"
        return [
            f"{what}: {one.column}, {one.then:.6g} then, {one.now:.6g} now (p = {one.adjusted:.2g} by {one.seeds} "
            f"other seeds, Holm over {len(found.judged)} scores)"
            for one in beyond or found.judged[:1]
        ]
    a, b = then.scores[column], now.scores[column]
    return [f"largest difference: {column}, {a:.6g} then, {b:.6g} now ({apart:.2g} relative)"]
