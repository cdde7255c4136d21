"""Files and folders that block those of a run: ``--force`` renames them and deletes nothing."""

from __future__ import annotations

import warnings
from pathlib import Path

from ganbench.contracts.executor import Job
from ganbench.errors import GanbenchWarning
from ganbench.records.files import set_aside
from ganbench.records.strips import NAMES

FILES = ("record.json", "checkpoint.pt", "history.jsonl", "error.txt", ".lock", *NAMES)


def move_aside(job: Job) -> None:
    """Rename folders where a run's files belong, and files where its folders belong, with a warning for each.

    Raises:
        RecordError: one cannot be renamed.
    """
    folder = Path(job.folder)
    for path in (folder.parent.parent, folder.parent, folder, folder / "samples"):
        if path.exists() and not path.is_dir():
            _rename(path, job)
    for path in (*(folder / name for name in FILES), *(folder / "samples").glob("*-kimg.*")):
        if path.is_dir():
            _rename(path, job)


def _rename(path: Path, job: Job) -> None:
    new = set_aside(path)
    warnings.warn(GanbenchWarning(f"{job.key}: {path.name} was in the way and is now called {new.name}"), stacklevel=2)
