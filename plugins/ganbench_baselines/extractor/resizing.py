"""Pillow's bicubic resizing, which published judges use, as two products of matrices, which also run on a GPU.

torch's own bicubic interpolation with antialiasing computes its weights in float32, which makes it up to 0.004 grey
levels wrong. Rows are resized first, as Pillow does with square images.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

REACH = 2  # of the kernel, in pixels of the smaller image
SHARPNESS = -0.5
ONE = 2.0**22  # Pillow multiplies the weights for images of 8 bits by this, and rounds them to whole numbers


def as_floats(x: Tensor, side: int) -> Tensor:
    """``x[B, C, H, W]`` in 0..255 -> ``[B, C, side, side]``, as Pillow with mode "F": in float32, not clipped."""
    across, down = (weights(n, side).to(x.device, torch.float32) for n in (x.shape[3], x.shape[2]))
    return down @ (x.float() @ across.T)


def as_bytes(x: Tensor, side: int) -> Tensor:
    """``x[B, C, H, W]`` in 0..255 -> ``[B, C, side, side]``, as Pillow with images of 8 bits: rounded after each step.

    The values are whole, in float64, which sums them exactly: the result is Pillow's to the bit.
    """
    across, down = ((ONE * weights(n, side)).round().to(x.device) for n in (x.shape[3], x.shape[2]))
    return _whole(down @ _whole(x.double() @ across.T))


def _whole(x: Tensor) -> Tensor:
    return (x / ONE + 0.5).floor().clamp(0, 255)


@cache
def weights(old: int, new: int) -> Tensor:
    """``[new, old]`` in float64: the share of each old pixel in each new one, by the cubic of Keys (1981).

    If the image shrinks, the kernel widens to the distance between new pixels, which is the antialiasing.
    """
    scale = old / new
    wide = max(scale, 1.0)
    pixels, centres = (torch.arange(n, dtype=torch.float64) + 0.5 for n in (old, new))
    d = (pixels - scale * centres[:, None]).abs() / wide
    a = SHARPNESS
    near = ((a + 2) * d - (a + 3)) * d**2 + 1
    far = a * (((d - 5) * d + 8) * d - 4)
    shares = torch.where(d < 1, near, torch.where(d < REACH, far, 0.0))
    return shares / shares.sum(dim=1, keepdim=True)
