"""``ganbench run``: train every combination under a protocol, show progress, and print the table."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ganbench import plugins
from ganbench.cli import completion
from ganbench.cli.base import Invocation, command, console, echo
from ganbench.cli.leaderboard import show_table
from ganbench.cli.numbers import digits, whole
from ganbench.cli.options import LARGEST_SEED, Archs, DataRoot, Device, Losses, Tricks
from ganbench.cli.preview import preview
from ganbench.contracts.executor import TrainingJob, runs_among
from ganbench.device.cores import usable_cores
from ganbench.errors import GanbenchError, ProtocolError
from ganbench.leaderboards.published import published_files, published_folder
from ganbench.plugins.names import refuse_without
from ganbench.plugins.protocols import load_protocol
from ganbench.plugins.source import Source
from ganbench.records.store import read, read_all
from ganbench.runs.changes import parse_changes
from ganbench.runs.estimate import estimate_of
from ganbench.runs.executors.local import LocalExecutor
from ganbench.runs.live import make_display
from ganbench.runs.plan import DEFAULT_PROTOCOL, Plan, make_plan
from ganbench.runs.session import Outcome, carry_out

MOST_WORKERS = 1024
"""Processes; larger machines run into other limits first."""


@command("run")
def run(
    ctx: typer.Context,
    arch: Archs = None,
    loss: Losses = None,
    trick: Tricks = None,
    protocol: Annotated[
        str, typer.Option(help="A protocol's name, or your own TOML file.", autocompletion=completion.protocols)
    ] = DEFAULT_PROTOCOL,
    seed: Annotated[
        list[str] | None,
        typer.Option(help="Only these seeds (repeat, or separate by commas); default: the protocol's."),
    ] = None,
    device: Device = "auto",
    jobs: Annotated[
        int,
        typer.Option(
            parser=whole(0, MOST_WORKERS),
            metavar="COUNT",
            help="Runs at a time; default: one per core on a CPU, one per GPU.",
            show_default=False,
        ),
    ] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting, e.g. lr=1e-4 or loss.weight=1; the row is then custom."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder for runs.")] = Path("runs"),
    data_root: DataRoot = None,
    force: Annotated[bool, typer.Option("--force", help="Repeat runs that already have a record.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would run, how long it would take, and what cannot run.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON on standard output.")] = False,
) -> None:
    """Train every --arch with every --loss and all --trick, with fixed seeds and budget, and print the table."""
    refuse_without("arch", arch or [])
    refuse_without("loss", loss or [])
    archs, losses = plugins.find_many("arch", arch or []), plugins.find_many("loss", loss or [])
    new = not os.path.exists(out)
    plan = make_plan(
        archs,
        losses,
        load_protocol(protocol),
        tricks=tricks_of(trick or []),
        seeds=_seeds(seed or []),
        changes=parse_changes(settings or []),
        out=out,
        device=device,
        force=force,
        by_seed=_names_all([*(arch or []), *(loss or [])]),
    )
    terminal, silent = console(stderr=as_json), quiet or as_json
    _note_seeds(plan, terminal)
    workers = max(1, min(jobs or _workers(device), len(plan.todo)))
    if dry_run:
        _only_look(plan, workers, terminal, out if new else None)
        return
    estimate, debug = None if silent else estimate_of(plan), ctx.ensure_object(Invocation).debug
    with LocalExecutor(workers) as executor, make_display(terminal, plan, quiet=silent) as display:
        outcome = carry_out(plan, executor, display, estimate=estimate, tracebacks=debug)
    _report(plan, outcome, terminal, as_json)
    if not (quiet or as_json):
        _where_next(plan, protocol, terminal, out)


def _note_seeds(plan: Plan, terminal: Console) -> None:
    """Print that tables leave out runs with seeds that the protocol does not have."""
    rules = plan.protocol
    if others := sorted({job.seed for job in plan.runs} - {*rules.seeds}):
        seeds, own = ", ".join(map(str, others)), ", ".join(map(str, rules.seeds))
        said = f" tables of {rules.name} leave out seed {seeds}; its own seeds are {own}"
        terminal.print(Text.assemble(("note:", "yellow"), said))


def _only_look(plan: Plan, workers: int, terminal: Console, made: Path | None) -> None:
    """Do the dry run, then remove the folder for runs if it was ``made`` only to see that it can be written."""
    with LocalExecutor(workers) as executor:
        preview(plan, executor, estimate_of(plan), terminal)
    if made is not None:
        with suppress(OSError):  # something else is in it by now
            made.rmdir()


def _names_all(texts: Sequence[str]) -> bool:
    return any(name.strip() == "all" for text in texts for name in text.split(","))


def _report(plan: Plan, outcome: Outcome, terminal: Console, as_json: bool) -> None:
    """Print the table, then report every failure in a sentence and in the exit code."""
    if outcome.fatal:
        raise outcome.fatal
    done = [job for job in plan.jobs if job.record_file.exists()]
    runs = runs_among(done)
    if runs:
        show_table(plan.protocol, [job.record_file for job in done], terminal, as_json=as_json)
    elif as_json:
        echo('{"rows": []}')
    for message in outcome.declined:
        terminal.print(Text.assemble(("left out:", "yellow"), f" {message}"))
    for error in outcome.broken.values():
        terminal.print(Text.assemble(("left out:", "red"), f" {error.message}; {error.hint}"))
    for line in outcome.lost:
        terminal.print(Text.assemble(("lost:", "red"), f" {line}; {_how_to_go_on(plan)}"))
    if outcome.interrupted:
        terminal.print(Text.assemble(("interrupted:", "yellow"), f" {_how_to_go_on(plan)}"))
        raise typer.Exit(130)
    if (outcome.declined or outcome.broken) and not runs:
        raise list({**outcome.declined, **outcome.broken}.values())[-1]
    if _say_errors(runs, terminal) or outcome.lost or outcome.broken:
        raise typer.Exit(1)


def _say_errors(runs: Sequence[TrainingJob], terminal: Console) -> bool:
    """Print where the tracebacks of failed runs are, and which runs left none; returns whether any run failed."""
    failed, traces = list[str](), list[Path]()
    for job in runs:
        trace, record = Path(job.folder, "error.txt"), read(job.record_file)
        if record.status == "error" and trace.exists():
            traces.append(trace)
        elif record.status == "error":
            failed.append(f"{job.key}: {record.reason}; `ganbench plugins --check` may say why")
    if traces:
        more = f" and {len(traces) - 1} more" if len(traces) > 1 else ""
        failed.append(f"the traceback is in {traces[0]}{more}")
    for line in failed:
        terminal.print(Text.assemble(("error:", "red"), f" {line}"), soft_wrap=True)
    return bool(failed)


def _how_to_go_on(plan: Plan) -> str:
    if any(job.fresh for job in plan.todo):
        return "the same command without --force resumes from the last checkpoint (finished runs are kept)"
    return "the same command resumes from the last checkpoint"


def _where_next(plan: Plan, protocol: str, terminal: Console, out: Path) -> None:
    """Print where the files are, and commands to try next, ready to copy."""
    lines = [Text.assemble("\nrecords, histories and samples: ", (str(out / plan.protocol.name), "bold"))]
    trained = [Path(job.folder) for job in plan.runs if Path(job.folder, "checkpoint.pt").exists()]
    name = [] if protocol == DEFAULT_PROTOCOL else [protocol]
    runs = [] if out == Path("runs") else ["--runs", str(out)]
    among = _are_among_published(plan)
    alone = ["--no-published"] if published_folder(plan.protocol.name) and not among else []
    command = shlex.join(["ganbench", "leaderboard", *name, *runs, *alone])
    if trained and (samples := sorted((trained[0] / "samples").glob("*.png"))):
        whose = f"the last samples of {trained[0].parent.name}, {trained[0].name}: "
        lines.append(Text.assemble(whose, (str(samples[-1]), "bold")))
    what = "shows this among the published rows" if among else "prints this table again"
    lines.append(Text.assemble("next: ", (command, "bold"), f" {what}"))
    if whole := [folder for folder in trained if read(folder / "record.json").status == "ok"]:
        drawing = shlex.join(["ganbench", "sample", str(whole[0]), "-n", "64", "--out", "grid.png"])
        lines.append(Text.assemble("      ", (drawing, "bold"), " draws new samples"))
    for line in lines:
        terminal.print(line, soft_wrap=True)


def _are_among_published(plan: Plan) -> bool:
    """Whether the runs and the published rows may share a table."""
    from ganbench.leaderboards.admission import Unfit, fitted_to, judged_by

    published, _ = read_all(published_files(plan.protocol.name)[:1])
    mine = next((job.record_file for job in plan.jobs if job.record_file.exists()), None)
    if not published or mine is None:
        return False
    return not isinstance(fitted_to(judged_by(published[0]), read(mine)), Unfit)


def tricks_of(texts: list[str]) -> list[Source]:
    """The tricks that ``--trick`` names.

    Raises:
        GanbenchError: a name is unknown or given twice, or is ``all``.
    """
    if "all" in (name.strip() for text in texts for name in text.split(",")):
        raise GanbenchError(
            "--trick all: tricks are applied together, but not all are compatible", "name the ones you want"
        )
    found = plugins.find_many("trick", texts)
    names = [(trick.name, trick.package) for trick in found]
    if twice := [trick.name for trick in found if names.count((trick.name, trick.package)) > 1]:
        raise GanbenchError(f"--trick {twice[0]} is given twice, with two arguments", "a trick is applied once")
    return found


def _seeds(texts: list[str]) -> list[int]:
    seeds = []
    for text in (part.strip() for given in texts for part in given.split(",")):
        seed = digits(text)
        if seed is None or not 0 <= seed <= LARGEST_SEED:
            raise ProtocolError(
                f"--seed {text}: a seed is a whole number from 0 to {LARGEST_SEED}", "for example: --seed 0,1"
            )
        seeds.append(seed)
    return list(dict.fromkeys(seeds))


def _workers(device: str) -> int:
    """One per GPU where GPUs are used, else one per core this process may use."""
    kind = device.partition(":")[0]
    may_have_gpu = any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))
    if (kind in {"auto", "cuda"} and may_have_gpu) or kind == "mps" or (kind == "auto" and sys.platform == "darwin"):
        import torch

        if ":" in device or kind == "mps":
            return 1
        if torch.cuda.is_available():
            return torch.cuda.device_count()
        if torch.backends.mps.is_available():
            return 1
    return usable_cores()
