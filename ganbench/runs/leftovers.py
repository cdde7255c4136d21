"""Clean up after earlier commands: replace untrained folders of other rules, and tidy up what a kill left."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout

from ganbench.errors import ProtocolError, RecordError
from ganbench.records.record import FINISHED, TrainingRecord
from ganbench.records.store import read


def left_by_other_rules(home: Path, digest: str) -> list[Path]:
    """The run folders of a protocol that have another digest and in which nothing was trained.

    Raises:
        ProtocolError: one of them holds a run that is trained, can be resumed, or is in progress.
        RecordError: a record cannot be read.
    """
    found = []
    for file in sorted(home.glob("*/seed*/record.json")):
        record = read(file)
        if record.digest == digest:
            continue
        if isinstance(record, TrainingRecord) and _is_worth_keeping(file.parent, record):
            raise ProtocolError(
                f"{file.parent} holds a run of '{record.protocol}' under other rules "
                f"(digest {record.digest}, now {digest})",
                "give the changed rules a new `name`, choose another --out, or delete that folder",
            )
        found.append(file.parent)
    return found


def remove(folders: Iterable[Path]) -> None:
    """Remove the folders of leftovers.

    Raises:
        RecordError: one cannot be removed.
    """
    for folder in folders:
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise RecordError(f"cannot remove {folder}: {error.strerror or error}", "choose another --out") from error


def tidy(folders: Iterable[Path]) -> None:
    """Finish, in the folders of runs with a final record, what a kill left undone.

    Temporary files are removed, and the checkpoint shrinks to the weights.
    """
    for folder in folders:
        temporary, weights = list(folder.rglob(".*.tmp")), folder / "checkpoint.pt"
        shrinks = weights.exists() and weights.stat().st_mtime_ns < (folder / "record.json").stat().st_mtime_ns
        if not (temporary or shrinks) or _is_in_use(folder):
            continue
        for file in temporary:
            file.unlink(missing_ok=True)
        if shrinks:
            from ganbench.runs.checkpoint import shrink  # imports torch

            shrink(weights)


def _is_worth_keeping(folder: Path, record: TrainingRecord) -> bool:
    return record.status in FINISHED or (folder / "checkpoint.pt").exists() or _is_in_use(folder)


def _is_in_use(folder: Path) -> bool:
    """Whether another process is working on the run of a folder."""
    try:
        with FileLock(folder / ".lock", timeout=0):
            return False
    except (Timeout, OSError):
        return True
