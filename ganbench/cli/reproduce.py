"""``ganbench reproduce``: repeat a record's run and compare the result with the record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganbench.cli import completion
from ganbench.cli.base import command, console
from ganbench.cli.options import DataRoot, Device
from ganbench.cli.runs import run_folders
from ganbench.errors import RecordError
from ganbench.plugins.protocols import load_protocol
from ganbench.records.store import read


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
    *different* (exit code 1), with the place where they first differ. `ganbench verify` checks the file of the record
    and its code as well.
    """
    from ganbench.cli.repetition import Repetition, repeat
    from ganbench.runs.checks import installed_rules

    file = _file(record)
    then = read(file)
    rules = load_protocol(protocol) if protocol else installed_rules(then.protocol)
    if not repeat(file, then, Repetition(rules, device, out, quiet), console()).reproduced:
        raise typer.Exit(1)


def _file(record: Path) -> Path:
    if record.is_file():
        return record
    folders = run_folders(record, "record.json")
    if len(folders) > 1:
        raise RecordError(f"{record} holds {len(folders)} runs", f"choose one, for example {folders[0]}")
    return folders[0] / "record.json"
