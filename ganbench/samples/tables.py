"""Points from a text file with one point per line, its numbers separated by commas, semicolons, tabs or spaces."""

from __future__ import annotations

from pathlib import Path

import torch

from ganbench.contracts.samples import Samples
from ganbench.errors import DataError, plural

SUFFIXES = (".csv", ".tsv", ".txt")


def read_points(path: Path) -> Samples:
    """The points of a text file, ``x[N, F]`` in float64. A first line without numbers names the columns.

    Raises:
        DataError: a line holds something else, or another number of values.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' cannot be read as text", "write one point per line") from error
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    header = bool(rows) and _numbers(rows[0][1]) is None
    points = [(number, _numbers(line)) for number, line in rows[header:]]
    for number, point in points:
        if point is None or len(point) != len(points[0][1] or ()):
            raise DataError(
                f"line {number} of '{path}' does not hold as many numbers as the first", "write one point per line"
            )
    x = torch.tensor([point for _, point in points], dtype=torch.float64)
    assumed = (f"the first line of {path.name} names the columns",) if header else ()
    return Samples(x, f"{plural(len(x), 'point')} in {path.name}", assumed=assumed)


def _numbers(line: str) -> list[float] | None:
    """The numbers of a line; None if it holds anything else."""
    for mark in (",", ";", None):
        try:
            return [float(part) for part in line.strip().split(mark)]
        except ValueError:
            continue
    return None
