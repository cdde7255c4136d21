"""The command line. Heavy imports are inside the commands that need them."""

from __future__ import annotations

import io
import os
import sys
import warnings
from contextlib import suppress
from typing import TextIO

import typer

from ganbench.cli import (
    animate,
    compare,
    data,
    doctor,
    download,
    evaluate,
    latent,
    leaderboard,
    listing,
    merge,
    new_plugin,
    new_protocol,
    reproduce,
    run,
    runs,
    sample,
    status,
    time,
    verify,
)
from ganbench.cli.base import Invocation, app, caution, complain, echo, said_by_the_system
from ganbench.cli.usage import UsageError, as_error
from ganbench.errors import GanbenchError

__all__ = [
    "animate",
    "app",
    "compare",
    "data",
    "doctor",
    "download",
    "evaluate",
    "latent",
    "leaderboard",
    "listing",
    "main",
    "merge",
    "new_plugin",
    "new_protocol",
    "reproduce",
    "run",
    "runs",
    "sample",
    "status",
    "time",
    "verify",
]


def main() -> None:
    """Entry point. An error that the user can fix prints one sentence and a next step; the exit code is 2."""
    if "_GANBENCH_COMPLETE" in os.environ:
        _complete()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a dash that the terminal cannot show must not abort the table
    warnings.showwarning = caution
    invocation = Invocation()
    try:
        sys.exit(_carry_out(invocation))
    except (GanbenchError, OSError) as error:
        if invocation.debug:
            raise
        with suppress(OSError):  # standard error itself may not be writable
            complain(error if isinstance(error, GanbenchError) else said_by_the_system(error))
        sys.exit(2)


def _carry_out(invocation: Invocation) -> int:
    """Carry out a command, write all of its output, and return its exit code."""
    try:
        return _call(invocation)
    finally:
        if sys.stdout is not None:  # None if it was closed from the start
            _flush(sys.stdout)


def _call(invocation: Invocation) -> int:
    """Carry out a command and return its exit code.

    Raises:
        GanbenchError: something that the user can fix.
    """
    try:
        return app(prog_name="ganbench", standalone_mode=False, obj=invocation) or 0
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the help was printed already, or is the message
            echo(error.format_message(), end="")
            return 2
        raise as_error(error) from error
    except (typer.Abort, BrokenPipeError):  # `| head` has read enough
        return 1


def _flush(stream: TextIO) -> None:
    """Write what is left now, while a failure can still be reported."""
    try:
        stream.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # otherwise, Python would try again at exit
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            raise


def _complete() -> None:
    """Answer the shell. Errors print nothing, because it would end up in the line that the user is typing."""
    warnings.simplefilter("ignore")
    try:
        app([])
    except Exception:
        sys.exit(1)
