"""Errors that the user can fix. Each has one sentence and one next step, and prints no traceback."""

from __future__ import annotations

import re
import signal
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

LONGEST_TEXT = 2_000
"""Maximum length of an exception's text, in characters. A plugin's message may have millions, or invalid Unicode."""
LONGEST_TRACE = 100_000
"""Maximum length of a traceback, in characters: half from its beginning and half from its end."""
LONGEST_COMPARED = 200
"""Number of characters of a name to compare. The time to compare names grows with its square."""
LIKENESS = 0.6
"""Minimum similarity (``difflib``'s ratio) at which one name is suggested for another."""
_FOLDERS = re.compile(r"""(?<=['"])~?/[^'"\n]*/|(?<![\w/:.~'"])~?/(?:[^/\s'"]+/)+""")
"""Matches the folders in absolute paths. Quoted paths may have spaces. ``https://`` and ``samples/s`` do not match."""


class GanbenchError(Exception):
    """Base class of all errors that the command line prints as a sentence, with exit code 2.

    ``message`` says what is wrong; ``hint`` says what to do about it.
    """

    message = hint = ""  # for a plugin's subclass that does not call __init__

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = legible(message), legible(hint)
        super().__init__(self.message, self.hint)

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class PluginError(GanbenchError):
    """A plugin is missing, ambiguous or broken, or breaks its contract."""


class ProtocolError(GanbenchError):
    """A protocol, or a setting that overrides one, is invalid."""


class DataError(GanbenchError):
    """Real data cannot be read, or samples passed from Python do not match them."""


class RecordError(GanbenchError):
    """A record cannot be read or must not be written."""


class UnknownScore(GanbenchError, KeyError):
    """No score has the requested name."""


class Unsupported(GanbenchError):
    """A plugin does not support the given data, normalisation or argument.

    Plugins raise it with the reason as the message: ``raise Unsupported("needs 2-D images")``.
    """


class UnknownSetting(ProtocolError, Unsupported):
    """``--set`` names a setting that this plugin does not have. In a grid of runs, another plugin may have it."""


class Diverged(Exception):
    """A value is not finite. ``where`` names the quantity, ``step`` the iteration (None during evaluation)."""

    def __init__(self, where: str, step: int | None = None) -> None:
        self.where = legible(where)
        super().__init__(f"{self.where} is not finite" + (f" at iteration {step}" if step is not None else ""))
        self.step = step


class GanbenchWarning(UserWarning):
    """A warning. The command line prints it on one line and continues."""


class Doubt(GanbenchWarning):
    """Scores may be misleading, for example because of too few samples or an extractor made for other data."""


class PluginWarning(GanbenchWarning):
    """A warning for the author of an installed package. It names the package, and the plugin if it concerns one."""


def closest(name: str, known: Iterable[str], likeness: float = LIKENESS) -> str | None:
    """Return the known name that is most similar to ``name``, or None if none is similar."""
    return next(iter(get_close_matches(name[:LONGEST_COMPARED], known, 1, likeness)), None)


def meant(name: str, known: Iterable[str], likeness: float = LIKENESS) -> str:
    """Return a suggestion to end a sentence with, `` - did you mean 'dcgan'?``, or nothing."""
    close = closest(name, known, likeness)
    return f" - did you mean '{close}'?" if close is not None else ""


def listed(names: Sequence[str]) -> str:
    """Join names for a sentence: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 record``, ``2,000 records``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def legible(text: object, longest: int = LONGEST_TEXT) -> str:
    """Make a text safe to print and store: valid Unicode, and without its middle if longer than ``longest``."""
    try:
        whole = str(text)
    except BaseException as error:  # a plugin's __str__ may raise anything
        whole = f"(its text cannot be read: {type(error).__name__})"
    if len(whole) > longest:
        end = longest // 4  # the end often says what is wrong
        whole = f"{whole[: longest - end]} ... ({len(whole) - longest:,} more characters) ... {whole[-end:]}"
    return whole.encode("utf-8", "backslashreplace").decode()


def told(error: BaseException) -> str:
    """Return an exception's type and message on one line."""
    return ": ".join(filter(None, [legible(type(error).__name__), " ".join(legible(error).split())]))


def told_exit(exit_code: int) -> str:
    """Say how a process ended: ``killed by SIGKILL``, ``exit code 3``."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    names = {number.value: number.name for number in signal.Signals}
    return f"killed by {names.get(-exit_code, f'signal {-exit_code}')}"  # real-time signals have no names


def without_folders(text: str) -> str:
    """Cut each absolute path in a text to its last name, because folders reveal who ran something and where."""
    return _FOLDERS.sub("", text)


def traced(error: BaseException) -> str:
    """Return an exception's traceback, without the middle if it is very long."""
    text = "".join(traceback.format_exception(error))
    if len(text) > LONGEST_TRACE:
        half = LONGEST_TRACE // 2
        text = f"{text[:half]}\n... ({len(text) - 2 * half:,} more characters) ...\n{text[-half:]}"
    return legible(text, len(text))


@contextmanager
def blaming(what: str, hint: str = "", *, passing: type[GanbenchError] | tuple[()] = ()) -> Iterator[None]:
    """Convert any exception that a plugin raises in the block to a PluginError that begins with ``what``.

    This includes SystemExit, but not the classes in ``passing`` or Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except passing:
        raise
    except BaseException as error:
        raise PluginError(f"{what}: {told(error)}", hint) from error
