"""The command line as a user sees it in a folder: in a process of its own, or in this one."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from installing import surroundings

from ganbench.cli.main import main

Command = Callable[..., subprocess.CompletedProcess]


def command_in(folder: Path, site: Path) -> Command:
    """Run ``python -m ganbench ...`` in ``folder``, with the packages in ``site``, and return what it printed."""

    def call(*arguments: str, env: dict[str, str] | None = None, timeout: float = 600) -> subprocess.CompletedProcess:
        known = surroundings(site, COLUMNS="160", NO_COLOR="1")
        known.pop("GANBENCH_PLUGINS", None)
        return subprocess.run(
            [sys.executable, "-m", "ganbench", *map(str, arguments)],
            cwd=folder,
            env={**known, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return call


def command_here(folder: Path) -> Command:
    """Like ``command_in``, but in this process, which has torch already; no other packages are seen."""

    def call(*arguments: str) -> subprocess.CompletedProcess:
        said, complained = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complained):
            patch.chdir(folder)
            patch.setenv("COLUMNS", "160")
            patch.setenv("NO_COLOR", "1")
            patch.setattr(sys, "argv", ["ganbench", *map(str, arguments)])
            patch.setattr(warnings, "showwarning", warnings.showwarning)  # the command has its own, to the end
            code = 0
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
        return subprocess.CompletedProcess(arguments, code, *map(_text, (said, complained)))

    return call


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()
