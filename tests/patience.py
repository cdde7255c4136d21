"""A run that stands still in the middle of its training, whatever the speed of the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from installing import add_package, surroundings

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


@contextmanager
def patience_in(folder: Path, site: Path) -> Iterator[Patience]:
    """The loss ``patient`` is among the packages in ``site``; commands run in ``folder``."""
    add_package(site, "third-party", "loss", "patient", PATIENT)
    patience = Patience(folder, site)
    try:
        yield patience
    finally:
        for process in patience.started:
            with process:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
