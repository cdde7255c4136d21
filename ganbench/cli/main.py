"""The whole command line. Heavy imports stand inside the command that needs them."""

from __future__ import annotations

import io
import os
import sys
import warnings

import typer

from ganbench.cli import (
    animate,
    compare,
    doctor,
    latent,
    leaderboard,
    listing,
    new_plugin,
    reproduce,
    run,
    runs,
    sample,
    time,
)
from ganbench.cli.base import app, caution, complain, echo
from ganbench.cli.usage import UsageError, refuse_empty, told
from ganbench.errors import GanbenchError

__all__ = [
    "animate",
    "app",
    "compare",
    "doctor",
    "latent",
    "leaderboard",
    "listing",
    "main",
    "new_plugin",
    "reproduce",
    "run",
    "runs",
    "sample",
    "time",
]


def main() -> None:
    """Entry point: an error that the user can fix is one sentence, a next step, and exit code 2."""
    if "_GANBENCH_COMPLETE" in os.environ:
        _complete()
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a dash that the terminal cannot show must not cost the table
    warnings.showwarning = caution
    try:
        sys.exit(_call(arguments))
    except GanbenchError as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        complain(error)
        sys.exit(2)


def _call(arguments: list[str]) -> int:
    """Carry out a command; returns its exit code.

    Raises:
        GanbenchError: the user can fix it.
    """
    try:
        refuse_empty(arguments)
        return app(arguments, prog_name="ganbench", standalone_mode=False) or 0
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the help is printed, or is the message
            echo(error.format_message(), end="")
            return 2
        raise told(error) from error
    except typer.Abort:
        return 1
    except OSError as error:  # a path that is too long, a folder that may not be read
        path = f"{error.filename}: " if error.filename else ""
        why = error.strerror or type(error).__name__
        raise GanbenchError(f"{path}{why}", "give another path, or see with --debug where it is used") from error


def _complete() -> None:
    """Answer the shell. Whatever goes wrong, nothing is written into the line that the user is typing."""
    warnings.simplefilter("ignore")
    try:
        app([])
    except Exception:
        sys.exit(1)
