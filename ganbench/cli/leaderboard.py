"""``ganbench leaderboard``: print the table of a protocol, computed from records alone."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from ganbench.cli import completion
from ganbench.cli.base import command, complain, console, echo
from ganbench.cli.options import Runs
from ganbench.contracts.protocol import Protocol
from ganbench.errors import GanbenchError, RecordError, plural
from ganbench.leaderboards.published import installed_source, published_files, rules_of
from ganbench.records.store import read_all
from ganbench.runs.plan import DEFAULT_PROTOCOL

if TYPE_CHECKING:
    from ganbench.leaderboards.table import Table


WIDE = 300
"""In characters, enough for every column."""


class Format(StrEnum):
    """How a table is written."""

    terminal = "terminal"
    md = "md"
    csv = "csv"
    json = "json"
    html = "html"


class Detail(NamedTuple):
    """Whether the terminal shows every column of a table, and whether it explains them in full."""

    wide: bool
    explained: bool


@command("leaderboard")
def leaderboard(
    protocol: Annotated[
        str,
        typer.Argument(
            help="A protocol's name, or your own TOML file.",
            autocompletion=completion.tables,
        ),
    ] = DEFAULT_PROTOCOL,
    runs: Runs = Path("runs"),
    published: Annotated[bool, typer.Option(help="Show published rows beside your own.")] = True,
    sort: Annotated[
        str,
        typer.Option(help="Sort by a column, e.g. coverage or samples/s.", autocompletion=completion.columns),
    ] = "",
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Score columns to show (repeat, or separate by commas).", autocompletion=completion.columns),
    ] = None,
    wide: Annotated[
        bool, typer.Option("--wide", help="Show every column, and the noise between seeds and between evaluations.")
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Explain every column and mark below the table.")] = False,
    as_format: Annotated[Format, typer.Option("--format", help="How to print the table.")] = Format.terminal,
    write: Annotated[
        bool, typer.Option("--write", help="Publish your runs: write the table and records to leaderboards/PROTOCOL/.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder that --write publishes to; default: leaderboards.", show_default=False),
    ] = None,
    open_page: Annotated[
        bool,
        typer.Option(
            "--open", help="Open a web page of your rows among the published ones; with --write, the published page."
        ),
    ] = False,
) -> None:
    """Print the table of a protocol: your runs among the published ones, with intervals, ranks and yardsticks."""
    shown = [part.strip() for text in metric or [] for part in text.split(",")]
    if out and not write:
        raise GanbenchError("--out is where --write publishes to", f"to read the runs there: --runs {out}")
    with _no_collection():
        if write:
            folder = _publish(protocol, runs, out or Path("leaderboards"))
            if open_page:
                _browse(folder / "index.html")
        elif open_page:
            _open(*_gathered(protocol, runs, published, sort, shown), runs)
        else:
            _show(*_gathered(protocol, runs, published, sort, shown), as_format, Detail(wide, explain))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Turn off garbage collection, which would take a quarter of the time scanning thousands of records repeatedly."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _gathered(
    protocol: str, runs: Path, published: bool, sort: str, metrics: list[str]
) -> tuple[Table | None, list[RecordError]]:
    """The table, and an error for each unreadable record.

    Raises:
        RecordError: there are no records at all.
    """
    from ganbench.leaderboards.gathering import gather

    table, errors = gather(protocol, runs, published=published, sort=sort, metrics=metrics)
    if table is None and not errors:
        raise RecordError(
            f"there are no records of {protocol} in {runs}" + (" and none published" if published else ""),
            f"ganbench run --protocol {protocol} ...",
        )
    return table, errors


def _show(table: Table | None, errors: list[RecordError], as_format: Format, detail: Detail) -> None:
    if table is not None:
        _print(table, as_format, detail)
    _complain(errors)


def _open(table: Table | None, errors: list[RecordError], runs: Path) -> None:
    """Write the page and open it if there is a browser."""
    from ganbench.pages.own import write_own_page

    if table is not None:
        _browse(write_own_page(table, runs))
    _complain(errors)


def _browse(page: Path) -> None:
    import webbrowser

    opened = webbrowser.open(page.resolve().as_uri())
    told = "" if opened else ": no browser was found, so open it yourself"
    console().print(Text.assemble((str(page), "bold"), told), soft_wrap=True)


def _complain(errors: list[RecordError]) -> None:
    for error in errors:
        complain(error)
    if errors:
        raise typer.Exit(2)


def _publish(protocol: str, runs: Path, out: Path) -> Path:
    """Write the published folder of a protocol and the hub above it; returns the folder."""
    from ganbench.leaderboards.gathering import gather_records, timings_in
    from ganbench.leaderboards.strips import strips_in
    from ganbench.pages.folder import write_folder
    from ganbench.pages.hub import write_hub
    from ganbench.records.timing import read_timings

    rules = rules_of(protocol, runs)
    if rules is None:
        raise GanbenchError(f"the protocol '{protocol}' is not installed", "install the package that provides it")
    found = gather_records(protocol, rules, runs, published=False)
    timings, bad = read_timings(timings_in(runs / rules.name))
    for error in (*found.errors, *bad):
        raise error
    folder = out / rules.name
    if not found.local and not folder.is_dir():
        raise RecordError(f"there are no runs of {rules.name} to publish", f"ganbench run --protocol {protocol} ...")
    changed = write_folder(found.local, rules, folder, timings, strips_in(runs / rules.name))
    hub = write_hub(out)
    for place, written in ((folder, changed), (out, hub)):
        told = f": {plural(len(written), 'file')} written"
        console().print(Text.assemble((str(place), "bold"), told), soft_wrap=True)
    return folder


def _print(table: Table, as_format: Format, detail: Detail) -> None:
    from ganbench.leaderboards.export import to_csv, to_json
    from ganbench.leaderboards.terminal import to_rich
    from ganbench.pages.markdown import to_markdown
    from ganbench.pages.page import to_page

    if as_format is Format.terminal:
        terminal = console()
        if detail.wide:  # lines longer than the terminal are for a pager: | less -S
            terminal.width = max(terminal.width, WIDE)
        width = None if detail.wide else terminal.width
        terminal.print(to_rich(table, width, noises=detail.wide, explain=detail.explained), crop=False)
        if not (detail.wide and detail.explained):
            terminal.print("--wide shows every column, --explain says what they mean", style="dim")
    else:
        renderers = {
            Format.md: to_markdown,
            Format.csv: to_csv,
            Format.json: to_json,
            Format.html: to_page,
        }
        echo(renderers[as_format](table), end="")


def show_table(protocol: Protocol, files: Iterable[Path], terminal: Console, *, as_json: bool) -> None:
    """Print the table of some record files, at the end of a run."""
    from ganbench.leaderboards.export import to_json
    from ganbench.leaderboards.table import build
    from ganbench.leaderboards.terminal import to_rich

    records, errors = read_all(files)
    known, _ = read_all(published_files(protocol.name))
    table = build(records, protocol, published=(), known=known, installed=installed_source)
    if as_json:
        echo(to_json(table), end="")
    else:
        terminal.print(to_rich(table, terminal.width), crop=False)
    for error in errors:
        complain(error)
