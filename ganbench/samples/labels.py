"""The classes that samples were made for, from a file of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ganbench.errors import DataError
from ganbench.samples.arrays import SUFFIXES, read_array

FORMS = "give a file with one class per line, by its number or its name, or an array as .npy"


def read_labels(path: Path) -> Any:
    """Labels ``[N]`` as a tensor, or the names of N classes: from a file of arrays, or from lines of text.

    Numbers may also be separated by spaces, and may be written as ``3.0``.

    Raises:
        DataError: the file does not exist, cannot be read, or is empty.
    """
    if not path.is_file():
        raise DataError(f"the file of labels '{path}' {'is a folder' if path.is_dir() else 'does not exist'}", FORMS)
    if path.suffix.lower() in SUFFIXES:
        return read_array(path)
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the labels in '{path}' cannot be read as text", FORMS) from error
    if not text.split():
        raise DataError(f"'{path}' holds no labels", FORMS)
    try:
        return torch.tensor([float(word) for word in text.split()], dtype=torch.float64)
    except ValueError:
        return [line.strip() for line in text.splitlines() if line.strip()]
