"""Random changes of real images that a protocol may ask for, such as flips; each has ``uniforms`` as its dice.

They use no random generator of their own, so that the order of the data decides them on every device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ganbench.contracts.data import DataSpec
from ganbench.errors import Unsupported


class Augmentation(NamedTuple):
    """``change(x[B, ..., H, W], u)`` returns changed images of the same shape; ``u[uniforms, B]`` is in [0, 1)."""

    uniforms: int
    change: Callable[[Tensor, Tensor], Tensor]


def build(names: Sequence[str], spec: DataSpec) -> list[Augmentation]:
    """The augmentations that a protocol names, in its order.

    Raises:
        Unsupported: the data are no images or clips, or not squares where they have to be.
    """
    if names and (len(spec.shape) < 3 or (spec.source is not None and len(spec.source) < 3)):
        raise Unsupported(
            f"`training.augment` changes images, but these data are {spec}", "leave it out of the protocol"
        )
    shapes = [shape for shape in (spec.shape, spec.source) if shape is not None]
    if "rotate" in names and any(shape[-1] != shape[-2] for shape in shapes):
        raise Unsupported(f"'rotate' needs squares, but these data are {spec}", "leave it out of `training.augment`")
    return [_named(name) for name in names]


def applied(augmentations: Sequence[Augmentation], x: Tensor, u: Tensor) -> Tensor:
    """Images ``x[B, ..., H, W]`` after all augmentations, for ``u[sum of uniforms, B]``."""
    for one in augmentations:
        x = one.change(x, u[: one.uniforms])
        u = u[one.uniforms :]
    return x


def _named(name: str) -> Augmentation:
    kind, _, number = name.partition(":")
    return Augmentation(2, partial(_shift, int(number))) if kind == "shift" else _SIMPLE[kind]


def _where(condition: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(condition.view(-1, *[1] * (one.ndim - 1)), one, other)


def _flip(axis: int, x: Tensor, u: Tensor) -> Tensor:
    return _where(u[0] < 0.5, x.flip(axis), x)


def _rotate(x: Tensor, u: Tensor) -> Tensor:
    """By a multiple of 90 degrees."""
    x = _where(u[0] < 0.5, x.flip(-1, -2), x)
    return _where((u[0] % 0.5) < 0.25, x.transpose(-1, -2).flip(-1), x)


def _shift(most: int, x: Tensor, u: Tensor) -> Tensor:
    """By up to ``most`` pixels in both directions; what comes in is mirrored at the edge."""
    for axis, dice in zip((-1, -2), u, strict=True):
        steps = (dice * (2 * most + 1)).long() - most
        size = x.shape[axis]
        at = (torch.arange(size, device=x.device) + steps.unsqueeze(1)) % (2 * size)
        at = torch.minimum(at, 2 * size - 1 - at)
        index = at.view(len(x), *[1] * (x.ndim - 3), *((1, size) if axis == -1 else (size, 1)))
        x = x.gather(axis, index.expand(x.shape))
    return x


_SIMPLE = {
    "flip": Augmentation(1, partial(_flip, -1)),
    "flip-vertical": Augmentation(1, partial(_flip, -2)),
    "rotate": Augmentation(1, _rotate),
}
