"""The command line. Heavy imports stand inside the command that needs them."""

from __future__ import annotations

import io
import sys

from ganbench.cli import compare, leaderboard, listing, reproduce, run, runs
from ganbench.cli.base import app, complain
from ganbench.errors import GanbenchError

__all__ = ["app", "compare", "leaderboard", "listing", "main", "reproduce", "run", "runs"]


def main() -> None:
    """Entry point: an error the user can mend is one sentence and exit code 2."""
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a dash that a terminal cannot show must not cost the table
    try:
        app(arguments)
    except GanbenchError as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        complain(error)
        sys.exit(2)
