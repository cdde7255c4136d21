"""Reads samples from whatever a user names: files of arrays, programs, and folders that a dataset plugin can read."""

from __future__ import annotations

from pathlib import Path

from ganbench.contracts.data import DataSpec
from ganbench.contracts.samples import Samples
from ganbench.errors import DataError
from ganbench.plugins.readers import read_files
from ganbench.samples import tables
from ganbench.samples.arrays import SUFFIXES, read_arrays
from ganbench.samples.asked import Asked
from ganbench.samples.generators import from_onnx, from_script, is_script
from ganbench.samples.program import from_function, function_in
from ganbench.samples.unreadable import FORMS, unreadable


def read_samples(source: str, data: DataSpec | None, asked: Asked) -> Samples:
    """The samples that ``source`` names, as they were found.

    Args:
        source: a path, or ``path/file.py:function``.
        data: the format of the protocol's samples; None if there is no protocol.
        asked: how to read them.

    Raises:
        DataError: there is nothing there, nothing that can be read, or a program that is not trusted.
        PluginError: a program, or a plugin that reads files, fails.
    """
    found = _read(source, data, asked)
    if not len(found):
        raise DataError(f"'{source}' holds no samples", FORMS)
    return found


def _read(source: str, data: DataSpec | None, asked: Asked) -> Samples:
    if function := function_in(source):
        return from_function(*function, asked)
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(f"'{source}' does not exist", FORMS)
    suffix = path.suffix.lower() if path.is_file() else ""
    if suffix == ".onnx":
        return from_onnx(path, asked)
    if suffix in (".pt", ".pth") and is_script(path):
        return from_script(path, asked)
    if suffix in SUFFIXES:
        return read_arrays(path)
    if suffix in tables.SUFFIXES and (data is None or len(data.shape) == 1):
        return tables.read_points(path)
    if (samples := read_files(str(path), data)) is not None:
        return samples
    raise unreadable(path, data)
