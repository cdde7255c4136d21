"""What programs and loaders hand over: arrays of samples, or batches of them, with or without labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganbench.errors import DataError

SAMPLES = ("samples", "images", "x", "fakes", "arr_0")
"""Names of the array of samples, in the order in which they are looked for; NumPy writes ``arr_0``."""
LABELS = ("labels", "y", "classes", "arr_1")
"""Names of the array of labels, which guided-diffusion writes as ``arr_1`` (Dhariwal and Nichol 2021)."""
RETURN = "let it return an array [n, ...], or (samples, labels)"


class Batch(NamedTuple):
    """Samples ``x[n, *shape]``, and the classes that they were made for, ``[n]``, or None."""

    x: Tensor
    labels: Tensor | None = None


def batch_of(made: Any) -> Batch:
    """An array, a list of samples, ``[samples]``, ``(samples, labels)``, or a mapping with names as in a file.

    Raises:
        DataError: it is none of these.
    """
    if isinstance(made, Mapping):
        name = next((name for name in SAMPLES if name in made), "")
        if not name:
            raise DataError(
                f"a batch holds {', '.join(map(str, made)) or 'nothing'}, and nothing called samples",
                f"call the samples one of: {', '.join(SAMPLES)}",
            )
        return _labelled(made[name], next((made[other] for other in LABELS if other in made), None))
    if isinstance(made, list | tuple) and len(made) == 1 and isinstance(made[0], Tensor | np.ndarray):
        return Batch(as_samples(made[0]))  # what a loader of a TensorDataset without labels yields
    if isinstance(made, list | tuple) and len(made) == 2 and _are_samples_and_labels(*made):
        return _labelled(*made)
    return Batch(as_samples(made))


def collected(batches: Iterator[Any], count: int) -> Batch:
    """Batches joined to at least ``count`` samples, or all that there are.

    Raises:
        DataError: there are none, or one of them holds no samples.
    """
    parts, have = list[Batch](), 0
    while have < count and (batch := next(batches, None)) is not None:
        parts.append(batch_of(batch))
        have += len(parts[-1].x)
    if not parts:
        raise DataError("the program made no samples", "let it return an array, or yield batches")
    if shapes := {tuple(part.x.shape[1:]) for part in parts} - {tuple(parts[0].x.shape[1:])}:
        raise DataError(f"batches hold samples of shape {tuple(parts[0].x.shape[1:])} and {shapes.pop()}", "use one")
    labels = [part.labels for part in parts if part.labels is not None]
    return Batch(torch.cat([part.x for part in parts]), torch.cat(labels) if len(labels) == len(parts) else None)


def as_samples(made: Any) -> Tensor:
    """An array, or a list of samples, as a tensor on the CPU.

    Raises:
        DataError: it holds no numbers, or samples of several shapes.
    """
    if isinstance(made, Tensor) and made.ndim:
        return made.detach().cpu()
    array = _array(made)
    if array is None or array.dtype.kind not in "biufc" or not array.ndim:
        what = f"{type(made).__name__} of {len(made)}" if isinstance(made, list | tuple) else type(made).__name__
        raise DataError(f"the program returned {'nothing' if made is None else what}, not an array of samples", RETURN)
    return torch.from_numpy(np.ascontiguousarray(array))


def _array(made: Any) -> np.ndarray | None:
    try:
        if isinstance(made, list | tuple) and made and all(isinstance(one, Tensor) for one in made):
            stacked: np.ndarray = torch.stack([one.detach().cpu() for one in made]).numpy()
            return stacked
        return np.asarray(made)
    except (TypeError, ValueError, RuntimeError):  # what numpy and torch raise for lists of several shapes
        return None


def _are_samples_and_labels(first: Any, second: Any) -> bool:
    """Whether two things are samples and their labels, and not a list of two samples."""
    one, other = _shape(first), _shape(second)
    return second is None or (len(one) > 1 and len(other) > 0 and one != other)


def _shape(thing: Any) -> tuple[int, ...]:
    array = thing if isinstance(thing, Tensor) else _array(thing)
    return () if array is None else tuple(array.shape)


def _labelled(samples: Any, labels: Any) -> Batch:
    x = as_samples(samples)
    if labels is None:
        return Batch(x)
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else _array(labels)
    if array is None or array.dtype.kind not in "biuf" or array.shape[:1] != (len(x),):
        found = f"{type(labels).__name__}" if array is None else f"of shape {array.shape} and type {array.dtype}"
        raise DataError(
            f"the labels of a batch of {len(x)} samples are {found}", "give the number of each sample's class, [n]"
        )
    return Batch(x, torch.from_numpy(np.ascontiguousarray(array)))
