"""Brings samples into the shape of a protocol's data where only one way is possible, and says which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ganbench.contracts.data import Dataset
from ganbench.contracts.samples import Samples
from ganbench.errors import DataError

ORDERS: Mapping[int, Mapping[str, tuple[int, ...]]] = {
    2: {"channels come last": (1, 0)},
    3: {"channels come last": (2, 0, 1)},
    4: {
        "channels come last": (3, 0, 1, 2),
        "time comes first": (1, 0, 2, 3),
        "time comes first, channels last": (3, 0, 1, 2),
    },
}
"""The orders of axes that other tools use, and the axes of a sample in the order channels, time, height, width."""


def fitted(samples: Samples, data: Dataset) -> Samples:
    """The samples with channels first and as many channels as the data, and with the data's labels.

    Nothing is cropped, resized or rescaled. A shape that does not fit comes back as it is, and is refused later.
    """
    x, assumed = _in_shape(samples.x, data.spec.shape)
    labels, more = _labels(samples, data)
    return replace(samples, x=x, labels=labels, class_names=(), assumed=(*samples.assumed, *assumed, *more))


def _in_shape(x: Tensor, shape: Sequence[int]) -> tuple[Tensor, list[str]]:
    assumed, one = list[str](), tuple(x.shape[1:])
    if shape[0] == 1 and one == tuple(shape[1:]):
        return x[:, None], ["the samples have no axis of channels, so they have one channel"]
    for told, order in ORDERS.get(len(shape), {}).items():
        if len(one) == len(shape) and _fits(one, shape) is False and _fits([one[axis] for axis in order], shape):
            x, assumed = (
                x.permute(0, *(axis + 1 for axis in order)),
                [f"{told}: the samples have shape {tuple(x.shape)}"],
            )
            break
    if len(shape) in (3, 4) and x.ndim == len(shape) + 1:
        x, more = _in_channels(x, shape[0])
        assumed += more
    return x, assumed


def _fits(one: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether a sample has the right size, apart from the number of its channels, gray or in colour."""
    return tuple(one[1:]) == tuple(shape[1:]) and one[0] in (1, 3, shape[0])


def _in_channels(x: Tensor, channels: int) -> tuple[Tensor, list[str]]:
    """Gray images for data in colour, or the other way round if nothing is lost."""
    if x.shape[1] == 1 and channels == 3:
        return x.expand(-1, 3, *x.shape[2:]), ["the samples are gray: their channel is used for red, green and blue"]
    if x.shape[1] == 3 and channels == 1 and bool((x == x[:, :1]).all()):
        return x[:, :1], ["red, green and blue of the samples are equal: one of them is used"]
    return x, []


def _labels(samples: Samples, data: Dataset) -> tuple[Tensor | None, list[str]]:
    """The labels as those of the data; None if the data have other classes."""
    if samples.labels is None or not samples.class_names:
        return samples.labels, []
    try:
        numbers = torch.tensor([data.class_called(name) for name in samples.class_names])
    except DataError as error:
        return None, [f"sub-folders are not read as classes: {error.message}"]
    return numbers[samples.labels], ["the sub-folders are the classes that the samples were made for"]
