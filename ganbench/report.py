"""Pictures of samples, for files and for the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ganbench.record import write_atomically

Pixels = NDArray[np.uint8]
"""``[H, W, 3]``, 0..255."""

SMALLEST_SIDE = 48
THUMBNAILS = 12
INK = (31, 90, 166)


def picture(x: Tensor) -> Pixels:
    """Stored samples as one picture: a grid of images ``x[N, C, H, W]``, a scatter of points ``x[N, 2]``, or a
    histogram of the first coordinate of anything else."""
    if x.ndim == 4:
        return _grid(_rgb(x))
    if x.ndim == 2 and x.shape[1] == 2:
        return _scatter(x.numpy(), 512)
    return _histogram(x.reshape(len(x), -1)[:, 0].numpy(), 512)


def thumbnail(x: Tensor) -> Pixels:
    """A few samples small enough for a terminal, ``[n, H, W, 3]``: n images, or one scatter or histogram."""
    if x.ndim == 4:
        step = -(-x.shape[-1] // 24)
        return _rgb(x[:THUMBNAILS])[:, ::step, ::step]
    small = Image.fromarray(picture(x)).resize((32, 32), Image.Resampling.BOX)
    return np.asarray(small)[None]


def save_png(pixels: Pixels, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    write_atomically(path, buffer.getvalue())


def _rgb(x: Tensor) -> Pixels:
    """``x[N, C, H, W]`` uint8 with 1 or 3 channels -> ``[N, H, W, 3]``."""
    x = x[:, :3] if x.shape[1] >= 3 else x[:, :1].expand(-1, 3, -1, -1)
    return x.permute(0, 2, 3, 1).contiguous().numpy()


def _grid(images: Pixels) -> Pixels:
    """Tile in a near-square grid on a dark ground; small images are enlarged without smoothing."""
    scale = max(1, -(-SMALLEST_SIDE // images.shape[1]))
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    n, height, width, _ = images.shape
    columns = int(np.ceil(np.sqrt(n)))
    rows, gap = -(-n // columns), 2
    canvas = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 24, np.uint8)
    for i, image in enumerate(images):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas


def _scatter(points: NDArray[np.float32], size: int) -> Pixels:
    """Points on a white square that holds them all (outliers beyond the 99 % range are clipped to the edge)."""
    low, high = np.quantile(points, [0.005, 0.995])
    reach = max(abs(low), abs(high), 1e-6) * 1.25
    place = ((points / reach + 1) / 2 * (size - 4)).clip(1, size - 4).astype(int)
    canvas = np.full((size, size, 3), 255, np.uint8)
    for dx in range(3):
        for dy in range(3):
            canvas[size - 1 - place[:, 1] - dy, place[:, 0] + dx] = INK
    return canvas


def _histogram(values: NDArray[np.float32], size: int) -> Pixels:
    """Bars of a density over 64 bins."""
    counts, _ = np.histogram(values, 64)
    heights = (counts / max(1, counts.max()) * (size - 8)).astype(int).repeat(size // 64)
    rows = np.arange(size)[::-1, None]
    return np.where((rows < heights)[..., None], np.array(INK, np.uint8), np.uint8(255)).astype(np.uint8)
