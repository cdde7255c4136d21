"""Errors that the user can fix: one sentence, one next step, no traceback."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

LONGEST = 200
"""Characters of a name that are compared: the time to find a likeness grows with their square."""


class GanbenchError(Exception):
    """Base of every error the command line prints as a sentence, with exit code 2.

    ``message`` names the thing that is wrong; ``hint`` says what to do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

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


class Unsupported(GanbenchError):
    """A plugin declines: it does not fit the data (or the normalisation) it was asked for.

    Raised by plugins with the reason as its message: ``raise Unsupported("needs 2-D images")``.
    """


class UnknownSetting(ProtocolError, Unsupported):
    """``--set`` names a setting that this plugin lacks; in a grid, another plugin may have it."""


class Diverged(Exception):
    """A value is not finite. ``where`` names the quantity, ``step`` the iteration (None: while judging)."""

    def __init__(self, where: str, step: int | None = None) -> None:
        super().__init__(f"{where} is not finite" + (f" at iteration {step}" if step is not None else ""))
        self.where = where
        self.step = step


class GanbenchWarning(UserWarning):
    """A warning that the command line prints on one line before it continues."""


class Doubt(GanbenchWarning):
    """Why scores may not mean what they seem to: too few samples, an extractor made for other data."""


class PluginWarning(GanbenchWarning):
    """News for the author of an installed package; names the package, and the plugin if it is about one."""


def meant(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """`` - did you mean 'dcgan'?``, or nothing."""
    close = get_close_matches(name[:LONGEST], known, 1, likeness)
    return f" - did you mean '{close[0]}'?" if close else ""


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``"""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def told(error: BaseException) -> str:
    """An exception on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
