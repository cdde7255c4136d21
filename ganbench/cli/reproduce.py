"""``ganbench reproduce``: repeat a record's run and compare the result with the record."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from ganbench import plugins
from ganbench.cli import completion
from ganbench.cli.base import command, console
from ganbench.cli.options import DataRoot, Device
from ganbench.cli.runs import run_folders
from ganbench.contracts.executor import Job, Refused
from ganbench.contracts.protocol import Protocol
from ganbench.errors import GanbenchError, PluginError, RecordError, listed
from ganbench.plugins.protocols import load_protocol
from ganbench.records.history import read_history
from ganbench.records.record import Fingerprints, Record
from ganbench.records.store import read
from ganbench.runs.display import PlainDisplay
from ganbench.runs.executors.local import LocalExecutor
from ganbench.runs.plan import Plan

if TYPE_CHECKING:
    from ganbench.runs.reproduce import Reproduction


@command("reproduce")
def reproduce(
    record: Annotated[Path, typer.Argument(help="A record: a run's folder, its record.json, or a published one.")],
    protocol: Annotated[
        str,
        typer.Option(
            help="A TOML file with its protocol, if no plugin provides it.", autocompletion=completion.protocols
        ),
    ] = "",
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Keep the repetition here; by default it is deleted.")] = None,
    data_root: DataRoot = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only what changed and the outcome.")] = False,
) -> None:
    """Repeat a record's run and compare the result with the record, bit by bit.

    The outcome is *identical bits*; *other bits, within seed noise*, if the machine or a version changed; or
    *different* (exit code 1), with the place where they first differ.
    """
    from ganbench.runs.conditions import conditions
    from ganbench.runs.reproduce import compare, job_of
    from ganbench.runs.siblings import other_seeds

    file, terminal = _file(record), console()
    then = read(file)
    rules = _rules(then, protocol)
    with ExitStack() as stack:
        folder = out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ganbench-")))
        job = job_of(then, rules, folder, device)
        if job.record_file.exists():
            raise RecordError(f"{job.folder} already holds a run", "give an empty folder with --out")
        others = other_seeds(file, then)
        now = _run(job, terminal, quiet)
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
    if not found.reproduced:
        raise typer.Exit(1)


def _rules(then: Record, protocol: str) -> Protocol:
    """The rules that the user names, or those that the record was made under.

    Raises:
        GanbenchError: no protocol of that name is installed.
    """
    if protocol or any(source.name == then.protocol for source in plugins.of_kind("protocol")):
        return load_protocol(protocol or then.protocol)
    raise PluginError(
        f"the record was made under the protocol '{then.protocol}', which is not installed",
        "install the package that provides it, or give its rules: --protocol FILE.toml",
    )


def _file(record: Path) -> Path:
    if record.is_file():
        return record
    folders = run_folders(record, "record.json")
    if len(folders) > 1:
        raise RecordError(f"{record} holds {len(folders)} runs", f"choose one, for example {folders[0]}")
    return folders[0] / "record.json"


def _run(job: Job, terminal: Console, quiet: bool) -> Record:
    """Carry out the job in its own worker process, like the original run."""
    display = None if quiet else PlainDisplay(terminal, Plan(job.protocol, [job], []))
    with LocalExecutor(1) as executor:
        for event in executor.run([job]):
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
