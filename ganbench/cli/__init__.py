"""The command line. Heavy imports stand inside the command that needs them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from ganbench import __version__
from ganbench.errors import GanbenchError

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
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error. May stand anywhere.")] = False,
) -> None:
    """Options before the command."""


from ganbench.cli import leaderboard, listing, run, runs  # noqa: E402 - they register themselves on ``app``

__all__ = ["app", "leaderboard", "listing", "main", "run", "runs"]


def main() -> None:
    """Entry point: an error the user can mend is one sentence and exit code 2."""
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        app(arguments)
    except GanbenchError as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        complain(error)
        sys.exit(2)


def complain(error: GanbenchError) -> None:
    """Print an error and its next step on standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print("error:", style="bold red", end=" ")
    console.print(error.message, markup=False)
    if error.hint:
        console.print(error.hint, style="dim", markup=False)
