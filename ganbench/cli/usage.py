"""Errors in the command line itself: unknown, missing or invalid options, arguments and commands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import typer

from ganbench.errors import GanbenchError, meant

# typer exports no base class of these errors; they are click's, or, in newer versions, those of its own copy of click
UsageError: Any = typer.BadParameter.__base__


def refuse_empty(arguments: Sequence[str]) -> None:
    """Raise GanbenchError if an argument or the value of an option is empty.

    An empty path would mean the working directory, and an empty name would mean no name.
    """
    for before, text in zip(["", *arguments], arguments, strict=False):
        option = re.fullmatch(r"(--[\w-]+)=\s*", text)
        if text.strip() and not option:
            continue
        what = option[1] if option else before
        why = f"the value of {what} is empty" if what.startswith("-") else "an argument is empty"
        raise GanbenchError(why, "give it a value or leave it out; in a shell, an unset variable is empty")


def as_error(error: Any) -> GanbenchError:
    """An error in the command line as one sentence and a next step."""
    message = " ".join(error.format_message().replace("Value error, ", "").split())
    message, _, _ = message.partition(" (Possible options: ")
    message, _, _ = message.partition(" (Did you mean one of: ")
    message, _, _ = message.partition(" Did you mean ")
    message = message.rstrip(".")
    context = getattr(error, "ctx", None)
    close = _meant(message, context)
    path = context.command_path if context is not None else "ganbench"
    return GanbenchError(message[:1].lower() + message[1:] + close, f"`{path} --help` shows what it takes")


def _meant(message: str, context: Any) -> str:
    """`` - did you mean '--arch'?`` after an option or a command that does not exist."""
    if context is None or not (found := re.match(r"No such (option|command):? '?([^']*)'?$", message)):
        return ""
    if found[1] == "command":
        known = context.command.list_commands(context)
    else:
        known = [name for one in context.command.get_params(context) for name in (*one.opts, *one.secondary_opts)]
        known = [name for name in known if name.startswith("--")]
    return meant(found[2], known)
