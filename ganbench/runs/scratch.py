"""Temporary folders in which workers carry out jobs. Those of killed workers are removed by later ones."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "ganbench-job-"
LOCK = ".in-use"
"""A lock in each folder. The system releases it when the worker ends, however it ends."""
NEW_SECONDS = 60.0
"""The age up to which a folder may not have its lock yet."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a new folder for one job, and remove it afterwards."""
    _remove_abandoned(Path(tempfile.gettempdir()))
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder,
        FileLock(Path(folder, LOCK)),
    ):
        yield Path(folder)


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders of workers that were killed, on this machine and with the same rights."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):  # it belongs to somebody else, is just removed by another worker, or is in use
            if time.time() - folder.stat().st_mtime > NEW_SECONDS:
                with FileLock(folder / LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
