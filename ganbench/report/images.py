"""Pictures of images ``x[N, C, H, W]``."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.contracts.data import quantise
from ganbench.report.canvas import Pixels, enlarged

ANY_BYTES = torch.empty(0, dtype=torch.uint8)


def rgb(x: Tensor) -> Pixels:
    """``x[N, C, H, W]``, bytes or floats in [-1, 1] -> ``[N, H, W, 3]``.

    Uses the first three channels, or the first one as grey.
    """
    x = quantise(x, like=ANY_BYTES)
    x = x[:, :3] if x.shape[1] >= 3 else x[:, :1].expand(-1, 3, -1, -1)
    return x.permute(0, 2, 3, 1).contiguous().numpy()


def tiles(x: Tensor) -> Pixels:
    """``[N, h, w, 3]``, with small images enlarged without smoothing."""
    return enlarged(rgb(x))


def small(x: Tensor, side: int) -> Pixels:
    """``[N, h, w, 3]``, reduced to a width of at most ``side`` pixels by skipping pixels."""
    step = -(-x.shape[-1] // side)
    return rgb(x)[:, ::step, ::step]
