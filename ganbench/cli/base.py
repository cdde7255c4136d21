"""The application that commands register with, and how errors and warnings are printed."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TextIO, TypeVar

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from ganbench._version import __version__
from ganbench.cli.guide import GUIDES, Guide, in_order
from ganbench.cli.usage import refuse_empty
from ganbench.errors import GanbenchError, GanbenchWarning
from ganbench.plain import PlainConsole, plain, plain_line

LONGEST_SENTENCE, LONGEST_HINT = 1000, 10_000
"""In characters; a hint may list everything that is installed."""
DEBUG = "--debug"
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass
class Invocation:
    """State that all commands share, the ``obj`` of their contexts. ``main`` creates it and reads it after they end."""

    debug: bool = False


class Commands(TyperGroup):
    """The group of all commands.

    It sees the command line first, so ``--debug`` works anywhere, even for errors in the command line itself.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # typer does not export the context of its own click
        """Remove ``--debug`` and, unless a shell is asking for completions, reject empty values."""
        ctx.ensure_object(Invocation).debug |= DEBUG in args
        others = [text for text in args if text != DEBUG]
        if not ctx.resilient_parsing:
            refuse_empty(others)
        return super().parse_args(ctx, others)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands, in the order of use."""
        return in_order(super().list_commands(ctx))


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="**GANBench**: which GAN is better, at the same cost, and how sure are we?\n\n"
    "Start with `ganbench run --arch dcgan --loss wgan-gp`.",
)


def command(name: str) -> Callable[[Function], Function]:
    """Register a command in its group of ``ganbench --help``, with its example."""
    guide = GUIDES[name]
    return app.command(
        name,
        rich_help_panel=guide.group,
        short_help=with_example(guide),
        epilog=f"Example: `ganbench {guide.example}`",
    )


def with_example(guide: Guide) -> str:
    """One line of help, followed by the example."""
    return f"{guide.purpose.rstrip('.')}: `ganbench {guide.example}`"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ganbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option(DEBUG, help="Show the traceback of an error. Works in any position.")] = False,
) -> None:
    """Options before the command. ``Commands`` handles ``--debug``, which is listed here only for the help."""


def console(stderr: bool = False) -> Console:
    """The console for tables and messages.

    Without a terminal, output is 160 columns wide instead of 80. Printed text may come from outside: see
    ``PlainConsole``.
    """
    wide = PlainConsole(stderr=stderr)
    if not wide.is_terminal and "COLUMNS" not in os.environ:
        wide.width = 160
    return wide


def echo(document: str, *, end: str = "\n") -> None:
    """Print a document for other programs on standard output, with control characters escaped."""
    typer.echo(plain(document) + end, nl=False)


def complain(error: GanbenchError) -> None:
    """Print an error and its next step on standard error."""
    console = PlainConsole(stderr=True, soft_wrap=True)
    console.print("error:", style="bold red", end=" ")
    console.print(_cut(plain_line(error.message), LONGEST_SENTENCE))
    if error.hint:
        console.print(_cut(plain_line(error.hint), LONGEST_HINT), style="dim")


def _cut(line: str, longest: int) -> str:
    """Shorten a very long line by cutting out its middle."""
    return line if len(line) <= longest else f"{line[: longest // 2]} ... {line[-longest // 2 :]}"


def said_by_the_system(error: OSError) -> GanbenchError:
    """Turn an error of the operating system that nothing else explains into a message and a next step."""
    why = error.strerror or str(error)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return GanbenchError(f"cannot open more files at a time: {why}", "raise the limit: ulimit -n 1024")
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return GanbenchError(f"cannot write the output: {why}", "free some space, or redirect it elsewhere")
    where = "" if error.filename is None else f": {os.fsdecode(error.filename)}"
    return GanbenchError(f"{why}{where}", "run with --debug to see where")


def caution(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """``warnings.showwarning``: print GANBench's own warnings on one line, without a source location."""
    if issubclass(category, GanbenchWarning) and file is None:
        told = Text.assemble(("warning:", "yellow"), f" {message}")
        PlainConsole(stderr=True, soft_wrap=True).print(told)
    else:
        text = warnings.formatwarning(message, category, filename, lineno, line)
        (file or sys.stderr).write(plain(text))
