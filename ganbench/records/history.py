"""A run's history on disk: a line of JSON for each window of training, sealed with a hash of its content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganbench.errors import RecordError
from ganbench.records.sealing import seal_of, sealed


def as_line(row: Mapping[str, Any]) -> str:
    """One window, without the line break at its end."""
    return json.dumps(sealed(row))


def read_history(path: Path) -> list[dict[str, Any]]:
    """The windows of a run, oldest first; none if there is no file.

    A last line without its end is left out: the process was killed while it wrote it. Histories of GANBench 0.1 have no
    seals and are read as they are.

    Raises:
        RecordError: the file cannot be read, or a line was changed since it was written.
    """
    if not path.exists():
        return []
    try:
        text = path.read_bytes().decode()
        rows = [json.loads(line) for line in text.split("\n")[:-1]]
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} is not a readable history: {error}", "run again with --force") from error
    is_sealed = any("seal" in row for row in rows)
    for number, row in enumerate(rows, start=1):
        if is_sealed and row.pop("seal", None) != seal_of(row):
            raise RecordError(f"{path} was changed after it was written, in line {number}", "run again with --force")
    return rows
