"""Pictures and curves as inline HTML for notebooks: no files, no scripts, a few kilobytes each."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from ganbench.plain import as_html
from ganbench.records.files import read_whole
from ganbench.report.canvas import Pixels

WIDEST = 320
"""Pixels of a picture's longer side; larger pictures are shrunk to it."""
LARGEST = 64 * 2**20
"""Bytes of a picture file."""
MARGIN = 3.0
"""Pixels around a curve, for the dot at its end."""

Point = tuple[float, float]


def picture_file(path: Path) -> str:
    """A picture file as a data URI; "" if it cannot be read as a picture."""
    try:
        with Image.open(io.BytesIO(read_whole(path, LARGEST))) as image:
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # Pillow raises all of these
        return ""
    small.thumbnail((WIDEST, WIDEST))
    return _saved(small, "webp")


def picture_pixels(pixels: Pixels) -> str:
    """Pixels ``[H, W, 3]`` as a data URI."""
    return _saved(Image.fromarray(pixels), "png")


def address_of(content: bytes, kind: str) -> str:
    """The content of a ``png`` or ``webp`` file as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _saved(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return address_of(buffer.getvalue(), kind)


def curves(
    lines: Iterable[Sequence[Point]], title: str, size: tuple[int, int] = (120, 32), *, log: bool = False
) -> str:
    """Lines through points, in one frame of ``size`` pixels, as SVG with a dot at the end of each.

    Points that are not finite are left out; "" if none is left. With ``log``, the y axis is logarithmic if all values
    are positive.
    """
    kept = [[(x, y) for x, y in line if math.isfinite(x) and math.isfinite(y)] for line in lines]
    kept = [line for line in kept if line]
    if not kept:
        return ""
    if log and all(y > 0 for line in kept for _, y in line):
        kept = [[(x, math.log(y)) for x, y in line] for line in kept]
    across = _scaled([[x for x, _ in line] for line in kept])
    up = _scaled([[y for _, y in line] for line in kept])
    width, height = size
    drawn = ""
    for xs, ys in zip(across, up, strict=True):
        places = [
            (MARGIN + x * (width - 2 * MARGIN), MARGIN + (1 - y) * (height - 2 * MARGIN))
            for x, y in zip(xs, ys, strict=True)
        ]
        path, (x, y) = " ".join(f"{x:.1f},{y:.1f}" for x, y in places), places[-1]
        drawn += (
            f'<polyline points="{path}" fill="none" stroke="currentColor"/><circle cx="{x:.1f}" cy="{y:.1f}" r="2"/>'
        )
    return (
        f'<svg role="img" width="{width}" height="{height}" viewBox="0 0 {width} {height}" fill="currentColor">'
        f"<title>{as_html(title)}</title>{drawn}</svg>"
    )


def _scaled(lines: Sequence[Sequence[float]]) -> list[list[float]]:
    """Scale all numbers to the range from 0 (the smallest) to 1 (the largest); 0.5 if all are equal."""
    largest = max(abs(value) for line in lines for value in line) or 1.0  # else a difference might overflow
    parts = [[value / largest for value in line] for line in lines]
    low, high = (end(value for line in parts for value in line) for end in (min, max))
    return [[(value - low) / (high - low) if high > low else 0.5 for value in line] for line in parts]
