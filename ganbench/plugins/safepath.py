"""The working directory is no place to import from: a ``torch.py`` in it is somebody's file, or a trap.

Python puts it first for ``-c`` and ``-m``, which is how multiprocessing starts its processes, and multiprocessing hands
them the path of their parent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "PYTHONSAFEPATH"
"""Tells Python, and whatever it starts, to leave the working directory out."""


def safe_path() -> list[str]:
    """``sys.path`` without the working directory, unless the user's PYTHONPATH names it."""
    here, named = _here(), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    by_python = sys.path[:1] == [here] and here not in map(os.path.abspath, filter(None, named))
    return [entry for entry in sys.path[by_python:] if entry]


@contextmanager
def nothing_from_here() -> Iterator[None]:
    """Processes that are started meanwhile, and those that they start, import nothing from the working directory."""
    path, before = list(sys.path), os.environ.get(VARIABLE)
    sys.path[:] = safe_path()
    os.environ[VARIABLE] = "1"
    try:
        yield
    finally:
        sys.path[:] = path
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return ""
