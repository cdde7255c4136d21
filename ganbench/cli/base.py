"""The application that commands register with, and how errors and warnings are printed."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from typing import Annotated, TextIO

import typer
from rich.console import Console
from rich.markup import escape

from ganbench._version import __version__
from ganbench.errors import GanbenchError, GanbenchWarning

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="**GANBench**: which GAN is better, at the same cost, and how sure are we?\n\n"
    "Start with `ganbench run --arch dcgan --loss wgan-gp`.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ganbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error. Allowed anywhere.")] = False,
) -> None:
    """Options before the command."""


def console(stderr: bool = False) -> Console:
    """Where tables and lines go. Without a terminal, output is not squeezed into 80 columns."""
    wide = Console(stderr=stderr, highlight=False)
    if not wide.is_terminal and "COLUMNS" not in os.environ:
        wide.width = 160
    return wide


def complain(error: GanbenchError) -> None:
    """Print an error and its next step on standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print("error:", style="bold red", end=" ")
    console.print(error.message, markup=False)
    if error.hint:
        console.print(error.hint, style="dim", markup=False)


def said_by_the_system(error: OSError) -> GanbenchError:
    """What the operating system refused that no other sentence tells."""
    why = error.strerror or str(error)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return GanbenchError(f"more files are needed at a time than allowed: {why}", "raise the limit: ulimit -n 1024")
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return GanbenchError(f"cannot write the output: {why}", "free some space, or send it elsewhere")
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
    """``warnings.showwarning``: GANBench's own warnings are one line, without a place in the source."""
    if issubclass(category, GanbenchWarning) and file is None:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"[yellow]warning:[/] {escape(str(message))}")
    else:
        text = warnings.formatwarning(message, category, filename, lineno, line)
        (file or sys.stderr).write(text)
