"""What the tests share: one thread, temporarily installed packages, and the command line as a user sees it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
import toy
from commands import Command, command_here, command_in
from installing import add_package, surroundings
from patience import Patience, patience_in

from ganbench import plugins
from ganbench.records.record import Record

os.environ.setdefault("OMP_NUM_THREADS", "1")

# What takes long is kept in a folder: not in the user's.
os.environ.setdefault("GANBENCH_CACHE", tempfile.mkdtemp(prefix="ganbench-cache-"))
os.environ.setdefault("XDG_STATE_HOME", tempfile.mkdtemp(prefix="ganbench-state-"))

worker = os.environ.get("PYTEST_XDIST_WORKER")
if worker and hasattr(os, "sched_setaffinity"):  # a core each, so that commands do not start a process for both
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Torch has ``number`` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Also where a fixture computes something for a whole module."""
    with threads(1):
        yield


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed() -> Iterator[None]:
    """Whatever ran before, in whatever order."""
    with threads(1):
        torch.manual_seed(0)
        yield


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages that ``ganbench_command`` sees."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def install(site: Path) -> Callable[..., None]:
    """Install a one-module plugin package; arguments as ``add_package`` has them."""
    return partial(add_package, site)


@pytest.fixture
def install_here(install: Callable[..., None], site: Path) -> Iterator[Callable[..., None]]:
    """Like ``install``, for this process and its workers, which do not know the package any more afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", surroundings(site)["PYTHONPATH"])

        def add(*arguments: str, **named: str) -> None:
            install(*arguments, **named)
            patch.syspath_prepend(site)
            plugins.installed.cache_clear()

        yield add
    plugins.installed.cache_clear()


@pytest.fixture
def quick(tmp_path: Path) -> str:
    """Rules of one short run that is judged by FID alone, as a file in the folder that commands run in."""
    (tmp_path / "quick.toml").write_text(toy.QUICK)
    return "quick.toml"


@pytest.fixture
def mixed() -> list[Record]:
    """Some records of every kind, for a table."""
    return toy.every_kind()


@pytest.fixture
def ganbench_here(tmp_path: Path) -> Command:
    """Like ``ganbench_command``, but in this process; packages in ``site`` are not seen."""
    return command_here(tmp_path)


@pytest.fixture
def ganbench_command(site: Path, tmp_path: Path) -> Command:
    """Run ``python -m ganbench ...`` in an empty folder and return what it printed."""
    return command_in(tmp_path, site)


@pytest.fixture
def patience(site: Path, tmp_path: Path) -> Iterator[Patience]:
    """Commands with the loss ``patient`` in ``tmp_path``."""
    with patience_in(tmp_path, site) as patience:
        yield patience
