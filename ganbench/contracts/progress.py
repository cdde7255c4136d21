"""How far long work such as a preparation, a download or an extraction is, for the display."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

SECONDS = 1.0
"""Between two reports."""
Show = Callable[[str, int, int], None]
"""Shows ``(what is done, pieces done, all pieces)``."""
_show: ContextVar[Show | None] = ContextVar("show", default=None)


class Tick(Protocol):
    """Counts finished pieces of a work."""

    def __call__(self, pieces: int = 1, /) -> None:
        """Count them, and report if the last report is long ago. With 0 pieces, only report."""


@contextmanager
def shown_by(show: Show) -> Iterator[None]:
    """Let ``show`` be called, once in a while, for long work in the block."""
    token = _show.set(show)
    try:
        yield
    finally:
        _show.reset(token)


@contextmanager
def telling(what: str, pieces: int, done: int = 0) -> Iterator[Tick]:
    """Report the progress of work that consists of ``pieces``, of which some are done already."""
    show, last = _show.get(), time.monotonic()

    def tick(more: int = 1, /) -> None:
        nonlocal done, last
        done += more
        if show is not None and time.monotonic() - last >= SECONDS:
            last = time.monotonic()
            show(what, done, pieces)

    yield tick
