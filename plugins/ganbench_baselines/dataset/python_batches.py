"""Reads the Python batches of CIFAR-10 and CIFAR-100: pickled dictionaries of arrays and lists, and nothing else.

A pickle may run any code when it is loaded. So the only things looked up by name are those that numpy's arrays need.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ganbench import DataError
from ganbench_baselines.dataset.listing import shown

SIDE = 32
ALLOWED = {("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}


class ArraysOnly(pickle.Unpickler):
    """Loads dictionaries, lists, numbers, bytes, text and arrays, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle asks for, if it is a part of numpy's arrays.

        Raises:
            UnpicklingError: it is something else.
        """
        module = module.replace("numpy.core.", "numpy._core.")  # where numpy 2 keeps what numpy 1 pickled
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch of images needs")
        return super().find_class(module, name)


def read_batch(path: Path) -> dict[bytes, Any]:
    """The dictionary in a file, with keys as bytes: ``b"data"``, ``b"labels"`` and so on.

    Raises:
        DataError: the file cannot be read, is no pickle, or holds something other than a dictionary of arrays.
    """
    try:
        with path.open("rb") as file:
            batch = ArraysOnly(file, encoding="bytes").load()
    except Exception as error:  # a damaged pickle may raise anything
        raise DataError(f"'{shown(path)}' cannot be read: {shown(error)}", "get this file again") from error
    if not isinstance(batch, dict):
        raise DataError(f"'{shown(path)}' is no batch of images", "get this file again")
    return batch


def images_and_labels(paths: list[Path], key: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images ``[N, 32, 32, 3]`` as uint8 and the labels under this key, ``[N]``, of all batches.

    Raises:
        DataError: a batch has no such arrays, or they do not fit each other.
    """
    images, labels = [], []
    for path in paths:
        batch = read_batch(path)
        x, y = np.asarray(batch.get(b"data")), np.asarray(batch.get(key))
        if x.dtype != np.uint8 or x.shape[1:] != (3 * SIDE * SIDE,) or y.shape != x.shape[:1]:
            raise DataError(f"'{shown(path)}' is no batch of 32x32 images with {key.decode()}", "get this file again")
        images.append(x.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
        labels.append(y)
    return np.concatenate(images), np.concatenate(labels)
