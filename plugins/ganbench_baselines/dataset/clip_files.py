"""Reads clips from animations, one GIF or WebP per clip, as somebody's samples; used by `folder`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageSequence, UnidentifiedImageError
from torch import Tensor

from ganbench import DataError
from ganbench_baselines.dataset.listing import first, shown
from ganbench_baselines.dataset.members import Place


def read_clips(files: Sequence[Place], channels: int) -> Tensor:
    """``[N, C, T, H, W]`` in uint8 from animations that all have the same number of frames and the same size.

    Raises:
        DataError: a file cannot be read, or clips differ in length or size.
    """
    clips = [_read(file, channels) for file in files]
    shapes = {clip.shape for clip in clips}
    if len(shapes) > 1:
        forms = [f"{shape[1]} frames of {shape[3]}x{shape[2]}" for shape in sorted(shapes)]
        raise DataError(f"the clips are not of one length and size, but {first(forms)}", "cut and resize them alike")
    return torch.from_numpy(np.stack(clips))


def _read(file: Place, channels: int) -> np.ndarray:
    """One clip, ``[C, T, H, W]``."""
    try:
        with Image.open(file if isinstance(file, Path) else io.BytesIO(file.read_bytes())) as opened:
            mode = "L" if channels == 1 else "RGB"
            frames = [np.asarray(frame.convert(mode)) for frame in ImageSequence.Iterator(opened)]
    except (OSError, ValueError, UnidentifiedImageError) as error:
        raise DataError(f"'{shown(file.name)}' cannot be read as an animation: {shown(error)}", "replace it") from error
    clip = np.stack(frames)
    return clip[None] if channels == 1 else clip.transpose(3, 0, 1, 2)
