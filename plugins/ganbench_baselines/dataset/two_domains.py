"""Yardsticks for image translators: one that does nothing, and one that ignores its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor

from ganbench import Split, quantise, to_signal

Yardsticks = Mapping[str, Callable[[Split, int], Split]]


def yardsticks(train: Split) -> Yardsticks:
    """``"identity"`` and ``"mean image"``, by name. Both domains of ``train`` have images of one shape."""
    assert train.source is not None
    return {"identity": identity, "mean image": partial(mean_image, mean(train.x), mean(train.source))}


def identity(like: Split, seed: int) -> Split:
    """Every image is its own translation, in both directions."""
    assert like.source is not None
    return Split(like.source, source=like.x)


def mean_image(x: Tensor, source: Tensor, like: Split, seed: int) -> Split:
    """Every translation is the mean image of the other domain, ``x[1, *shape]`` or ``source[1, *shape]``."""
    shape = (len(like), -1, -1, -1)
    return Split(x.expand(shape).clone(), source=source.expand(shape).clone())


def mean(images: Tensor) -> Tensor:
    """``[N, C, H, W] -> [1, C, H, W]``, as stored."""
    return quantise(to_signal(images).mean(0, keepdim=True), images)
