"""Axes to draw data in, with ticks on two or three sides."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from ganbench.report.canvas import Colour, Pixels, font

LEFT, RIGHT, TOP, BOTTOM = 42, 42, 26, 24
"""Margins, in pixels."""
PAPER, LINES, WORDS = (255, 255, 255), (150, 150, 150), (60, 60, 60)

Range = tuple[float, float]


class Axes:
    """A plot of ``width`` x ``height`` pixels with white margins, for the ranges ``x`` and ``y`` (lowest, highest).

    Args:
        ground: the background of the plot, ``[height, width, 3]``.
    """

    def __init__(self, width: int, height: int, x: Range, y: Range, ground: Pixels | None = None) -> None:
        self.width, self.height, self.x, self.y = width, height, x, y
        self.image = Image.new("RGB", (LEFT + width + RIGHT, TOP + height + BOTTOM), PAPER)
        self.draw = ImageDraw.Draw(self.image)
        if ground is not None:
            self.image.paste(Image.fromarray(ground), (LEFT, TOP))

    def place(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.int64]:
        """Map data to pixels ``[n, 2]`` of the plot, as column and row from its upper left.

        Points outside are clamped to the edge.
        """
        across = (np.asarray(x, float) - self.x[0]) / (self.x[1] - self.x[0]) * (self.width - 1)
        up = (np.asarray(y, float) - self.y[0]) / (self.y[1] - self.y[0]) * (self.height - 1)
        both = np.broadcast_arrays(across.clip(0, self.width - 1), self.height - 1 - up)
        at: NDArray[np.float64] = np.stack(both, -1)
        at[..., 1] = at[..., 1].clip(0, self.height - 1)
        return np.rint(at).astype(np.int64)

    def line(self, x: ArrayLike, y: ArrayLike, colour: Colour, width: int = 2) -> None:
        """Draw a line through the points."""
        points = [(int(column) + LEFT, int(row) + TOP) for column, row in self.place(x, y)]
        self.draw.line(points, colour, width)

    def area(self, x: ArrayLike, y: ArrayLike, colour: Colour) -> None:
        """Fill the polygon whose corners are the points."""
        self.draw.polygon([(int(column) + LEFT, int(row) + TOP) for column, row in self.place(x, y)], colour)

    def dots(self, x: ArrayLike, y: ArrayLike, colour: Colour, size: int) -> None:
        """Draw each point as a square with sides of ``size`` pixels."""
        at = self.place(x, y).clip(0, [self.width - size, self.height - size])
        pixels = np.array(self.image)
        for right in range(size):
            for down in range(size):
                pixels[TOP + at[:, 1] + down, LEFT + at[:, 0] + right] = colour
        self.image.paste(Image.fromarray(pixels))

    def ticks_x(self) -> None:
        """Draw ticks with numbers below the plot."""
        for value in round_numbers(*self.x):
            ((column, row),) = self.place([value], [self.y[0]])
            self.draw.line([(column + LEFT, row + TOP), (column + LEFT, row + TOP + 4)], LINES)
            self.draw.text((column + LEFT, row + TOP + 6), f"{value:g}", WORDS, font(), "ma")

    def ticks_y(self, values: Sequence[tuple[float, str]] | None = None, *, right: bool = False) -> None:
        """Draw ticks on the left or right: the named ``values``, or round numbers."""
        named = [(value, f"{value:g}") for value in round_numbers(*self.y)] if values is None else values
        edge, outwards, anchor = (LEFT + self.width - 1, 1, "lm") if right else (LEFT, -1, "rm")
        for value, name in named:
            ((_, row),) = self.place([self.x[0]], [value])
            self.draw.line([(edge, row + TOP), (edge + 4 * outwards, row + TOP)], LINES)
            self.draw.text((edge + 7 * outwards, row + TOP), name, WORDS, font(), anchor)

    def legend(self, names: Sequence[tuple[str, Colour]], corner: str = "") -> None:
        """Draw names with their colours above the plot, and a text in the right corner."""
        at = LEFT
        for name, colour in names:
            self.draw.rectangle([at, TOP - 16, at + 9, TOP - 7], colour)
            self.draw.text((at + 14, TOP - 11), name, WORDS, font(), "lm")
            at += 14 + int(self.draw.textlength(name, font())) + 16
        self.draw.text((LEFT + self.width, TOP - 11), corner, WORDS, font(), "rm")

    def pixels(self) -> Pixels:
        """The whole picture, with the plot's frame."""
        self.draw.rectangle([LEFT - 1, TOP - 1, LEFT + self.width, TOP + self.height], outline=LINES)
        return np.array(self.image)


def round_numbers(low: float, high: float, about: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between two numbers, about ``about`` of them at most."""
    power = 10.0 ** math.floor(math.log10((high - low) / about))
    step = next(power * k for k in (1, 2, 5, 10) if power * k * about >= (high - low))
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(k * step, 12) for k in range(first, last + 1)]
