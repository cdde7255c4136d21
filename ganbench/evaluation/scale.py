"""Detects the scale of samples: -1..1, 0..255, or another one that the user has to name."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganbench.contracts.data import DataSpec, quantise, to_signal
from ganbench.errors import DataError

OVERSHOOT = 0.001
"""How far beyond -1 and 1 a sample may go; too little to change an 8-bit image."""
NEARLY_ALL = 0.99
"""The scale of the fakes is in doubt if this share of real samples has values in a range where no fake has any."""
PALE = 0.1
"""How far below 0 images on the scale from 0 to 1 may go, and how close to 1 they come."""
RESIZED = 1.5
"""Numbers between 1 and this may be overshoot from smooth resizing."""
BYTE = 255
NOUNS = {1: "points", 2: "sounds", 3: "images", 4: "clips"}
"""The name of samples, by their number of axes."""

Span = tuple[float, float]


def rescaled(x: Tensor, like: Tensor, spec: DataSpec, name: str, span: Span | None) -> tuple[Tensor, list[str]]:
    """``x[N, *shape]`` of any numeric type, in the form of the real samples ``like``, and doubts about its scale.

    Args:
        x: in [-1, 1], in 0..255 if both it and ``like`` are uint8, or between the two numbers of ``span``.
        like: real samples, uint8 or float32.
        spec: spec of the data.
        name: name of the protocol, for messages.
        span: the numbers that stand for -1 and 1.

    Raises:
        DataError: numbers are not finite or off the scale, or all lie in a range that real samples go beyond.
    """
    kind = NOUNS.get(len(spec.shape), "samples")
    if x.is_complex():
        raise DataError(f"{kind} must be real numbers, but these are {_type(x)}", "give samples.real, or samples.abs()")
    told, x = _type(x), _comparable(x)
    bytes_are_meant = x.dtype == torch.uint8 == like.dtype
    if not spec.bounded:
        return _unbounded(x, like, kind, name, span), []
    needed = "uint8 from 0 to 255, or floats from -1 to 1" if like.dtype == torch.uint8 else "floats from -1 to 1"
    _refuse_infinite(x, f"{kind} must be {needed}")
    if span is not None:
        return _from(x, _checked(span), like, f"the {kind} are {told}"), []
    low, high = float(x.min()), float(x.max())
    floats_are_missing = like.dtype == torch.uint8 and not x.is_floating_point()
    if not bytes_are_meant and (floats_are_missing or max(-low, high) > 1 + OVERSHOOT):
        raise DataError(
            f"{kind} must be {needed}, but these are {told} {_found(x)}", _hint(x, low, high, audio=kind == "sounds")
        )
    doubts = _of_another_scale(x, like, kind, name, bytes_are_meant=bytes_are_meant)
    stored = quantise(x, like)
    return stored, doubts or _pale(stored, like, kind, name)


def _comparable(x: Tensor) -> Tensor:
    """The same numbers in a type that torch can compare: neither 8-bit floats nor wide unsigned integers."""
    if x.is_floating_point():
        return x if x.dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64) else x.float()
    return x.long() if x.dtype in (torch.uint16, torch.uint32, torch.uint64) else x


def _unbounded(x: Tensor, like: Tensor, kind: str, name: str, span: Span | None) -> Tensor:
    if span is not None:
        raise DataError(f"{kind} of {name} have no fixed range, but range={span} was given", "leave out `range`")
    stored = quantise(x, like)
    _refuse_infinite(stored, f"{kind} must be finite numbers")
    return stored


def _refuse_infinite(x: Tensor, needed: str) -> None:
    lost = int((~x.isfinite()).sum())
    if lost:
        raise DataError(f"{needed}, but {lost} of {x.numel()} values are not finite", "look for NaN and overflow")


# -- a range that was given --------------------------------------------------------------------------------------------


def _checked(span: Span) -> Span:
    try:
        low, high = map(float, span)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise DataError(f"range={span!r} is not a range", "give its smallest and largest number, such as range=(0, 1)")
    return low, high


def _from(x: Tensor, span: Span, like: Tensor, told: str) -> Tensor:
    """``x`` from the range ``span`` in the stored form. Naming a default scale gives the same bits as no range."""
    low, high = span
    beyond = OVERSHOOT * (high - low) / 2
    if float(x.min()) < low - beyond or float(x.max()) > high + beyond:
        raise DataError(
            f"range=({low:g}, {high:g}) was given, but {told} {_found(x)}",
            "give their actual range, or samples.clip(...) if they overshoot it",
        )
    if span == (-1, 1):
        return quantise(x.float(), like)
    if span == (0, BYTE) and x.dtype == torch.uint8 == like.dtype:
        return x
    share = (x.double() - low) / (high - low)
    if like.dtype == torch.uint8:
        return (share * BYTE).round().clamp(0, BYTE).to(torch.uint8)
    return (2 * share - 1).to(like.dtype)


# -- a range that is in doubt ------------------------------------------------------------------------------------------


def _of_another_scale(x: Tensor, like: Tensor, kind: str, name: str, *, bytes_are_meant: bool) -> list[str]:
    """Doubts about samples that would also be valid on the scale from 0 to 1.

    Raises:
        DataError: they vary, all lie in 0..1, and nearly all real samples go beyond that.
    """
    low, high = float(x.min()), float(x.max())
    on_both = 0 if bytes_are_meant or kind == "sounds" else 1  # black, silence and white are the same on both scales
    reals = int(_beyond(like, bytes_are_meant=bytes_are_meant).flatten(1).any(1).sum())
    if low < -OVERSHOOT or high > 1 + OVERSHOOT or low == high == on_both or reals < NEARLY_ALL * len(like):
        return []
    where, usual = ("above 1", (0, BYTE)) if bytes_are_meant else ("below 0", (-1, 1))
    if low == high:
        return [
            f"every value of the {kind} is {low:g}, read on the scale from {usual[0]} to {usual[1]}; "
            "name the range from 0 to 1 if that is meant"
        ]
    found = f"{_type(x)} {_found(x)}, and none goes {where}"
    raise DataError(
        f"the {len(x)} {kind} are {found}, but {reals} of {len(like)} real samples of {name} do",
        f"pass range=(0, 1) if they are on the scale from 0 to 1, or range={usual} if they are correct as they are",
    )


def _pale(x: Tensor, like: Tensor, kind: str, name: str) -> list[str]:
    """A doubt about varied images that reach full brightness and hardly go below 0, if nearly all real ones are dark.

    They look like 0..1 with overshoot from resizing, or like 0..1 that was converted to bytes as if it were -1..1.
    ``x`` and ``like`` are as stored.
    """
    low, high = to_signal(torch.stack([x.min(), x.max()])).tolist()
    if kind not in ("images", "clips") or low < -PALE or high < 1 - PALE or low == high:
        return []
    reals = int((like < BYTE // 4 if like.dtype == torch.uint8 else like < -0.5).flatten(1).any(1).sum())
    if reals < NEARLY_ALL * len(like):
        return []
    return [
        f"on the scale -1..1, the {kind} go from {low:.2g} to {high:.2g}, but {reals} of {len(like)} real samples of "
        f"{name} go below -0.5; if the generator's output is in 0..1, clip it to that, and name the range from 0 to 1"
    ]


def _beyond(like: Tensor, *, bytes_are_meant: bool) -> Tensor:
    """Where real samples lie outside 0..1: as bytes, or as floats from -1 to 1."""
    if bytes_are_meant:
        return like > 1
    return like < (BYTE + 1) // 2 if like.dtype == torch.uint8 else like < 0


def _type(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _found(x: Tensor) -> str:
    return f"from {float(x.min()):g} to {float(x.max()):g}"


def _hint(x: Tensor, low: float, high: float, *, audio: bool) -> str:
    """The next step for numbers that are off the scale."""
    if x.dtype == torch.bool:
        return "if they are masks, pass range=(0, 1)"
    if not x.is_floating_point() and audio and low < 0:
        return f"divide them by their full scale, as in samples / {2**15 if max(-low, high) <= 2**15 else 2**31}"
    if low >= 0 and RESIZED < high <= BYTE + 0.5:
        return "if they are on the scale from 0 to 255, pass range=(0, 255)"
    if x.is_floating_point() and max(-low, high) <= RESIZED:
        return "if they overshoot, give samples.clip(-1, 1); otherwise, pass their range"
    return "pass the two numbers that stand for -1 and 1, as in range=(0, 65535), or undo the scaling"
