"""``ganbench merge``: bring records of many machines into one folder of runs."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from ganbench.cli import completion
from ganbench.cli.base import command, console
from ganbench.errors import GanbenchError, plural
from ganbench.plain import plain_line
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.plan import check_writable

if TYPE_CHECKING:
    from ganbench.runs.merging import Ending

SHOWN = 3
"""Refused records that are shown for each reason."""
Given = Annotated[
    list[str] | None,
    typer.Option(
        "--protocol",
        help="A TOML file with the rules of records that no installed plugin has (repeat).",
        autocompletion=completion.protocols,
    ),
]


@command("merge")
def merge(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR", help="Folders of runs or of published records, or single records.")
    ],
    out: Annotated[Path, typer.Option(help="The folder of runs to merge into.")] = Path("runs"),
    protocol: Given = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, but write nothing.")] = False,
) -> None:
    """Copy the runs of many machines into one folder, so that they share a table.

    Every record is checked: its format and seal, that its scores are the means of their draws, the rules that it was
    made under, the folder that it is in, and whose samples lie beside it. A record that fails is refused with a reason
    (exit code 1). Nothing is overwritten, so you can repeat the command at any time. Timings and pictures are not
    copied.
    """
    from ganbench.leaderboards.gathering import records_below
    from ganbench.runs.checks import Rules
    from ganbench.runs.merging import merge as merge_records

    rules = Rules(protocol or [])
    files = list(dict.fromkeys(file for folder in folders for file in records_below(folder)))
    if any(folder.resolve() == out.resolve() for folder in folders):
        raise GanbenchError(f"{out} is both merged and the folder to merge into", "choose another folder with --out")
    if not dry_run:
        check_writable(out)
    endings = merge_records(files, out, rules, dry_run=dry_run)
    terminal = console()
    for line in _refusals(endings):
        terminal.print(line, soft_wrap=True)
    terminal.print(_summary(endings, out, dry_run), soft_wrap=True)
    for line in _left(endings):
        terminal.print(line, soft_wrap=True)
    if not dry_run:
        _where_next(endings, out, protocol or [], terminal)
    if any(ending.how == "refused" for ending in endings):
        raise typer.Exit(1)


def _refusals(endings: Sequence[Ending]) -> Iterator[Text]:
    """Each refused record with its reason and the next step, grouped by the check that it failed."""
    groups = defaultdict[str, list[GanbenchError]](list)
    for ending in endings:
        if ending.how == "refused" and ending.problem and ending.problem.error:
            groups[ending.problem.what].append(ending.problem.error)
    for errors in groups.values():
        for error in errors[:SHOWN]:
            yield Text.assemble(("refused:", "red"), f" {plain_line(error.message)}")
            if error.hint:
                yield Text(f"  {plain_line(error.hint)}", "dim")
        if len(errors) > SHOWN:
            yield Text.assemble(("refused:", "red"), f" {len(errors) - SHOWN:,} more that fail the same check")


def _summary(endings: Sequence[Ending], out: Path, dry_run: bool) -> Text:
    """One line: how many records were merged, were there already, and were refused."""
    number = Counter(ending.how for ending in endings)
    parts = [f"{plural(number['merged'], 'record')} {'would be ' if dry_run else ''}merged"]
    parts += [f"{number['there']:,} already there"] if number["there"] else []
    parts += [f"{number['same']:,} with the bits of one that is there"] if number["same"] else []
    parts += [f"{number['left']:,} left out"] if number["left"] else []
    parts += [f"{number['refused']:,} refused"] if number["refused"] else []
    return Text.assemble((str(out), "bold"), f": {', '.join(parts)}")


def _left(endings: Sequence[Ending]) -> Iterator[Text]:
    """A sentence on the runs that are not over."""
    left = [ending.file for ending in endings if ending.how == "left"]
    if left:
        more = f" and {len(left) - 1:,} more" if len(left) > 1 else ""
        yield Text.assemble(
            ("left out:", "yellow"), f" {left[0].parent}{more}, not finished; the same `ganbench run` finishes a run"
        )


def _where_next(endings: Sequence[Ending], out: Path, given: Sequence[str], terminal: Console) -> None:
    """The command that prints the table of each protocol with merged records."""
    files = _files(given)
    names = sorted({ending.protocol for ending in endings if ending.how in ("merged", "there", "same")})
    runs = [] if out == Path("runs") else ["--runs", str(out)]
    for number, name in enumerate(names):
        table = shlex.join(["ganbench", "leaderboard", files.get(name, name), *runs])
        terminal.print(Text.assemble("      " if number else "next: ", (table, "bold")), soft_wrap=True)


def _files(given: Sequence[str]) -> Mapping[str, str]:
    """The texts that protocols were given by, by their names."""
    return {load_protocol(text).name: text for text in given}
