"""Samples from files of arrays: ``.npy`` and ``.npz`` without pickles, ``.pt`` with tensors alone, ``.safetensors``."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ganbench.contracts.samples import Samples
from ganbench.errors import DataError, plural, told

SUFFIXES = (".npy", ".npz", ".pt", ".pth", ".safetensors")
SAMPLES = ("samples", "images", "x", "fakes", "arr_0")
"""Names of the array of samples, in the order in which they are looked for; NumPy writes ``arr_0``."""
LABELS = ("labels", "y", "classes", "arr_1")
"""Names of the array of labels, which guided-diffusion writes as ``arr_1`` (Dhariwal and Nichol 2021)."""


def read_arrays(path: Path) -> Samples:
    """The samples in a file of arrays, with their labels if it holds any.

    Raises:
        DataError: the file is damaged, holds objects instead of numbers, or several arrays of which none is called
            ``samples``.
    """
    found = _named(path)
    name = next((name for name in SAMPLES if name in found), next(iter(found)) if len(found) == 1 else "")
    if not name:
        raise DataError(
            f"'{path}' holds {plural(len(found), 'array')} ({', '.join(found) or 'none'}), none of them called samples",
            f"call the array of samples one of: {', '.join(SAMPLES)}",
        )
    labels = next((found[other] for other in LABELS if other in found and other != name), None)
    called = f", array '{name}'" if len(found) > 1 else ""
    return Samples(found[name], f"{plural(len(found[name]), 'sample')} in {path.name}{called}", labels)


def read_labels(path: Path) -> Tensor:
    """Labels from a file with one array, ``[N]``, or from lines of text.

    Raises:
        DataError: the file is damaged, or holds no whole numbers.
    """
    if path.suffix.lower() in SUFFIXES:
        found = _named(path)
        return found.get(next((name for name in LABELS if name in found), ""), next(iter(found.values())))
    try:
        lines = path.read_text("utf-8").split()
        return torch.tensor([int(line) for line in lines])
    except (OSError, ValueError) as error:
        raise DataError(
            f"the labels in '{path}' cannot be read ({told(error)})",
            "write one whole number per line, or an array as .npy",
        ) from error


def _named(path: Path) -> dict[str, Tensor]:
    """The arrays of a file by name, in their order."""
    try:
        arrays = _contents(path)
    except (OSError, ValueError, EOFError, RuntimeError, SafetensorError, zipfile.BadZipFile, pickle.PickleError) as e:
        raise DataError(f"'{path}' cannot be read as arrays of numbers ({_why(e)})", _hint(path)) from e
    wrong = [name for name, array in arrays.items() if not isinstance(array, Tensor)]
    if wrong or not arrays:
        what = f"'{wrong[0]}' is no array" if wrong else "it holds no array"
        raise DataError(f"'{path}' cannot be read as arrays of numbers ({what})", _hint(path))
    return arrays


def _contents(path: Path) -> dict[str, Any]:
    match path.suffix.lower():
        case ".npy":
            return {"samples": _tensor(np.load(path, allow_pickle=False))}
        case ".npz":
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:  # NumPy leaves a bad one open
                return {name: _tensor(stored[name]) for name in stored.files}
        case ".safetensors":
            return dict(load_file(path))
        case _:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
            return dict(loaded) if isinstance(loaded, Mapping) else {"samples": loaded}


def _tensor(array: np.ndarray) -> Any:
    """An array as a tensor; anything but numbers comes back as it is, and is refused."""
    if array.dtype.kind not in "biufc":
        return array
    return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)))


def _why(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _hint(path: Path) -> str:
    if path.suffix.lower() in (".npy", ".npz"):
        return "write numbers, not objects: np.savez(file, samples=x, labels=y)"
    return 'write tensors alone: torch.save({"samples": x, "labels": y}, file)'
