"""The working directory is no place to import from: a ``torch.py`` in it is somebody's file, or a trap.

Python puts it first for ``-c`` and ``-m``, which is how multiprocessing starts its processes, and multiprocessing hands
them the path of their parent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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


@contextmanager
def main_left_out() -> Iterator[None]:
    """Hide the parent's main module from processes that start meanwhile.

    A spawned process first imports it: the whole command line, which no child needs (0.15 s), or a user's
    script, which would start again. multiprocessing reads ``__spec__`` and ``__file__`` of ``__main__`` for that, with
    "spawn" as with "forkserver", and has no option to leave it out (as of Python 3.13). ``set_executable`` changes only
    which program runs. A worker of ``subprocess`` would import nothing, but would do without multiprocessing's events.
    """
    main = vars(sys.modules["__main__"])
    before: dict[str, Any] = {name: main[name] for name in ("__spec__", "__file__") if name in main}
    main.update(dict.fromkeys(before))
    try:
        yield
    finally:
        main.update(before)


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return ""
