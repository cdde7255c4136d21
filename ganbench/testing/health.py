"""Checks whether installed plugins can be used; imports, builds and checks each one in its own process.

A plugin can end or block its process: by a crash in native code, ``os._exit``, an endless loop. Here this affects only
that plugin's report. The checks are in ``ganbench.testing.installed``; this module runs the processes, and imports
neither torch nor a plugin.
"""

from __future__ import annotations

import faulthandler
import multiprocessing as mp
import os
import re
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from ganbench.errors import DataError, GanbenchError, Unsupported, told, told_exit, traced
from ganbench.plugins import safepath
from ganbench.plugins.source import Source
from ganbench.testing.finding import Finding

Depth = Literal["build", "check"]
HealthStatus = Literal["ok", "found", "declined", "unusable"]
PRELOADED = ["ganbench.testing.installed", "torch._dynamo"]
"""Modules imported before any plugin. torch would load the second at the first layer on the meta device, which takes
more than a second."""

GRACE_SECONDS = 5.0
"""Seconds that a child has after its time limit to report where it is."""


@dataclass(frozen=True)
class Health:
    """The state of an installed plugin.

    ``status`` is ``"ok"``; ``"found"`` if it works but breaks its contract (``findings``); ``"declined"`` if it
    declined everything it was tried on with a reason (a folder of images without a folder); ``"unusable"`` if it cannot
    be imported or built, or ended its process. For the last two, ``message`` and ``hint`` are the sentence and the next
    step, and ``traceback`` shows where an exception came from. ``notes`` are for information only, for example on
    speed.
    """

    source: Source
    status: HealthStatus
    message: str = ""
    hint: str = ""
    traceback: str = ""
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether there is nothing to fix."""
        return self.status in {"ok", "declined"}


OFFLINE = {
    "GANBENCH_OFFLINE": "1",
    "HF_HUB_OFFLINE": "1",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
}
"""Environment variables that make downloads by a plugin fail immediately."""


def examine(
    sources: Iterable[Source], depth: Depth = "check", timeout: float = 120.0, *, offline: bool = False
) -> Iterator[Health]:
    """Examine plugins one by one, each in its own process, and yield the state of each as soon as it is known.

    Args:
        sources: the plugins.
        depth: ``"build"`` imports a plugin and builds something; ``"check"`` also runs the checks of its kind.
        timeout: time limit per plugin, in seconds.
        offline: forbid downloads; a plugin that needs one then declines or fails.
    """
    with safepath.nothing_from_here():
        context = _context()
    with TemporaryDirectory(prefix="ganbench-") as folder:
        for place, source in enumerate(sources):
            environment = os.environ | {safepath.VARIABLE: "1"} | (OFFLINE if offline else {})
            yield _examined(context, source, depth, timeout, Path(folder) / str(place), environment)


def _context() -> Any:
    """The multiprocessing context for child processes.

    Forking a process that has imported torch but no plugin is 30 times as fast as starting a new one. On systems other
    than Linux, native libraries do not survive a fork.
    """
    if sys.platform != "linux":
        return mp.get_context("spawn")
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    resource_tracker.ensure_running()  # ensure_running() below would also start it, and unblock the signal
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # for the server: the parent handles Ctrl-C
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    return context


def _examined(
    context: Any, source: Source, depth: Depth, timeout: float, said: Path, environment: Mapping[str, str]
) -> Health:
    """Examine one plugin; its standard error is written to the file ``said``."""
    began = time.monotonic()
    pipe, theirs = context.Pipe(duplex=False)
    arguments = (source, depth, timeout, theirs, said, environment)
    process = context.Process(target=_look, args=arguments)
    try:
        with safepath.main_left_out(), safepath.nothing_from_here():
            process.start()
    except (OSError, EOFError) as error:  # the fork server died while importing
        message = f"the process to check it in could not be started ({type(error).__name__})"
        return Health(source, "unusable", message, 'run `python -c "import ganbench.testing"` to see why')
    theirs.close()  # so that only the child holds this end, and its death closes the pipe
    try:
        outcome, stage = _heard(pipe, process, timeout + GRACE_SECONDS)
        if outcome is None:
            outcome = _fate(process, stage, timeout, source, said)
    finally:
        _end(process)
        pipe.close()
    return Health(source, **outcome, seconds=time.monotonic() - began)


def _heard(pipe: Connection, process: BaseProcess, seconds: float) -> tuple[dict[str, Any] | None, str]:
    """(the child's report, the last stage before it); the report is None if the child died or took too long."""
    stage, deadline = "before it was imported", time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        wait([pipe, process.sentinel], timeout=left)
        if pipe.poll():
            try:
                word = pipe.recv()
            except (EOFError, OSError):
                process.join(left)
                break
            if isinstance(word, dict):
                return word, stage
            stage = word
        elif not process.is_alive():
            break
    return None, stage


def _fate(process: BaseProcess, stage: str, timeout: float, source: Source, said: Path) -> dict[str, Any]:
    """The outcome for a child that did not report one."""
    text = said.read_text("utf-8", errors="replace") if said.exists() else ""
    if process.is_alive() or TIMED_OUT in text:
        fate = f"it did not finish within {timeout:g} s"
    elif process.exitcode is not None and process.exitcode < 0:
        fate = told_exit(process.exitcode)
    else:
        fate = f"it ended the process with exit code {process.exitcode}"
    return {"status": "unusable", "message": f"{fate} {stage}", "hint": _place(text, source)}


TIMED_OUT = "Timeout ("  # the header that faulthandler writes


def _place(text: str, source: Source) -> str:
    """Where the child was, or the last line that it printed.

    That is the innermost line of the plugin's own file, else of any file, else the last line that was printed.
    """
    frames = re.findall(r'^  File "(.+)", line (\d+) in (.+)$', text, re.MULTILINE)
    own = [frame for frame in frames if frame[0] == str(source.file)]
    for file, line, function in (own or frames)[:1]:
        return f"it was at line {line} of {file}, in {function}"
    lines = text.strip().splitlines()
    return f"its last output: {lines[-1][:200]}" if lines else f"tell the author of {source.package}"


def _end(process: BaseProcess) -> None:
    """Kill the child and everything it started, which form their own process group."""
    if hasattr(os, "killpg"):
        with suppress(OSError):  # already ended
            os.killpg(process.pid or 0, signal.SIGKILL)
    elif process.is_alive():
        process.kill()
    process.join(GRACE_SECONDS)


# -- in the child ------------------------------------------------------------------------------------------------------


def _look(
    source: Source, depth: Depth, timeout: float, pipe: Connection, said: Path, environment: Mapping[str, str]
) -> None:
    """Examine the plugin, in the child. Its output is discarded, and only the parent handles Ctrl-C."""
    if hasattr(os, "setsid"):
        os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    try:
        errors = os.open(said, os.O_WRONLY | os.O_CREAT)
    except OSError:  # the parent has ended and its folder is gone
        os._exit(1)
    os.dup2(errors, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    faulthandler.enable(file=errors)
    faulthandler.dump_traceback_later(timeout, exit=True, file=errors)
    pipe.send(_outcome(source, depth, pipe))
    os._exit(0)  # skips the plugin's exit handlers and threads


def _outcome(source: Source, depth: Depth, pipe: Connection) -> dict[str, Any]:
    """The fields of a ``Health``."""
    from ganbench.device.determinism import configure
    from ganbench.testing import installed

    configure(threads=1)  # as in a run's worker
    try:
        if depth == "build":
            findings, notes = installed.build(source, pipe.send), list[str]()
        else:
            findings, notes = installed.check(source, pipe.send)
    except (Unsupported, DataError) as error:
        return {"status": "declined", "message": error.message, "hint": error.hint}
    except GanbenchError as error:
        return {"status": "unusable", "message": error.message, "hint": error.hint, "traceback": traced(error)}
    except BaseException as error:  # a plugin may raise anything
        message, hint = f"{source} cannot be used: {told(error)}", f"tell the author of {source.package}"
        return {"status": "unusable", "message": message, "hint": hint, "traceback": traced(error)}
    return {"status": "found" if findings else "ok", "findings": tuple(findings), "notes": tuple(notes)}
