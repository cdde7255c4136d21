"""What the tests share: one thread, temporarily installed packages, and the command line as a user sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
import toy
from commands import Command, command_here, command_in
from installing import add_package, surroundings

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


PATIENT = '''
    """A loss that waits in its twentieth step, with the file ``waits``, for the file ``goes on``."""
    import time
    from pathlib import Path
    from ganbench import hookimpl
    class Patient:
        calls = 0
        def d_loss(self, D, real, fake):
            Patient.calls += 1
            if Patient.calls == 20:
                Path("waits").touch()
                for _ in range(60_000):  # ten minutes, should the test be gone
                    if Path("goes on").exists():
                        break
                    time.sleep(0.01)
            return D(fake).mean() - D(real).mean()
        def g_loss(self, D, real, fake): return -D(fake).mean()
    @hookimpl
    def ganbench_loss(): return Patient()
'''


class Patience:
    """Commands with the loss ``patient``: a run stands still in the middle of its training until ``end()``, so that
    what happens meanwhile does not depend on how fast the machine is."""

    def __init__(self, folder: Path, site: Path) -> None:
        self.folder, self.site = folder, site
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start Python with ``command`` in ``folder``, in a process group of its own. A pipe holds what it prints."""
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            env=surroundings(self.site, NO_COLOR="1", COLUMNS="160"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # a shell starts jobs in the background with SIGINT ignored, and every process below them inherits that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        self.started.append(process)
        return process

    def begin(self, process: subprocess.Popen[str]) -> None:
        """Wait until the run of ``process`` stands still."""
        limit = time.monotonic() + 600
        while not (self.folder / "waits").exists():
            assert process.poll() is None, "it ended before it came to wait"
            assert time.monotonic() < limit, "it never came to wait"
            time.sleep(0.02)

    def end(self) -> None:
        """Let the run go on; later ones do not wait."""
        (self.folder / "goes on").touch()

    def heard(self, process: subprocess.Popen[str], words: str) -> str:
        """What ``process`` says up to the line with ``words``, or to its end."""
        assert process.stdout is not None
        said = ""
        while words not in said and (line := process.stdout.readline()):
            said += line
        return said

    def interrupted(self, process: subprocess.Popen[str]) -> str:
        """Press Ctrl-C while the run stands still; what ``process`` says to its end."""
        self.begin(process)
        os.killpg(process.pid, signal.SIGINT)
        said = self.heard(process, "stopping")
        self.end()
        return said + process.communicate()[0]


@pytest.fixture
def patience(install: Callable[..., None], site: Path, tmp_path: Path) -> Iterator[Patience]:
    """The loss ``patient`` is installed; commands run in ``tmp_path``."""
    install("third-party", "loss", "patient", PATIENT)
    patience = Patience(tmp_path, site)
    yield patience
    for process in patience.started:
        with process:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
