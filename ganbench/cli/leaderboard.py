"""``ganbench leaderboard``: the table of a protocol, from records and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ganbench import plugins
from ganbench.cli.base import app, complain, console
from ganbench.errors import GanbenchError, PluginError, RecordError
from ganbench.plan import load_protocol, published_folder
from ganbench.protocol import Protocol
from ganbench.record import Component, Record, read_all

if TYPE_CHECKING:
    from ganbench.leaderboard import Table


class Format(StrEnum):
    """How a table is written."""

    terminal = "terminal"
    md = "md"
    csv = "csv"
    json = "json"


@app.command()
def leaderboard(
    protocol: Annotated[
        str,
        typer.Argument(
            help="A protocol's name, or your own TOML file.",
            autocompletion=lambda: [s.name for s in plugins.of_kind("protocol")],
        ),
    ] = "digits-16-v1",
    runs: Annotated[Path, typer.Option(help="Where `ganbench run --out` kept its runs.")] = Path("runs"),
    published: Annotated[bool, typer.Option(help="Show published rows beside your own.")] = True,
    sort: Annotated[str, typer.Option(help="Sort by a column, e.g. coverage or images/s.")] = "",
    metric: Annotated[list[str] | None, typer.Option(help="Score columns to show (repeat, or commas).")] = None,
    as_format: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.terminal,
    write: Annotated[
        bool, typer.Option("--write", help="Publish your runs: leaderboards/PROTOCOL/ with table and records.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Where --write publishes.")] = Path("leaderboards"),
) -> None:
    """Print the table of a protocol: your runs among the published ones, with intervals, ranks and yardsticks."""
    from ganbench.leaderboard import build
    from ganbench.publishing import records_in

    rules = rules_of(protocol)
    name = rules.name if rules else protocol
    local, errors = read_all(records_in(runs / name))
    if write:
        _publish(rules, name, local, errors, out / name)
        return
    folder = published_folder(name) if published else None
    others, more = read_all(records_in(folder)) if folder else ([], [])
    errors += more
    if local or others:
        shown = [part.strip() for text in metric or [] for part in text.split(",")]
        table = build(local, rules, published=others, installed=installed_source, sort=sort, metrics=shown)
        _print(table, as_format)
    for error in errors:
        complain(error)
    if not local and not others and not errors:
        raise RecordError(
            f"there are no records of {name} in {runs} and none published", f"ganbench run --protocol {protocol} ..."
        )
    if errors:
        raise typer.Exit(2)


def rules_of(text: str) -> Protocol | None:
    """The protocol; None where its plugin is gone but its records may still be here."""
    try:
        return load_protocol(text)
    except PluginError:
        known = Path("runs", text).is_dir() or published_folder(text) is not None
        if known and not any(s.name == text for s in plugins.of_kind("protocol")):
            return None
        raise


def installed_source(kind: str, part: Component) -> str:
    """The source hash of an installed plugin, if it is of the same version; "" if it is not there."""
    try:
        source = plugins.find(kind, f"{part.package}:{part.name}")
    except PluginError:
        return ""
    return source.source_hash if source.version == part.version else ""


def _publish(rules: Protocol | None, name: str, records: list[Record], errors: list[RecordError], folder: Path) -> None:
    from ganbench.publishing import write_folder

    if rules is None:
        raise GanbenchError(f"the protocol '{name}' is not installed", "install the package that provides it")
    if errors:
        raise errors[0]
    if not records and not folder.is_dir():
        raise RecordError(f"there are no runs of {name} to publish", f"ganbench run --protocol {name} ...")
    changed = write_folder(records, rules, folder)
    console().print(f"[bold]{folder}[/]: {len(changed)} files written", soft_wrap=True)


def _print(table: Table, as_format: Format) -> None:
    from ganbench import tables

    if as_format is Format.terminal:
        terminal = console()
        terminal.print(tables.to_rich(table, terminal.width))
    else:
        renderers = {Format.md: tables.to_markdown, Format.csv: tables.to_csv, Format.json: tables.to_json}
        typer.echo(renderers[as_format](table), nl=False)


def show_table(protocol: Protocol, files: Iterable[Path], terminal: Console, *, as_json: bool) -> None:
    """The table of some record files, at the end of a run."""
    from ganbench import tables
    from ganbench.leaderboard import build
    from ganbench.publishing import records_in

    records, errors = read_all(files)
    folder = published_folder(protocol.name)
    known, _ = read_all(records_in(folder)) if folder else ([], [])
    table = build(records, protocol, published=(), known=known, installed=installed_source)
    if as_json:
        typer.echo(tables.to_json(table), nl=False)
    else:
        terminal.print(tables.to_rich(table, terminal.width))
    for error in errors:
        complain(error)
