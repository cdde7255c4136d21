"""What the tests share: one thread, temporarily installed packages, and the command line as a user sees it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

os.environ.setdefault("OMP_NUM_THREADS", "1")

# What takes long is kept in a folder: not in the user's.
os.environ.setdefault("GANBENCH_CACHE", tempfile.mkdtemp(prefix="ganbench-cache-"))

worker = os.environ.get("PYTEST_XDIST_WORKER")
if worker and hasattr(os, "sched_setaffinity"):  # a core each, so that commands do not start a process for both
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})

Command = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    """Whatever ran before, in whatever order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages that ``ganbench_command`` sees."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def install(site: Path) -> Callable[..., None]:
    """Install a one-module plugin package the way pip does: its module and its dist-info."""

    def add(package: str, kind: str, name: str, code: str, version: str = "1.0", module: str = "") -> None:
        module = module or f"{package.replace('-', '_')}_{name.replace('-', '_')}"
        (site / f"{module}.py").write_text(textwrap.dedent(code))
        info = site / f"{package.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        with (info / "entry_points.txt").open("a") as file:
            file.write(f"[ganbench.{kind}]\n{name} = {module}\n")

    return add


@pytest.fixture
def ganbench_command(site: Path, tmp_path: Path) -> Command:
    """Run ``python -m ganbench ...`` in an empty folder and return what it printed."""

    def call(*arguments: str, env: dict[str, str] | None = None, timeout: float = 240) -> subprocess.CompletedProcess:
        path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
        surroundings = {**os.environ, "PYTHONPATH": path, "COLUMNS": "160", "NO_COLOR": "1", **(env or {})}
        surroundings.pop("GANBENCH_PLUGINS", None) if not env or "GANBENCH_PLUGINS" not in env else None
        return subprocess.run(
            [sys.executable, "-m", "ganbench", *map(str, arguments)],
            cwd=tmp_path,
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return call
