"""``ganbench reproduce``: repeat a record's run and say whether it comes out the same."""

from __future__ import annotations

import json
import math
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ganbench import plugins
from ganbench.cli import completion
from ganbench.cli.base import app, console
from ganbench.cli.runs import run_folders
from ganbench.contracts.executor import Job
from ganbench.contracts.protocol import Protocol
from ganbench.errors import GanbenchError, PluginError, RecordError
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Record
from ganbench.records.store import read
from ganbench.runs.display import PlainDisplay
from ganbench.runs.executors.local import LocalExecutor
from ganbench.runs.plan import Plan


@app.command()
def reproduce(
    record: Annotated[Path, typer.Argument(help="A record: a run's folder, its record.json, or a published one.")],
    protocol: Annotated[
        str,
        typer.Option(
            help="A TOML file with its rules, if no plugin provides them.", autocompletion=completion.protocols
        ),
    ] = "",
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:i or mps.", autocompletion=completion.devices)
    ] = "auto",
    tolerance: Annotated[
        float, typer.Option(min=0, help="Relative difference up to which scores count as the same.")
    ] = 0.01,
    out: Annotated[Path | None, typer.Option(help="Keep the repetition here; by default it is deleted.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the outcome.")] = False,
) -> None:
    """Repeat a record's run: *identical bits*, *same within x*, or *different* (exit code 1), and where they differ."""
    from ganbench.runs.reproduce import compare, conditions, job_of

    then, terminal = read(_file(record)), console()
    rules = _rules(then, protocol)
    with ExitStack() as stack:
        folder = out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ganbench-")))
        job = job_of(then, rules, folder, device)
        if job.record_file.exists():
            raise RecordError(f"{job.folder} already holds a run", "give an empty folder with --out")
        now = _run(job, terminal, quiet)
        history = Path(job.folder, "history.jsonl")
        rows = [json.loads(line) for line in history.read_text("utf-8").splitlines()] if history.exists() else []
    for sentence in conditions(then, now):
        terminal.print(f"[yellow]changed:[/] {sentence}", soft_wrap=True)
    found = compare(then, now, [row["kimg"] for row in rows], tolerance)
    colour = {"identical bits": "green", "same within": "yellow", "different": "red"}[found.verdict]
    within = f" {found.largest:.2g}" if found.verdict == "same within" else ""
    terminal.print(f"{then.entry}, seed {then.seed}: [bold {colour}]{found.verdict}{within}[/]")
    for line in _details(then, now, found.largest, found.column, found.first):
        terminal.print(f"  {line}", soft_wrap=True, markup=False)
    if found.verdict == "different":
        raise typer.Exit(1)


def _rules(then: Record, protocol: str) -> Protocol:
    """The rules that the user names, or those that the record was made under.

    Raises:
        GanbenchError: nothing of that name is installed any more.
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
    """Carry out the job in its own worker process, as the first time."""
    display = None if quiet else PlainDisplay(terminal, Plan(job.protocol, [job], []))
    with LocalExecutor(1) as executor:
        for event in executor.run([job]):
            if event.kind == "refused":
                raise GanbenchError(event.facts["message"], event.facts["hint"])
            if display:
                display.show(event)
    return read(job.record_file)


def _details(then: Record, now: Record, largest: float, column: str, first: str) -> list[str]:
    lines = [first] if first else []
    if then.status != now.status:
        ends = [f"{end.status} ({end.reason or 'to the end of the budget'})" for end in (then, now)]
        lines.append(f"then {ends[0]}, now {ends[1]}")
    if not math.isinf(largest) and column:
        a, b = then.scores[column], now.scores[column]
        lines.append(f"the scores differ by up to {largest:.2g} (relative); {column}: {a:.6g} then, {b:.6g} now")
    if not then.bits.samples:
        lines.append("the record holds no fingerprints, so only scores could be compared")
    return lines
