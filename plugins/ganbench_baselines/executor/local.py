"""Processes of this machine: one per core on a CPU, one or more per GPU."""

from __future__ import annotations

from ganbench import Executor, LocalExecutor, Places, hookimpl


@hookimpl
def ganbench_executor(places: Places) -> Executor:
    """Build the executor."""
    return LocalExecutor.on_this_machine(places)
