"""Let only the process that started a job write. If a plugin forks it and lets the copy run on, the copy exits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_own: list[int] = []


@contextmanager
def only_this_process() -> Iterator[None]:
    """Inside the block, ``end_if_forked`` ends a copy of this process; so does leaving the block in a copy."""
    _own.append(os.getpid())
    try:
        yield
    finally:
        end_if_forked()
        _own.pop()


def end_if_forked() -> None:
    """End at once if this is a copy, without exit handlers, which would clean up after the original."""
    if _own and os.getpid() != _own[-1]:
        os._exit(0)
