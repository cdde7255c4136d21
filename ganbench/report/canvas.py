"""Building blocks of pictures: tiles, enlargement, text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
"""``[H, W, 3]``, 0..255; tiles and frames have one more axis in front."""
Colour = tuple[int, int, int]

SMALLEST_SIDE = 48
GROUND = 24
"""The grey level between the tiles of a grid."""
GAP = 2
STRETCH = 1.75
LINE = 18
"""Height of a line of text, in pixels."""


def enlarged(tiles: Pixels, side: int = SMALLEST_SIDE) -> Pixels:
    """Enlarge ``[n, h, w, 3]`` to a height of at least ``side`` by repeating pixels, without smoothing."""
    scale = max(1, -(-side // tiles.shape[1]))
    return tiles.repeat(scale, axis=1).repeat(scale, axis=2)


def grid(tiles: Pixels, columns: int = 0, gap: int = GAP) -> Pixels:
    """Arrange ``[n, h, w, 3]`` on a dark background, in rows of ``columns``; about square by default."""
    n, height, width, _ = tiles.shape
    columns = min(n, columns or columns_for(n, height / width))
    rows = -(-n // columns)
    canvas = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), GROUND, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        canvas[top : top + height, left : left + width] = tile
    return canvas


def columns_for(n: int, aspect: float = 1.0) -> int:
    """The number of columns that makes a grid of ``n`` tiles about square, without gaps in the last row if possible.

    ``aspect`` is the height of a tile divided by its width. The grid may be up to ``STRETCH`` times as wide as a square
    one, or as narrow: 40 tiles come in rows of 8, but 13 in rows of 4, with a gap.
    """
    ideal = math.sqrt(n * aspect)
    full = [c for c in range(1, n + 1) if n % c == 0 and ideal / STRETCH <= c <= ideal * STRETCH]
    return min(full, key=lambda c: (round(abs(math.log(c / ideal)), 6), -c), default=math.ceil(ideal))


def beside(parts: Sequence[Pixels], gap: int = 1) -> Pixels:
    """Join several ``[n, h, w, 3]`` into one: the i-th tiles of all, side by side on a dark background.

    Smaller tiles are enlarged as far as they fit.
    """
    height = max(part.shape[1] for part in parts)
    columns = []
    for part in parts:
        scale = height // part.shape[1]
        tiles = part.repeat(scale, axis=1).repeat(scale, axis=2)
        spare = height - tiles.shape[1]
        columns.append(np.pad(tiles, ((0, 0), (0, spare), (gap, 0), (0, 0)), constant_values=GROUND))
    whole: Pixels = np.concatenate(columns, axis=2)[:, :, gap:]
    return whole


def captioned(pixels: Pixels, caption: str) -> Pixels:
    """The picture below a line of text."""
    canvas = Image.fromarray(np.pad(pixels, ((LINE, 0), (0, 0), (0, 0)), constant_values=GROUND))
    ImageDraw.Draw(canvas).text((GAP + 2, LINE // 2), caption, (225, 225, 225), font(), "lm")
    return np.asarray(canvas)


@cache
def font(size: int = 12) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's default font."""
    return ImageFont.load_default(size)
