"""Reads clips from animations, one GIF or WebP per clip, as somebody's samples; used by `folder`.

Some programs, such as Pillow, merge equal frames that follow each other, and show the merged one for longer. Such a
frame is repeated as often as its duration says.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from math import gcd
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageSequence, UnidentifiedImageError
from torch import Tensor

from ganbench import DataError
from ganbench_baselines.dataset.listing import first, shown
from ganbench_baselines.dataset.members import Place


class Clips(NamedTuple):
    """``x[N, C, T, H, W]`` in uint8, and in how many of them frames had to be repeated."""

    x: Tensor
    repeated: int


class Animation(NamedTuple):
    """``frames[T, H, W]`` or ``[T, H, W, 3]`` as uint8, and how long each is shown, in milliseconds."""

    frames: np.ndarray
    shown: list[int]


def read_clips(files: Sequence[Place], channels: int, length: int) -> Clips:
    """Clips from animations that all have the same number of frames and the same size.

    Args:
        files: one animation per clip.
        channels: 1 or 3.
        length: the number of frames that the data have; 0 if unknown.

    Raises:
        DataError: a file cannot be read, or clips differ in length or size; the message names some that do.
    """
    found = [_read(file, channels) for file in files]
    length = length or max(len(one.frames) for one in found)
    unit = gcd(*(time for one in found for time in one.shown))
    clips = [one.frames if len(one.frames) == length else _unmerged(one, unit, length) for one in found]
    _refuse_others(files, clips, length)
    x = torch.from_numpy(np.stack(clips))
    repeated = sum(len(one.frames) != len(clip) for one, clip in zip(found, clips, strict=True))
    return Clips(x[:, None] if channels == 1 else x.permute(0, 4, 1, 2, 3).contiguous(), repeated)


def _unmerged(clip: Animation, unit: int, length: int) -> np.ndarray:
    """The frames, each as often as its duration holds the unit, if that gives the length; else as they are."""
    times = [time // unit for time in clip.shown] if unit else []
    return np.repeat(clip.frames, times, axis=0) if sum(times) == length else clip.frames


def _refuse_others(files: Sequence[Place], clips: Sequence[np.ndarray], length: int) -> None:
    """Raise DataError that names the clips of another length or size than most."""
    forms = [f"{clip.shape[0]} frames of {clip.shape[2]}x{clip.shape[1]}" for clip in clips]
    if len(set(forms)) == 1:
        return
    usual = max(sorted(set(forms)), key=forms.count)
    odd = [f"{file.name} ({form})" for file, form in zip(files, forms, strict=True) if form != usual]
    raise DataError(
        f"{len(odd):,} of {len(clips):,} clips have not {usual} like the others: {first(odd)}",
        "cut and resize them alike; equal frames that a program merged are repeated only if durations add up to "
        f"{length} frames",
    )


def _read(file: Place, channels: int) -> Animation:
    """One animation."""
    mode, frames, times = "L" if channels == 1 else "RGB", list[np.ndarray](), list[int]()
    try:
        with Image.open(file if isinstance(file, Path) else io.BytesIO(file.read_bytes())) as opened:
            for frame in ImageSequence.Iterator(opened):
                frames.append(np.asarray(frame.convert(mode)))
                times.append(round(frame.info.get("duration", 0)))  # which WebP knows once the frame is decoded
    except (OSError, ValueError, UnidentifiedImageError) as error:
        raise DataError(f"'{shown(file.name)}' cannot be read as an animation: {shown(error)}", "replace it") from error
    return Animation(np.stack(frames), times)
