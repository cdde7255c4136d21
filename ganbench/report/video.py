"""Pictures of clips ``x[N, C, T, H, W]``: frames side by side, or one after the other."""

from __future__ import annotations

from torch import Tensor

from ganbench.report.canvas import Pixels, beside, enlarged, grid
from ganbench.report.images import rgb, small


def frames(x: Tensor) -> Pixels:
    """All frames of clips, ``[N, T, H, W, 3]``."""
    return rgb(x.transpose(1, 2).flatten(0, 1)).reshape(len(x), x.shape[2], *x.shape[3:], 3)


def tiles(x: Tensor) -> Pixels:
    """``[N, h, w, 3]``: the rows of a contact sheet, one per clip, with its frames from left to right."""
    clips = frames(x)
    return beside([enlarged(clips[:, t]) for t in range(clips.shape[1])])


def moving(x: Tensor, columns: int = 0) -> list[Pixels]:
    """A picture for each frame, with all clips in a grid."""
    clips = frames(x)
    return [grid(enlarged(clips[:, t]), columns) for t in range(clips.shape[1])]


def thumbnails(x: Tensor, n: int, side: int) -> Pixels:
    """``[n, h, w, 3]``: the first frames of the first clip."""
    return small(x[0, :, :n].transpose(0, 1), side)
