"""Your own points: `points:FILE.npy` or `points:FILE.csv`, one row of numbers per sample.

A NumPy array has the shape ``[N, F]`` or ``[N]``. A CSV file is separated by commas, and may begin with a header line.
Each column is standardised to mean 0 and standard deviation 1 over the training rows, because networks train poorly
otherwise; the notes give both numbers for each column. Values that are not finite numbers are refused.
"""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import torch

from ganbench import DataError, Dataset, DataSpec, Split, Unsupported, hookimpl, stratified_split
from ganbench_baselines.dataset.listing import SPLIT_SEED, TEST_SHARE, counted, path_of, shown

USAGE = "write points:FILE.npy or points:FILE.csv, with one row of numbers a sample"
FEWEST = 10
WIDEST = 4096
NAMED = 8  # the largest number of columns whose numbers a note gives


def read_points(file: Path) -> np.ndarray:
    """``[N, F]`` in float64.

    Raises:
        DataError: the file cannot be read, or holds anything but such points.
    """
    if not file.is_file():
        what = "is not a file" if file.exists() else "does not exist"
        raise DataError(f"the file of points '{shown(file)}' {what}", f"check the path: {USAGE}")
    readers = {".npy": _from_numpy, ".csv": _from_csv}
    if file.suffix.lower() not in readers:
        raise DataError(f"'{shown(file)}' is neither .npy nor .csv", USAGE)
    try:
        x = readers[file.suffix.lower()](file)
    except (OSError, ValueError, EOFError, csv.Error) as error:
        why = " ".join(str(error).split())
        raise DataError(f"the points in '{shown(file)}' cannot be read: {shown(why[:200])}", USAGE) from error
    if x.dtype.kind not in "iuf":
        raise DataError(f"'{shown(file)}' holds {x.dtype}, not real numbers", USAGE)
    x = x.reshape(len(x), 1) if x.ndim == 1 else x
    if x.ndim != 2 or not 1 <= x.shape[1] <= WIDEST:
        shape = "x".join(map(str, x.shape)) or "no"
        raise DataError(f"'{shown(file)}' has the shape {shape}, not rows of 1 to {WIDEST} numbers", USAGE)
    if len(x) < FEWEST:
        raise DataError(f"'{shown(file)}' has {counted(len(x), 'row')}; at least {FEWEST} are needed", "add some")
    x = x.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(bad):
        raise DataError(
            f"{len(bad)} of {len(x)} rows in '{shown(file)}' hold NaN or infinity, the first is row {bad[0] + 1}",
            "remove these rows, or replace the values",
        )
    return x


def _from_numpy(file: Path) -> np.ndarray:
    x = np.load(file, allow_pickle=False)
    if x.ndim == 0:
        raise ValueError("it holds a single number")
    return np.asarray(x)


def _from_csv(file: Path) -> np.ndarray:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        first = next(csv.reader(stream), [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the warning about missing rows, which are reported elsewhere
        return np.loadtxt(file, delimiter=",", skiprows=0 if _are_numbers(first) else 1, ndmin=2, encoding="utf-8-sig")


def _are_numbers(cells: list[str]) -> bool:
    try:
        return [float(cell) for cell in cells] != []
    except ValueError:
        return False


@hookimpl
def ganbench_dataset(argument: str, resolution: int | None) -> Dataset:
    """The points of ``points:FILE`` in a seeded 80/20 split."""
    if not argument:
        raise DataError("the dataset 'points' needs a file", USAGE)
    if resolution is not None:
        raise Unsupported("points have no resolution", "leave the resolution out")
    file = path_of(argument)
    x = read_points(file)
    train, test = stratified_split(torch.zeros(len(x), dtype=torch.int64), TEST_SHARE, SPLIT_SEED)
    with np.errstate(all="ignore"):
        mean, spread = x[train].mean(axis=0), x[train].std(axis=0)
    if not np.isfinite(spread).all():
        raise DataError(f"the numbers in '{shown(file)}' are too large", "divide them")
    spread[spread == 0] = 1
    scaled = torch.from_numpy((x - mean) / spread).float()
    return Dataset(
        name=f"points:{shown(file.name)}",
        spec=DataSpec((x.shape[1],), bounded=False),
        train=Split(scaled[train]),
        test=Split(scaled[test]),
        notes=_notes(shown(file.name), x, mean, spread),
    )


def _notes(name: str, x: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> tuple[str, ...]:
    signs = ["+" if m < 0 else "-" for m in mean]
    scales = zip(signs, np.abs(mean), spread, strict=True)
    numbers = ", ".join(f"(x {sign} {m:.6g}) / {s:.6g}" for sign, m, s in list(scales)[:NAMED])
    more = f" and {len(mean) - NAMED} more" if len(mean) > NAMED else ""
    columns = "column" if len(mean) == 1 else "columns"
    notes = [f"{name} is scaled to mean 0 and spread 1, {columns} {numbers}{more}"]
    constant = np.flatnonzero((x == x[0]).all(axis=0))
    if len(constant):
        which = ", ".join(str(column + 1) for column in constant[:NAMED])
        notes.append(f"every row of {name} has the same value in column {which}")
    again = len(x) - len(np.unique(x, axis=0))
    if again:
        are = "is a copy of another" if again == 1 else "are copies of others"
        notes.append(f"{again} of {len(x)} rows in {name} {are}, so the same one may be trained on and held out")
    return tuple(notes)
