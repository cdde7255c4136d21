"""``ganbench run``: train every combination under a protocol, show progress, and print the table."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NamedTuple

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
from ganbench.contracts.executor import Executor, Places, TrainingJob, runs_among
from ganbench.errors import GanbenchError, ProtocolError
from ganbench.leaderboards.published import published_files, published_folder
from ganbench.plugins.names import refuse_without
from ganbench.plugins.protocols import load_protocol
from ganbench.records.store import read, read_all
from ganbench.runs.changes import parse_changes
from ganbench.runs.estimate import estimate_of
from ganbench.runs.grid import Grid, read_grid
from ganbench.runs.live import make_display
from ganbench.runs.plan import DEFAULT_PROTOCOL, Plan, Rows, make_grid, stored_at, tricks_of
from ganbench.runs.session import Outcome, Patience, carry_out
from ganbench.runs.storage import is_address, runs_folder

MOST_WORKERS = 1024
"""Processes; larger machines run into other limits first."""


Protocol = Annotated[
    str, typer.Option(help="A protocol's name, or your own TOML file.", autocompletion=completion.protocols)
]
GridFile = Annotated[
    Path | None, typer.Option("--grid", help="A TOML file that lists what to run, instead of --arch, --loss and so on.")
]
Seeds = Annotated[
    list[str] | None,
    typer.Option("--seed", help="Only these seeds (repeat, or separate by commas); default: the protocol's."),
]
Jobs = Annotated[
    int,
    typer.Option(
        parser=whole(0, MOST_WORKERS),
        metavar="COUNT",
        help="Runs at a time; default: one per core on a CPU, one per GPU.",
        show_default=False,
    ),
]
JobsPerGpu = Annotated[
    int, typer.Option(parser=whole(1, 64), metavar="COUNT", help="Runs at a time on one GPU, for small networks.")
]
Threads = Annotated[
    int, typer.Option(parser=whole(1, 256), metavar="COUNT", help="Threads of a run on a CPU, for large networks.")
]
ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor",
        help="Where to run: local, ray, slurm:KEY=VALUE,... or a plugin's name.",
        autocompletion=completion.executors,
    ),
]
Retries = Annotated[
    int, typer.Option(parser=whole(0, 100), metavar="COUNT", help="How often a run is resumed after its worker died.")
]
Timeout = Annotated[
    float,
    typer.Option(min=0, metavar="MINUTES", help="A run that takes longer saves a checkpoint and stops; 0: no limit."),
]


@command("run")
def run(
    ctx: typer.Context,
    arch: Archs = None,
    loss: Losses = None,
    trick: Tricks = None,
    protocol: Protocol = DEFAULT_PROTOCOL,
    grid: GridFile = None,
    seed: Seeds = None,
    device: Device = "auto",
    jobs: Jobs = 0,
    jobs_per_gpu: JobsPerGpu = 1,
    threads: Threads = 1,
    executor: ExecutorName = "local",
    address: Annotated[str, typer.Option(help="Address of the cluster, such as HOST:PORT for Ray.")] = "",
    retries: Retries = 1,
    timeout: Timeout = 0.0,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop everything when a run fails.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting, e.g. lr=1e-4 or loss.weight=1; the row is then custom."),
    ] = None,
    out: Annotated[
        str, typer.Option(metavar="PATH", help="The folder for runs, or an address such as s3://bucket/runs.")
    ] = "runs",
    data_root: DataRoot = None,
    force: Annotated[bool, typer.Option("--force", help="Repeat runs that already have a record.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would run, how long it would take, and what cannot run.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON on standard output.")] = False,
) -> None:
    """Train every --arch with every --loss and all --trick, with fixed seeds and budget, and print the table."""
    asked = Asked(arch, loss, trick, settings)
    wanted = _from_file(grid, asked, ctx) if grid else _from_options(asked, protocol, seed)
    folder, address_of_runs = (runs_folder(out), out) if is_address(out) else (Path(out), "")
    new = not os.path.exists(folder)
    plan = make_grid(wanted.rows, wanted.protocol, seeds=wanted.seeds, out=folder, device=device, force=force)
    where = plugins.find("executor", executor)
    places = Places(jobs, max(1, len(plan.todo)), device, threads, jobs_per_gpu)
    terminal, silent = console(stderr=as_json), quiet or as_json
    _note_seeds(plan, terminal)
    estimate, debug = None if silent else estimate_of(plan), ctx.ensure_object(Invocation).debug
    with plugins.build(where, argument=address or where.argument, places=places) as worker:
        if dry_run:
            _only_look(plan, worker, terminal, folder if new else None)
            return
        ready = stored_at(plan, address_of_runs, limit=60 * timeout, elsewhere=worker.elsewhere)
        with make_display(terminal, ready, quiet=silent) as display:
            patience = Patience(retries, fail_fast=fail_fast)
            outcome = carry_out(ready, worker, display, estimate=estimate, tracebacks=debug, patience=patience)
    _report(ready, outcome, terminal, as_json)
    if not (quiet or as_json):
        _where_next(ready, wanted.protocol_text, terminal, out)


class Asked(NamedTuple):
    """The options that say what to run."""

    arch: list[str] | None
    loss: list[str] | None
    trick: list[str] | None
    settings: list[str] | None


def _from_options(asked: Asked, protocol: str, seed: list[str] | None) -> Grid:
    """What the options ask for: one block of rows."""
    refuse_without("arch", asked.arch or [])
    refuse_without("loss", asked.loss or [])
    rows = Rows(
        plugins.find_many("arch", asked.arch or []),
        plugins.find_many("loss", asked.loss or []),
        tricks_of(asked.trick or []),
        parse_changes(asked.settings or []),
    )
    return Grid(load_protocol(protocol), protocol, [rows], _seeds(seed or []))


def _from_file(file: Path, asked: Asked, ctx: typer.Context) -> Grid:
    """What a file asks for.

    Raises:
        GanbenchError: an option asks for something, too.
    """
    given = [f"--{name}" for name, value in asked._asdict().items() if value]
    given += [
        f"--{name}"
        for name in ("protocol", "seed")
        if getattr(ctx.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]
    if given:
        raise GanbenchError(f"--grid and {given[0].replace('settings', 'set')} cannot be combined", f"put it in {file}")
    return read_grid(file)


def _note_seeds(plan: Plan, terminal: Console) -> None:
    """Print that tables leave out runs with seeds that the protocol does not have."""
    rules = plan.protocol
    if others := sorted({job.seed for job in plan.runs} - {*rules.seeds}):
        seeds, own = ", ".join(map(str, others)), ", ".join(map(str, rules.seeds))
        said = f" tables of {rules.name} leave out seed {seeds}; its own seeds are {own}"
        terminal.print(Text.assemble(("note:", "yellow"), said))


def _only_look(plan: Plan, executor: Executor, terminal: Console, made: Path | None) -> None:
    """Do the dry run, then remove the folder for runs if it was ``made`` only to see that it can be written."""
    preview(plan, executor, estimate_of(plan), terminal)
    if made is not None:
        with suppress(OSError):  # something else is in it by now
            made.rmdir()


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
    for line in outcome.lost.values():
        terminal.print(Text.assemble(("lost:", "red"), f" {line}; {_how_to_go_on(plan)}"))
    for line in outcome.late.values():
        terminal.print(Text.assemble(("stopped:", "yellow"), f" {line}; {_how_to_go_on(plan)}"))
    if outcome.interrupted:
        terminal.print(Text.assemble(("interrupted:", "yellow"), f" {_how_to_go_on(plan)}"))
        raise typer.Exit(130)
    if (outcome.declined or outcome.broken) and not runs:
        raise list({**outcome.declined, **outcome.broken}.values())[-1]
    failed = _say_errors(runs, terminal)
    if failed or outcome.lost or outcome.late or outcome.broken or outcome.failed:
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


def _where_next(plan: Plan, protocol: str, terminal: Console, out: str) -> None:
    """Print where the files are, and commands to try next, ready to copy."""
    lines = [Text.assemble("\nrecords, histories and samples: ", (f"{out.rstrip('/')}/{plan.protocol.name}", "bold"))]
    trained = [Path(job.folder) for job in plan.runs if Path(job.folder, "checkpoint.pt").exists()]
    name = [] if protocol == DEFAULT_PROTOCOL else [protocol]
    runs = [] if Path(out) == Path("runs") else ["--runs", out]
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
