"""The history of a run, ``history.jsonl``: a line of JSON for each window of training, with a seal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganbench.errors import RecordError
from ganbench.records.files import read_whole, reason_of
from ganbench.records.sealing import seal_of, sealed

LARGEST = 256 * 2**20
"""In bytes; a line has a few hundred."""
AGAIN = "delete it, or run again with --force"


def as_line(row: Mapping[str, Any]) -> str:
    """One window, without the line break at its end."""
    return json.dumps(sealed(row))


def read_history(path: Path) -> list[dict[str, Any]]:
    """The windows of a run, oldest first; none if there is no such file.

    A last line that a killed process did not finish is ignored; anything after a complete object is damage. Histories
    of GANBench 0.1 have no seals and are read as they are.

    Raises:
        RecordError: the file cannot be read, or a line is not a JSON object or was changed since it was written.
    """
    try:
        *lines, rest = read_whole(path, LARGEST).split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(path, reason_of(error)) from error
    if _holds_an_object(rest):
        lines.append(rest)
    rows = [_row(line, number, path) for number, line in enumerate(lines, start=1)]
    is_sealed = any("seal" in row for row in rows)
    for number, row in enumerate(rows, start=1):
        if is_sealed and row.pop("seal", None) != seal_of(row):
            raise RecordError(f"{path} was changed after it was written, in line {number}", AGAIN)
    return rows


def _holds_an_object(rest: bytes) -> bool:
    """Whether what follows the last line break is more than the beginning of a line."""
    try:
        json.JSONDecoder().raw_decode(rest.decode(errors="replace"))
    except (ValueError, RecursionError):
        return False
    return True


def _row(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except RecursionError:
        raise _unreadable(path, f"line {number} is nested too deeply") from None
    except ValueError as error:
        raise _unreadable(path, f"line {number}: {error}") from error
    if not isinstance(row, dict):
        raise _unreadable(path, f"line {number} is not a JSON object")
    return row


def _unreadable(path: Path, why: str) -> RecordError:
    return RecordError(f"{path} is not a readable history: {why}", AGAIN)
