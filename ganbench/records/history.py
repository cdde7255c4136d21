"""The history of a run, ``history.jsonl``: a line for each window of its training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ganbench.errors import RecordError
from ganbench.records.files import read_whole, reason_of

LARGEST = 256 * 2**20
"""Bytes. A line has a few hundred."""


def read_history(path: Path) -> list[dict[str, Any]]:
    """The lines of a history, oldest first; none if there is no such file. A last line that a killed process did not
    finish is left out.

    Raises:
        RecordError: the file cannot be read, or a line is no JSON object.
    """
    try:
        lines = read_whole(path, LARGEST).splitlines(keepends=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(path, reason_of(error)) from error
    finished = [line for line in lines if line.endswith(b"\n")]
    return [_row(line, number, path) for number, line in enumerate(finished, start=1)]


def _row(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except RecursionError:
        raise _unreadable(path, f"line {number} is nested too deeply") from None
    except ValueError as error:
        raise _unreadable(path, f"line {number}: {error}") from error
    if not isinstance(row, dict):
        raise _unreadable(path, f"line {number} is no JSON object")
    return row


def _unreadable(path: Path, why: str) -> RecordError:
    return RecordError(f"{path} is not a readable history: {why}", "delete it, or run again with --force")
