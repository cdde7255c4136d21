"""``ganbench verify``: check submitted records as a maintainer would, and repeat one of their runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from ganbench.cli.base import command, console
from ganbench.cli.merge import Given
from ganbench.cli.options import DataRoot, Device
from ganbench.errors import plural
from ganbench.plain import plain_line
from ganbench.runs.plan import refuse_unknown_device

if TYPE_CHECKING:
    from ganbench.records.record import Record
    from ganbench.runs.checks import Check, Checked, Rules


@command("verify")
def verify(
    records: Annotated[
        list[Path],
        typer.Argument(metavar="RECORD", help="Records, folders of runs, or folders of published records."),
    ],
    protocol: Given = None,
    checks_only: Annotated[bool, typer.Option("--checks-only", help="Repeat no run.")] = False,
    device: Device = "auto",
    data_root: DataRoot = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only what is wrong and the outcome.")] = False,
) -> None:
    """Check submitted records, then repeat one of their runs as `ganbench reproduce` does.

    This makes the checks of `ganbench merge`, and compares the code of every component with the installed plugins. If
    all records pass, one run is repeated: that of the first record or, if the first path is a folder, the lowest seed
    of its first row. The exit code is 0 if everything agrees, and 1 if not. To repeat and compare one record without
    these checks, use `ganbench reproduce`.
    """
    from ganbench.leaderboards.gathering import records_below
    from ganbench.runs.checks import Rules, check

    refuse_unknown_device(device)
    rules, terminal = Rules(protocol or []), console()
    first, *others = [records_below(path) for path in records]
    files = dict.fromkeys([*first, *(file for found in others for file in found)])
    checked = [_with_code(check(file, rules)) for file in files]
    for one in checked:
        _print(one, terminal, brief=quiet or len(checked) > 1)
    refused = [one for one in checked if one.problem]
    if refused:
        then = "" if checks_only else ", so no run was repeated"
        terminal.print(
            Text.assemble(("refused: ", "bold red"), f"{len(refused)} of {plural(len(checked), 'record')}{then}")
        )
        raise typer.Exit(1)
    if checks_only:
        terminal.print(Text.assemble(("passed: ", "bold green"), f"{plural(len(checked), 'record')}, no run repeated"))
    elif not _is_repeated(_chosen(checked[: len(first)]), rules, device, quiet, terminal):
        raise typer.Exit(1)


def _with_code(checked: Checked) -> Checked:
    from ganbench.runs.checks import check_code

    if checked.record is None:
        return checked
    return checked._replace(checks=(*checked.checks, *check_code(checked.file, checked.record)))


def _print(checked: Checked, terminal: Console, *, brief: bool) -> None:
    """Print a line for each check or, if ``brief``, only for those that failed or could not be made."""
    told = [one for one in checked.checks if not brief or one.error or one.note]
    if not brief:
        terminal.print(Text(str(checked.file), "bold"), soft_wrap=True)
    for one in told:
        for line in _lines(one, checked, named=brief):
            terminal.print(line, soft_wrap=True)


def _lines(one: Check, checked: Checked, *, named: bool) -> Iterator[Text]:
    """A check in a line, and the next step if it failed. With ``named``, the line begins with the file."""
    if one.error:
        yield Text.assemble(("  refused  ", "red"), plain_line(one.error.message))
        if one.error.hint:
            yield Text(f"           {plain_line(one.error.hint)}", "dim")
    elif one.note:
        where = f"{checked.file}: " if named else ""
        yield Text.assemble(("  skipped  ", "yellow"), f"{where}{one.what} was not checked: {one.note}")
    else:
        yield Text.assemble(("  ok       ", "green"), one.what)


def _chosen(checked: Sequence[Checked]) -> tuple[Path, Record]:
    """The record whose run is repeated: the lowest seed of the first row that was run here or elsewhere by GANBench."""
    from ganbench.leaderboards.entries import entry_of
    from ganbench.records.record import ExternalRecord

    readable = [(one.file, one.record) for one in checked if one.record]
    repeatable = [found for found in readable if not isinstance(found[1], ExternalRecord)] or readable
    row = entry_of(repeatable[0][1])
    return min((found for found in repeatable if entry_of(found[1]) == row), key=lambda found: found[1].seed)


def _is_repeated(chosen: tuple[Path, Record], rules: Rules, device: str, quiet: bool, terminal: Console) -> bool:
    """Repeat a run, and print and return whether it agrees with its record."""
    from ganbench.cli.repetition import Repetition, repeat

    file, record = chosen
    if repeat(file, record, Repetition(rules.of(record), device, None, quiet), terminal).reproduced:
        terminal.print(Text.assemble(("verified: ", "bold green"), str(file)), soft_wrap=True)
        return True
    terminal.print(Text.assemble(("not verified: ", "bold red"), str(file)), soft_wrap=True)
    return False
