"""``ganbench data``: list, check and remove the arrays that were prepared on disk from large sets of images."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ganbench.cli import completion
from ganbench.cli.base import app, console, echo, with_example
from ganbench.cli.guide import GUIDES
from ganbench.cli.options import DataRoot
from ganbench.cli.progress import progress_on
from ganbench.errors import DataError, plural
from ganbench.plain import plain_line

data = typer.Typer(help="List, check or remove the arrays that were prepared on disk from large sets of images.")
app.add_typer(
    data,
    name="data",
    rich_help_panel=GUIDES["data"].group,
    short_help=with_example(GUIDES["data"]),
)


@data.callback(invoke_without_command=True)
def data_without_command(ctx: typer.Context) -> None:
    """List, check or remove the arrays that were prepared on disk from large sets of images."""
    if ctx.invoked_subcommand is None:
        list_arrays()


@data.command("list")
def list_arrays(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_root: DataRoot = None,
) -> None:
    """List the prepared arrays: name, data set, shape, size, and where they are."""
    from ganbench.data.store import stored

    found = stored()
    if as_json:
        facts = [
            {
                "name": one.folder.name,
                "dataset": one.about and one.about.name,
                "rows": one.rows,
                "shape": one.about and one.about.shape,
                "bytes": one.size,
                "complete": one.about is not None,
                "folder": str(one.folder),
            }
            for one in found
        ]
        echo(json.dumps(facts, indent=1))
        return
    terminal = console()
    if not found:
        terminal.print("nothing is prepared: sets that are larger than 256 MiB are, on their first use")
        return
    table = Table("name", "data set", "samples", "size", "state", box=None, pad_edge=False)
    for one in found:
        what = (one.about.name, f"{one.rows:,} x {'x'.join(map(str, one.about.shape))}") if one.about else ("", "")
        state = "complete" if one.about else f"begun, {one.rows:,} samples"
        size = f"{one.size / 2**20:,.0f} MiB"
        table.add_row(*(Text(plain_line(cell)) for cell in (one.folder.name, *what, size, state)))
    terminal.print(table)
    for place in dict.fromkeys(one.folder.parent for one in found):
        terminal.print(Text(plain_line(f"in {place}")), soft_wrap=True)


Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME", help="Names of arrays or data sets; default: all.", autocompletion=completion.arrays
    ),
]


@data.command("verify")
def verify(names: Names = None, data_root: DataRoot = None) -> None:
    """Read prepared arrays and compare them with the hashes taken when they were made.

    The exit code is 1 if one of them has changed or is not complete.
    """
    from ganbench.data.prepared import intact
    from ganbench.data.store import chosen, stored

    wrong = 0
    for one in chosen(names) if names else stored():
        with progress_on(console(stderr=True)):
            good = one.about is not None and intact(one.folder, one.about)
        wrong += not good
        said = "intact" if good else "not complete" if one.about is None else "changed since it was made"
        console().print(Text(plain_line(f"{one.folder.name}: {said}")), soft_wrap=True)
    if wrong:
        raise typer.Exit(1)


@data.command("remove")
def remove_arrays(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all of them.")] = False,
    data_root: DataRoot = None,
) -> None:
    """Delete prepared arrays. The data they were made from stay, and the next run makes the arrays again."""
    from ganbench.data.store import chosen, remove, stored

    if bool(names) == everything:
        raise DataError("say what to remove: names, or --all", "`ganbench data list` prints the names")
    found, freed = stored() if everything else chosen(names or []), 0
    for one in found:
        size = one.size
        remove(one)
        freed += size
    console().print(f"removed {plural(len(found), 'array')}, {freed / 2**20:,.0f} MiB")
