"""``ganbench download``: fetch data sets and weights ahead of time, or list those that can be fetched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import DownloadColumn
from rich.table import Table
from rich.text import Text

from ganbench.cli import completion
from ganbench.cli.base import command, complain, console
from ganbench.cli.options import DataRoot
from ganbench.cli.progress import progress_on
from ganbench.data.folder import data_folder
from ganbench.errors import DataError, GanbenchError, plural
from ganbench.plain import plain_line
from ganbench.plugins.downloads import download_of, find_offers, offering

if TYPE_CHECKING:
    from ganbench.contracts.download import Download
    from ganbench.plugins.source import Source

UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}


@command("download")
def download(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME", help="Datasets or extractors; without any, list them.", autocompletion=completion.downloads
        ),
    ] = None,
    data_root: DataRoot = None,
) -> None:
    """Fetch the files of data sets and extractors into the data folder, checked, so that later runs need no network.

    An interrupted download goes on where it stopped. Files that are there already and are right stay as they are.
    Without a name, list what can be fetched, how large it is, under which terms, and whether it is here.
    """
    terminal = console()
    if not names:
        terminal.print(_table([(source, download_of(source)) for source in offering()], data_folder()))
        terminal.print(f"\nthe data folder is {plain_line(str(data_folder()))}", soft_wrap=True)
        terminal.print("next: ganbench download mnist", style="dim")
        return
    failures = list[GanbenchError]()
    for source in find_offers(names):
        try:
            _fetch(source, download_of(source), data_folder(), terminal)
        except GanbenchError as error:  # the others may be within reach
            failures.append(error)
    for failure in failures[:-1]:
        complain(failure)
    if failures:
        raise failures[-1]


def _fetch(source: Source, wanted: Download, root: Path, terminal: Console) -> None:
    from ganbench.data.fetching import fetch

    if not wanted.files:
        how = f"{wanted.by_hand}; the data folder is {root}"
        raise DataError(f"'{source.name}' cannot be fetched by a program ({wanted.licence})", how)
    with progress_on(terminal, DownloadColumn()):
        new = fetch(wanted.files, root)
    if not new:
        terminal.print(Text.assemble((source.name, "bold"), f" is here already, in {plain_line(str(root))}"))
        return
    told = f" is in {plain_line(str(root))}: {plural(new, 'file')} fetched and checked"
    terminal.print(Text.assemble((source.name, "bold"), told), soft_wrap=True)
    terminal.print(f"licence: {plain_line(wanted.licence)}", soft_wrap=True)
    terminal.print(f"cite: {plain_line(wanted.citation)} ({wanted.homepage})", soft_wrap=True)


def _table(found: list[tuple[Source, Download]], root: Path) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "size", "here", "licence", "made by"):
        table.add_column(heading, no_wrap=heading in {"name", "size", "here"}, overflow="fold")
    for source, offer in found:
        size = _size(offer.size) if offer.files else "by hand"
        table.add_row(
            Text(source.name, "bold"),
            size,
            _is_here(offer, root),
            plain_line(offer.licence),
            plain_line(offer.citation),
        )
    return table


def _is_here(offer: Download, root: Path) -> str:
    from ganbench.data.fetching import is_there

    return "yes" if offer.files and all(is_there(file, root) for file in offer.files) else ""


def _size(count: int) -> str:
    """A number of bytes in the unit that suits it: ``12 MB``."""
    unit = max((unit for unit in UNITS.values() if unit <= count), default=10**3)
    return f"{count / unit:.3g} {next(name for name, size in UNITS.items() if size == unit)}"
