"""Samples from files of arrays: ``.npy`` and ``.npz`` without pickles, ``.pt`` with tensors alone, ``.safetensors``."""

from __future__ import annotations

import pickle
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ganbench.contracts.samples import Samples
from ganbench.errors import DataError, plural
from ganbench.samples.batches import LABELS, SAMPLES, batch_of

SUFFIXES = (".npy", ".npz", ".pt", ".pth", ".safetensors")
NUMPY = (".npy", ".npz")
HEAD = 1 << 20
"""Bytes of a pickle in which to look for the names of what it holds."""
DAMAGED = (
    *(OSError, ValueError, EOFError, RuntimeError),
    *(SafetensorError, zipfile.BadZipFile, zlib.error, pickle.PickleError),
)
"""What readers raise for files that were cut, overwritten, or written by something else."""


def read_arrays(path: Path) -> Samples:
    """The samples in a file of arrays, with their labels if it holds any.

    Raises:
        DataError: the file is damaged, holds objects or weights instead of samples, or several arrays of which none is
            called ``samples``.
    """
    held = _held(path)
    found = {name: array for name, array in held.items() if isinstance(array, Tensor)}
    name = next((name for name in SAMPLES if name in found), next(iter(found)) if len(held) == len(found) == 1 else "")
    if not name:
        _refuse(path, held, found)
    if not found[name].ndim:
        raise DataError(f"'{path}' holds a single number, not samples", _hint(path))
    labels = next((found[other] for other in LABELS if other in found and other != name), None)
    called = f", array '{name}'" if len(held) > 1 else ""
    return Samples(found[name], f"{plural(len(found[name]), 'sample')} in {path.name}{called}", labels)


def read_array(path: Path) -> Any:
    """The only array of a file, or the one that is called ``labels``; an array of texts as it is.

    Raises:
        DataError: the file is damaged, or holds no array of numbers or texts.
    """
    held = _held(path)
    found = held.get(next((name for name in LABELS if name in held), ""), next(iter(held.values()), None))
    if not isinstance(found, Tensor) and not (isinstance(found, np.ndarray) and found.dtype.kind == "U"):
        _refuse(path, held, {})
    return found


def _refuse(path: Path, held: Mapping[str, Any], found: Mapping[str, Tensor]) -> None:
    """Raise DataError for a file without an array that could be the samples."""
    if any(isinstance(value, Mapping) for value in held.values()) or any(map(_is_weight, found)):
        raise DataError(
            f"'{path}' looks like the weights of a network ({_first(held)}), not like samples",
            "give samples, or a function that loads the weights and makes some: path/file.py:function",
        )
    wrong = [name for name in held if name not in found]
    if wrong or not held:
        what = f"'{wrong[0]}' is no array of numbers" if wrong else "it holds no array"
        raise DataError(f"'{path}' cannot be read as arrays of numbers: {what}", _hint(path))
    raise DataError(
        f"'{path}' holds {plural(len(found), 'array')} ({_first(found)}), none of them called samples",
        f"call the array of samples one of: {', '.join(SAMPLES)}",
    )


def _is_weight(name: str) -> bool:
    return bool(re.search(r"(^|[._])(weight|bias)(_orig|_u|_v)?$|running_(mean|var)$", name))


def _first(names: Mapping[str, Any]) -> str:
    return ", ".join([*names][:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


def _held(path: Path) -> dict[str, Any]:
    """What a file holds by name, in its order: tensors, and whatever else.

    Raises:
        DataError: it is empty, damaged, or holds pickled objects.
    """
    try:
        if not path.stat().st_size:
            raise DataError(f"'{path}' is empty", "write it again")
        return _contents(path)
    except PermissionError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}", "check its permissions") from error
    except DAMAGED as error:
        if pickled := _pickled(path, error):
            what = f"'{path}' cannot be read as arrays of numbers: it holds {pickled}, which may run code"
            raise DataError(what, _hint(path)) from error
        raise DataError(
            f"'{path}' cannot be read: it is damaged, or no {path.suffix} file", "write it again"
        ) from error


def _contents(path: Path) -> dict[str, Any]:
    match path.suffix.lower():
        case ".npy":
            with path.open("rb") as file:
                np.lib.format.read_magic(file)  # NumPy takes anything else for a pickle
            return {"samples": _tensor(np.load(path, "c", allow_pickle=False))}  # mapped: it need not fit in memory
        case ".npz":
            if not zipfile.is_zipfile(path):
                raise zipfile.BadZipFile
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:  # NumPy leaves a bad one open
                return {name: _member(stored, name) for name in stored.files}
        case ".safetensors":
            return dict(load_file(path))
        case _:
            return _in_torch(torch.load(path, map_location="cpu", weights_only=True))


def _in_torch(loaded: Any) -> dict[str, Any]:
    if isinstance(loaded, Mapping):
        return {str(name): value for name, value in loaded.items()}
    if isinstance(loaded, list | tuple) and loaded and all(isinstance(one, Tensor) for one in loaded):
        batch = batch_of(loaded)
        return {"samples": batch.x} if batch.labels is None else {"samples": batch.x, "labels": batch.labels}
    return {"samples": loaded}


def _member(stored: Any, name: str) -> Any:
    """An array of an archive; None for one of objects, which another array may do without."""
    try:
        array = stored[name]
    except ValueError as error:
        if "pickle" in str(error):
            return None
        raise
    return _tensor(array) if isinstance(array, np.ndarray) else None


def _tensor(array: np.ndarray) -> Any:
    """An array as a tensor; anything but numbers comes back as it is, and is refused."""
    if array.dtype.kind not in "biufc":
        return array
    if not array.ndim:
        return torch.tensor(array.item())  # ascontiguousarray would add an axis
    return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)))


def _pickled(path: Path, error: Exception) -> str:
    """What kind of objects a file holds instead of arrays; empty if it does not hold any."""
    if path.suffix.lower() in NUMPY:
        return "Python objects" if re.search("pickle|Python objects", str(error)) else ""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if not named:
        return ""
    return f"a pickled {'module' if b'torch.nn' in _pickle_in(path) else 'object'} ({named[1]})"


def _pickle_in(path: Path) -> bytes:
    """The beginning of the pickle in a file of torch, old or new."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return file.read(HEAD)
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("data.pkl")]
        return b"".join(archive.read(name)[:HEAD] for name in names)


def _hint(path: Path) -> str:
    if path.suffix.lower() in NUMPY:
        return "write numbers, not objects: np.savez(file, samples=x, labels=y)"
    return (
        'write tensors alone: torch.save({"samples": x, "labels": y}, file); or export a generator: '
        "torch.jit.save(torch.jit.script(G), file)"
    )
