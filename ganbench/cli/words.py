"""Says in options what errors say in arguments of the Python functions. Nothing else translates between the two."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ganbench.errors import DataError

OPTIONS = (
    (r"range=\(([^(),]+), ([^(),]+)\)", r"--range \1,\2"),
    (r"`range`", "--range"),
    (r"\btrust=True", "--trust"),
    (r"\bz_dim=(\d+)", r"--z-dim \1"),
    (r"\blabels=$", "--labels"),
    (r"\bpass(?= --)", "give"),
    (r"\bpass their\b", "give their"),
    (r"\bgive (?=(?:samples|labels)\b[^ ,;])", "store "),
    (r"\bgive (?=labels [-+])", "store "),
)
"""Patterns of arguments, in the order in which they are replaced, and the options in their place."""


def in_options(text: str) -> str:
    """The text with options in place of arguments."""
    for pattern, option in OPTIONS:
        text = re.sub(pattern, option, text)
    return text


@contextmanager
def errors_in_options() -> Iterator[None]:
    """Translate errors about samples that are raised in the block."""
    try:
        yield
    except DataError as error:
        raise DataError(in_options(error.message), in_options(error.hint)) from error
