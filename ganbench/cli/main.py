"""The whole command line. Heavy imports stand inside the command that needs them."""

from __future__ import annotations

import io
import os
import sys
import warnings

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
from ganbench.cli.base import app, caution, complain
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
        app(arguments)
    except GanbenchError as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        complain(error)
        sys.exit(2)


def _complete() -> None:
    """Answer the shell. Whatever goes wrong, nothing is written into the line that the user is typing."""
    warnings.simplefilter("ignore")
    try:
        app([])
    except Exception:
        sys.exit(1)
