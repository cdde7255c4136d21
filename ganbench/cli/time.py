"""``ganbench time``: measure how fast the rows of a table train and sample, each timed alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ganbench import plugins
from ganbench.cli import completion
from ganbench.cli.base import command, complain, console, echo
from ganbench.cli.numbers import whole
from ganbench.cli.options import Archs, DataRoot, Device, Losses, Tricks
from ganbench.cli.runs import in_units
from ganbench.contracts.executor import TrainingJob, runs_among
from ganbench.contracts.protocol import Protocol
from ganbench.errors import GanbenchError, PluginError, RecordError, listed
from ganbench.plugins.names import refuse_without
from ganbench.plugins.protocols import load_protocol
from ganbench.plugins.source import Source
from ganbench.records.timing import Timing
from ganbench.runs.plan import DEFAULT_PROTOCOL, make_plan, refuse_unknown_device, tricks_of
from ganbench.runs.rounds import Unsteady
from ganbench.runs.timing import ROUNDS, Lost, Timed, time_rows, write_all

if TYPE_CHECKING:
    from ganbench.leaderboards.entries import RunEntry


@command("time")
def time(
    protocol: Annotated[
        str, typer.Argument(help="A protocol's name, or your own TOML file.", autocompletion=completion.tables)
    ] = DEFAULT_PROTOCOL,
    arch: Archs = None,
    loss: Losses = None,
    trick: Tricks = None,
    device: Device = "auto",
    rounds: Annotated[
        int, typer.Option(parser=whole(2, 1000), metavar="2..1000", help="Number of good rounds that each row needs.")
    ] = ROUNDS,
    runs: Annotated[Path, typer.Option(help="The folder for runs; timings are stored beside them.")] = Path("runs"),
    data_root: DataRoot = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the timings as JSON on standard output.")] = False,
) -> None:
    """Time the rows of a table, or the given combinations, one at a time on an otherwise idle machine."""
    terminal = console(stderr=as_json)
    refuse_unknown_device(device)
    rules = load_protocol(protocol)
    where = _Where(rules, runs, device)
    if arch or loss or trick:
        jobs, gone = _named(where, arch or [], loss or [], trick or []), dict[str, GanbenchError]()
    else:
        jobs, gone = _rows_of(where, protocol, terminal)
    say = _silent if quiet or as_json else partial(terminal.print, style="dim", soft_wrap=True)
    try:
        timed = time_rows(jobs, rounds, say)
    except KeyboardInterrupt:
        terminal.print(Text.assemble(("interrupted:", "yellow"), " nothing was written"))
        raise typer.Exit(130) from None
    except (Unsteady, Lost) as error:
        complain(error)
        raise typer.Exit(1) from error
    timed.left_out = {**gone, **timed.left_out}
    _report(timed, runs, terminal, as_json)


def _silent(line: str) -> None: ...


# -- what is timed ----------------------------------------------------------------------------------------------------


class _Where(NamedTuple):
    rules: Protocol
    runs: Path
    device: str

    def jobs(self, archs: Sequence[Source], losses: Sequence[Source], tricks: Sequence[Source]) -> list[TrainingJob]:
        """One run of each combination; only its players and rules are used."""
        seeds = self.rules.seeds[:1]
        plan = make_plan(
            archs,
            losses,
            self.rules,
            tricks=tricks,
            seeds=seeds,
            out=self.runs,
            device=self.device,
            force=True,
            where="--runs",
        )
        return runs_among(plan.todo)


def _named(where: _Where, archs: list[str], losses: list[str], tricks: list[str]) -> list[TrainingJob]:
    refuse_without("arch", archs)
    refuse_without("loss", losses)
    return where.jobs(plugins.find_many("arch", archs), plugins.find_many("loss", losses), tricks_of(tricks))


def _rows_of(where: _Where, protocol: str, terminal: Console) -> tuple[list[TrainingJob], dict[str, GanbenchError]]:
    """Jobs for the complete rows of the table, and the rows whose plugins are missing."""
    from ganbench.leaderboards.entries import RunEntry
    from ganbench.leaderboards.gathering import gather

    table, errors = gather(protocol, where.runs)
    for error in errors:
        complain(error)
    rows = table.rows if table else ()
    trained = [(row, row.entry) for row in rows if isinstance(row.entry, RunEntry)]
    entries = {entry: None for row, entry in trained if row.kind == "entry" and not row.missing}
    others = dict.fromkeys(entry.name for _, entry in trained if entry not in entries)
    if others:
        what = "custom, edited or incomplete rows are not timed"
        told = Text.assemble(("left out:", "yellow"), f" {what}: {listed(list(others))}")
        terminal.print(told, soft_wrap=True)
    jobs, gone = list[TrainingJob](), dict[str, GanbenchError]()
    for entry in entries:
        try:
            jobs += where.jobs(*_sources(entry))
        except PluginError as error:
            gone[entry.name] = error
    if not entries:
        name = where.rules.name
        raise RecordError(
            f"there are no complete rows of {name} to time in {where.runs}, and none are published",
            f"name what to time: ganbench time {protocol} --arch ... --loss ...",
        )
    return jobs, gone


def _sources(entry: RunEntry) -> tuple[list[Source], list[Source], list[Source]]:
    arch, loss, *tricks = (plugins.find(kind, used.reference) for kind, used in entry.players)
    return [arch], [loss], tricks


# -- what is printed ---------------------------------------------------------------------------------------------------


def _report(timed: Timed, runs: Path, terminal: Console, as_json: bool) -> None:
    """Write and print the timings, then report every failure in a sentence and in the exit code."""
    for row, error in timed.left_out.items():
        why = "; ".join(filter(None, [error.message, error.hint]))
        terminal.print(Text.assemble(("left out:", "red"), f" {row}: {why}"), soft_wrap=True)
    if not timed.timings:
        raise list(timed.left_out.values())[-1]
    folder = write_all(timed.timings, runs)
    if as_json:
        echo(msgspec.json.encode({"timings": timed.timings}).decode())
    else:
        terminal.print(_table(timed.timings, terminal.width))
        for line in _below(timed.timings):
            terminal.print(line, style="dim", soft_wrap=True)
        terminal.print(Text.assemble("timing records: ", (str(folder), "bold")), soft_wrap=True)
    if timed.left_out:
        raise typer.Exit(1)


def _table(timings: Sequence[Timing], width: int) -> Table:
    """A table of as many columns as fit in ``width`` characters; row names and speeds are always shown."""
    from rich import box

    texts = {timing.entry: _texts(timing) for timing in sorted(timings, key=lambda timing: -timing.train)}
    widths = {name: max(len(name), *(len(cells[name]) for cells in texts.values())) for name in _texts(timings[0])}
    for name in ("IQR", "per sample", "repeated", "ms/step", "of peak", "MiB", "generated/s"):
        if max(map(len, texts)) + sum(widths.values()) + 2 * len(widths) + 3 > width:
            del widths[name]
    table = Table(title=Text(f"{timings[0].protocol}: each row timed alone"), title_justify="left")
    table.box, table.padding = box.SIMPLE_HEAD, (0, 1, 0, 0)
    table.add_column("row", overflow="fold")
    for heading in widths:
        table.add_column(heading, justify="right", no_wrap=True)
    for entry, cells in texts.items():
        table.add_row(entry, *(cells[heading] for heading in widths))
    return table


def _texts(timing: Timing) -> dict[str, str]:
    return {
        "samples/s": f"{timing.train:,.0f}",
        "IQR": f"{timing.train_iqr:,.0f}",
        "generated/s": f"{timing.sample:,.0f}",
        "ms/step": f"{timing.step_ms:.2f}",
        "per sample": in_units(timing.d_flops + timing.g_flops, "FLOP") if timing.d_flops else "–",
        "of peak": f"{timing.peak_share:.1%}" if timing.peak_share else "–",
        "MiB": f"{timing.peak_memory_mb:,.0f}" if timing.peak_memory_mb else "–",
        "repeated": str(timing.repeated),
    }


def _below(timings: Sequence[Timing]) -> list[str]:
    """Lines that explain the columns and describe the machine."""
    where, rounds = timings[0].environment, [one for timing in timings for one in timing.rounds]
    peak = timings[0].peak_flops_per_second
    share = f"; the peak is {in_units(peak, 'FLOP/s')}, in a {where.precision} matrix product" if peak else ""
    few, busy = min(len(timing.rounds) for timing in timings), max(one.pressure for one in rounds)
    return [
        f"medians of at least {few} rounds; samples/s counts reals shown to D, generated/s counts samples drawn{share}",
        f"{where.machine}; {where.system}; Python {where.python}, torch {where.torch}; "
        f"in the busiest good round, some task on this machine waited for a CPU {busy:.1%} of the time",
    ]
