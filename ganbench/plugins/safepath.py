"""Never import from the working directory, where a ``torch.py`` may be an unrelated file or an attack.

Python puts the working directory first on ``sys.path`` for ``-c`` and ``-m``. Multiprocessing starts its processes that
way and passes them the parent's ``sys.path``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

VARIABLE = "PYTHONSAFEPATH"
"""Makes Python and its child processes keep the working directory off ``sys.path``."""


def safe_path() -> list[str]:
    """Return ``sys.path`` without the working directory, unless the user's PYTHONPATH names it."""
    here, named = _here(), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    by_python = sys.path[:1] == [here] and here not in map(os.path.abspath, filter(None, named))
    return [entry for entry in sys.path[by_python:] if entry]


@contextmanager
def nothing_from_here() -> Iterator[None]:
    """Keep processes started in the block, and their children, from importing from the working directory."""
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
    """Hide the parent's main module from processes started in the block.

    A spawned process first imports that module. This is either our command line, which no child needs (0.15 s), or the
    user's script, which would start again. multiprocessing finds it through ``__spec__`` and ``__file__`` of
    ``__main__``, with "spawn" and "forkserver" alike, and has no option to skip it (as of Python 3.13).
    ``set_executable`` changes only the program that runs. A ``subprocess`` worker would import nothing, but could not
    use multiprocessing's events.
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
    except OSError:  # the directory was deleted
        return ""
