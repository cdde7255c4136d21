"""The whole command line. Heavy imports stand inside the command that needs them."""

from __future__ import annotations

import io
import os
import sys
import warnings
from contextlib import suppress
from typing import TextIO

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
from ganbench.cli.base import app, caution, complain, said_by_the_system
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
    """Entry point: an error that the user can fix is one sentence and exit code 2."""
    if "_GANBENCH_COMPLETE" in os.environ:
        _complete()
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a dash that the terminal cannot show must not cost the table
    warnings.showwarning = caution
    try:
        _carry_out(arguments)
    except (GanbenchError, OSError) as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        with suppress(OSError):  # standard error may be what cannot be written
            complain(error if isinstance(error, GanbenchError) else said_by_the_system(error))
        sys.exit(2)


def _carry_out(arguments: list[str]) -> None:
    try:
        app(arguments)
    finally:
        if sys.stdout is not None:  # it was not closed from the start
            _flush(sys.stdout)


def _flush(stream: TextIO) -> None:
    """Write what is left, while it can still be said that this fails."""
    try:
        stream.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # or Python would try once more when it ends
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):  # `| head` has read enough
            raise


def _complete() -> None:
    """Answer the shell. Whatever goes wrong, nothing is written into the line that the user is typing."""
    warnings.simplefilter("ignore")
    try:
        app([])
    except Exception:
        sys.exit(1)
