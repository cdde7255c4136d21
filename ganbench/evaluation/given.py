"""Converts samples and labels from Python to the form of the protocol's data, or raises an error that says why not."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganbench.contracts.data import Dataset, Split
from ganbench.errors import DataError, listed
from ganbench.evaluation.judge import Judge
from ganbench.evaluation.scale import Span, rescaled
from ganbench.evaluation.shape import refuse_other_shape


def split_of(samples: Any, labels: Any, judge: Judge, name: str, span: Span | None) -> tuple[Split, list[str]]:
    """The user's samples as stored, and sentences on anything that may be a mistake.

    Args:
        samples: ``x[N, *shape]``, a tensor or anything that NumPy can convert to numbers.
        labels: ``[N]``, or None.
        judge: the judge of the protocol.
        name: of the protocol, for messages.
        span: the numbers that stand for -1 and 1 in ``samples`` (None: the same as in the data).

    Raises:
        DataError: the samples or the labels do not fit the protocol's data; the message says what was found.
    """
    like, spec = judge.reference.x, judge.dataset.spec
    x = as_tensor(samples, "samples")
    refuse_other_shape(x, tuple(like.shape), name, as_torch=isinstance(samples, Tensor))
    stored, doubts = rescaled(x, like, spec, name, span)
    needing = [metric for metric, it in judge.metrics.items() if "labels" in getattr(it, "needs", ())]
    if labels is None:
        if needing and judge.dataset.train.labels is not None:
            have = "has" if len(needing) == 1 else "have"
            doubts.append(f"no labels were given, so {listed(needing)} {have} no score")
        return Split(stored), doubts
    wanted = labels_of(labels, len(stored), judge.dataset, name)
    if not needing:
        doubts.append(f"labels were given, but no metric of {name} needs them")
    return Split(stored, wanted), doubts


def as_tensor(given: Any, what: str) -> Tensor:
    """An array or a tensor, or nested lists of numbers -> the same numbers as a dense tensor on the CPU.

    Accepts any strides and byte order, and read-only memory. ``what`` is the argument's name, for messages.

    Raises:
        DataError: they are not numbers, or do not make up a complete array.
    """
    try:
        if isinstance(given, (list, tuple)) and given and all(isinstance(one, Tensor) for one in given):
            given = torch.stack(list(given))
        found = given.detach() if isinstance(given, Tensor) else _from_numpy(given, what)
        found = found.to_dense() if found.layout != torch.strided else found
        return found.cpu().resolve_conj().resolve_neg()
    except (TypeError, ValueError, RuntimeError) as error:  # what numpy and torch raise for ragged lists and objects
        raise DataError(
            f"the {what} must be an array of numbers, not {_described(given)}",
            "give one tensor or one NumPy array of numbers, without gaps",
        ) from error


def _from_numpy(given: Any, what: str) -> Tensor:
    array = given if isinstance(given, np.ndarray) else np.asarray(given)
    if array.dtype.kind not in "biufc":
        raise TypeError("only numbers can be used")
    if np.ma.is_masked(array):
        raise DataError(
            f"{int(np.ma.getmaskarray(array).sum())} of {array.size} values of the {what} are masked",
            f"give numbers for them, such as {what}.filled(0)",
        )
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if any(stride < 0 or stride % native.itemsize for stride in native.strides):  # torch cannot read these
        native = native.copy(order="C")
    return torch.from_numpy(native if native.flags.writeable else native.copy(order="K"))


def _described(given: Any) -> str:
    if isinstance(given, np.ndarray):
        return f"an array of shape {given.shape} and type {given.dtype}"
    article = "an" if type(given).__name__[0].lower() in "aeiou" else "a"
    return f"{article} {type(given).__name__}"


# -- labels ------------------------------------------------------------------------------------------------------------


def labels_of(given: Any, n: int, data: Dataset, name: str) -> Tensor:
    """Labels ``[n]`` as int64, from numbers or class names.

    Raises:
        DataError: their number is not ``n``, or they contain fractions or classes that the data do not have.
    """
    classes = data.spec.classes
    expected = f"from 0 to {classes - 1}" if classes else "from 0"
    values = _as_numbers(given, expected, data)
    if tuple(values.shape) != (n,):
        hints: dict[tuple[int, ...], str] = {
            (n, 1): "give labels[:, 0]",
            (n, classes): "if each row marks its class, give labels.argmax(1)",
        }
        raise DataError(
            f"the labels have shape {tuple(values.shape)}, but {n} samples need {(n,)}",
            hints.get(tuple(values.shape), "give one label for each sample"),
        )
    if values.is_floating_point():
        _refuse_fractions(values, expected)
    labels = values.long()
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or (classes and high >= classes):
        hint = "they begin at 1: give labels - 1" if (low, high) == (1, classes) else "number classes as the data do"
        raise DataError(f"the labels go from {low} to {high}, but those of {name} go {expected}", hint)
    return labels


def _refuse_fractions(values: Tensor, expected: str) -> None:
    wrong = (values != values.round()) | ~values.isfinite()
    if wrong.any():
        raise DataError(
            f"labels must be integers {expected}, but {int(wrong.sum())} of {len(values)} are not; the first is "
            f"{values[wrong][0].item():g}",
            "give the number of each sample's class",
        )


def _as_numbers(given: Any, expected: str, data: Dataset) -> Tensor:
    """Labels as numbers of any type; DataError for class names that the data do not have."""
    if not isinstance(given, Tensor):
        array = np.asarray(given)
        if array.dtype.kind in "USO" and array.size and all(isinstance(one, str) for one in array.flat):
            if not data.class_names:
                told = f"labels must be integers {expected}, but these are names such as '{array.flat[0]}'"
                raise DataError(told, "give the number of each sample's class")
            numbers = {one: data.class_called(str(one)) for one in np.unique(array)}
            return torch.tensor([numbers[one] for one in array.flat]).view(array.shape)
    values = as_tensor(given, "labels")
    if values.dtype == torch.bool and data.spec.classes not in (0, 2):
        raise DataError(
            f"the labels are True and False, but the data have {data.spec.classes} classes",
            "give the number of each sample's class",
        )
    if values.is_complex():
        raise DataError(f"labels must be integers {expected}, but these are complex", "give labels.real")
    return values
