"""Refuses samples whose shape or number differs from the data's, with the expression that fixes them."""

from __future__ import annotations

from torch import Tensor

from ganbench.errors import DataError

AXES = {2: "CT", 3: "CHW", 4: "CTHW"}
"""The order of axes of one sound, one image and one clip in GANBench."""
OTHER_AXES = {2: ("TC",), 3: ("HWC",), 4: ("THWC", "TCHW")}
"""Orders of axes that other tools use."""


def refuse_other_shape(x: Tensor, wanted: tuple[int, ...], name: str, *, as_torch: bool) -> None:
    """Raise DataError unless ``x`` has the shape ``wanted``, including the number of samples.

    Args:
        x: samples.
        wanted: ``(N, *shape)`` of the protocol's real samples.
        name: name of the protocol, for messages.
        as_torch: whether the caller's samples are a tensor, not an array.
    """
    if tuple(x.shape[1:]) != wanted[1:]:
        hint = _axes_mended(x, wanted, as_torch=as_torch) or _size_mended(x, wanted[1:])
        raise DataError(f"the samples have shape {tuple(x.shape)}, but {name} needs {wanted}", hint)
    if len(x) != wanted[0]:
        some = f", such as samples[:{wanted[0]}]" if len(x) > wanted[0] else ""
        raise DataError(
            f"{len(x)} samples were given, but {name} needs {wanted[0]}: scores depend on the number",
            f"give exactly {wanted[0]}{some}",
        )


def _axes_mended(x: Tensor, wanted: tuple[int, ...], *, as_torch: bool) -> str:
    """How to get the required axes; empty if none is missing and the order is not that of another tool."""
    one, needed = tuple(x.shape[1:]), wanted[1:]
    if tuple(x.shape) == needed:
        return f"this is a single sample: give {wanted[0]}"
    if x.ndim and needed == (1, *one):
        return "the channel axis is missing: give samples[:, None]"
    ours = AXES.get(len(needed), "")
    for axes in OTHER_AXES.get(len(needed), ()):
        order = [axes.index(axis) for axis in ours]
        if len(one) == len(needed) and tuple(one[axis] for axis in order) == needed:
            taken = ", ".join(str(axis + 1) for axis in order)
            return f"the channels must come first: give samples.{'permute' if as_torch else 'transpose'}(0, {taken})"
    return ""


def _size_mended(x: Tensor, needed: tuple[int, ...]) -> str:
    one = tuple(x.shape[1:])
    if len(one) == len(needed) > 1 and one[1:] == needed[1:]:
        return _channels_mended(x, needed[0])
    if len(one) == len(needed) > 2 and one[0] == needed[0]:
        return f"resize them to {'x'.join(map(str, needed[1:]))}, in the same way as the data"
    if len(one) == len(needed) == 2 and one[0] == needed[0]:
        return f"cut or resample them to {needed[1]} values, in the same way as the data"
    return "reshape or resize them"


def _channels_mended(x: Tensor, needed: int) -> str:
    has = x.shape[1]
    if needed == 1 and has > 1 and len(x) and bool((x == x[:, :1]).all()):
        return "all channels are equal: give samples[:, :1]"
    if needed == 1:
        return f"reduce the {has} channels to one, in the same way as the data"
    if has == 1 and needed == 3:
        return "if they are grayscale, give samples[:, [0, 0, 0]]"
    if (has, needed) == (4, 3):
        return "if the fourth channel is alpha, give samples[:, :3], in the order red, green, blue"
    return f"give {needed} channels, in the same order as the data"
