"""Only the process that began a job writes: a copy of it, which a plugin forked and let go on, ends instead."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_own: list[int] = []


@contextmanager
def only_this_process() -> Iterator[None]:
    """In the block, and where a copy of this process leaves it, ``end_if_forked`` ends the copy."""
    _own.append(os.getpid())
    try:
        yield
    finally:
        end_if_forked()
        _own.pop()


def end_if_forked() -> None:
    """End at once if this is a copy: without exit handlers, which would tidy up after the original."""
    if _own and os.getpid() != _own[-1]:
        os._exit(0)
