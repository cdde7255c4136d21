"""Errors that the user can fix: one sentence, one next step, no traceback."""

from __future__ import annotations

import re
import signal
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

LONGEST_TEXT = 2_000
"""Characters of an exception's text that are kept: what a plugin says may have millions, and not be Unicode."""
LONGEST_TRACE = 100_000
"""Characters of a traceback that are kept, half of them from its beginning and half from its end."""
LONGEST_COMPARED = 200
"""Characters of a name that are compared: the time to find a likeness grows with their square."""
LIKENESS = 0.6
"""How much of two names must agree for one to be offered in place of the other (``difflib``'s ratio)."""
_FOLDERS = re.compile(r"""(?<=['"])~?/[^'"\n]*/|(?<![\w/:.~'"])~?/(?:[^/\s'"]+/)+""")
"""Those of absolute paths: spaces belong to a path between quotes. ``https://`` and ``samples/s`` are none."""


class GanbenchError(Exception):
    """Base of every error the command line prints as a sentence, with exit code 2.

    ``message`` names the thing that is wrong; ``hint`` says what to do about it.
    """

    message = hint = ""  # of a plugin's subclass that does not call __init__

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = legible(message), legible(hint)
        super().__init__(self.message, self.hint)

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class PluginError(GanbenchError):
    """A plugin is missing, ambiguous, broken, or does not keep its contract."""


class ProtocolError(GanbenchError):
    """A protocol, or a setting laid over one, breaks the rules of protocols."""


class DataError(GanbenchError):
    """Real data that cannot be read, or samples from Python that do not fit them."""


class RecordError(GanbenchError):
    """A record that cannot be read or may not be written."""


class UnknownScore(GanbenchError, KeyError):
    """No score has the name that was asked for."""


class Unsupported(GanbenchError):
    """A plugin declines: it does not fit the data (or the normalisation) it was asked for.

    Raised by plugins with the reason as its message: ``raise Unsupported("needs 2-D images")``.
    """


class UnknownSetting(ProtocolError, Unsupported):
    """``--set`` names a setting that this plugin lacks; in a grid, another plugin may have it."""


class Diverged(Exception):
    """A value is not finite. ``where`` names the quantity, ``step`` the iteration (None: while judging)."""

    def __init__(self, where: str, step: int | None = None) -> None:
        self.where = legible(where)
        super().__init__(f"{self.where} is not finite" + (f" at iteration {step}" if step is not None else ""))
        self.step = step


class GanbenchWarning(UserWarning):
    """A warning that the command line prints on one line before it continues."""


class Doubt(GanbenchWarning):
    """Why scores may not mean what they seem to: too few samples, an extractor made for other data."""


class PluginWarning(GanbenchWarning):
    """News for the author of an installed package; names the package, and the plugin if it is about one."""


def closest(name: str, known: Iterable[str], likeness: float = LIKENESS) -> str | None:
    """The known name that is most like ``name``; None if none is like it."""
    return next(iter(get_close_matches(name[:LONGEST_COMPARED], known, 1, likeness)), None)


def meant(name: str, known: Iterable[str], likeness: float = LIKENESS) -> str:
    """`` - did you mean 'dcgan'?``, to end a sentence with, or nothing."""
    close = closest(name, known, likeness)
    return f" - did you mean '{close}'?" if close is not None else ""


def listed(names: Sequence[str]) -> str:
    """Names as part of a sentence: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def plural(number: int, noun: str) -> str:
    """A number of things: ``1 record``, ``2 records``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def legible(text: object, longest: int = LONGEST_TEXT) -> str:
    """``text`` as it can be printed and stored: valid Unicode, and without its middle if longer than ``longest``."""
    try:
        whole = str(text)
    except BaseException as error:  # a plugin's own __str__
        whole = f"(its text cannot be read: {type(error).__name__})"
    if len(whole) > longest:
        end = longest // 4  # which often says what is wrong
        whole = f"{whole[: longest - end]} ... ({len(whole) - longest:,} more characters) ... {whole[-end:]}"
    return whole.encode("utf-8", "backslashreplace").decode()


def told(error: BaseException) -> str:
    """An exception on one line."""
    return ": ".join(filter(None, [legible(type(error).__name__), " ".join(legible(error).split())]))


def told_exit(exit_code: int) -> str:
    """How a process ended: ``killed by SIGKILL``, ``exit code 3``."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    names = {number.value: number.name for number in signal.Signals}
    return f"killed by {names.get(-exit_code, f'signal {-exit_code}')}"  # real-time signals have no names


def without_folders(text: str) -> str:
    """The text with each absolute path cut to its last name: folders tell who ran something, and where."""
    return _FOLDERS.sub("", text)


def traced(error: BaseException) -> str:
    """An exception's traceback, without the middle of a very long one."""
    text = "".join(traceback.format_exception(error))
    if len(text) > LONGEST_TRACE:
        half = LONGEST_TRACE // 2
        text = f"{text[:half]}\n... ({len(text) - 2 * half:,} more characters) ...\n{text[-half:]}"
    return legible(text, len(text))


@contextmanager
def blaming(what: str, hint: str = "", *, passing: type[GanbenchError] | tuple[()] = ()) -> Iterator[None]:
    """Turn whatever a plugin raises in the block into a PluginError that begins with ``what``.

    That includes SystemExit, but neither what is ``passing`` nor Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except passing:
        raise
    except BaseException as error:
        raise PluginError(f"{what}: {told(error)}", hint) from error
