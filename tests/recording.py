"""Records what a terminal shows of a command as a GIF, for the README.

    pip install pyte
    python tests/recording.py docs/pictures/first-run.gif ganbench run --arch dcgan --loss wgan-gp

The command runs in an empty folder. A second of the recording is ``FASTER`` seconds of it. Screens that do not change
are left out. It needs an idle machine, and matplotlib for its monospaced font.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import pyte
from PIL import Image, ImageDraw, ImageFont

COLUMNS, LINES = 96, 30
FASTER, EVERY, LAST = 8.0, 4.0, 6000
"""How much faster the recording is, seconds between two looks at the screen, milliseconds of the last one."""
SIZE, WIDE, HIGH, MARGIN = 13, 8, 16, 10
INK, PAPER = (220, 223, 228), (24, 26, 31)
NAMED = {
    "black": (40, 44, 52), "red": (224, 108, 117), "green": (152, 195, 121), "brown": (229, 192, 123),
    "blue": (97, 175, 239), "magenta": (198, 120, 221), "cyan": (86, 182, 194), "white": INK,
    "brightblack": (130, 137, 151),
}  # fmt: skip
FONT = Path(mpl.get_data_path(), "fonts", "ttf")


class Shot(NamedTuple):
    """A screen, and the seconds after which it was seen."""

    image: Image.Image
    seconds: float


def watched(command: list[str]) -> list[Shot]:
    """The command in a terminal of its own, looked at every second."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    here = os.environ | {
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "COLUMNS": str(COLUMNS),
        "LINES": str(LINES),
    }
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=here, cwd=folder)
        os.close(follower)
        screen = pyte.Screen(COLUMNS, LINES)
        stream = pyte.ByteStream(screen)
        shots, began = [typed(screen, command)], time.monotonic()
        while True:
            if select.select([leader], [], [], 0.2)[0]:  # it goes on writing: half a picture is no picture
                try:
                    stream.feed(os.read(leader, 65536))
                except OSError:  # the command has closed its end
                    break
            elif process.poll() is not None:
                break
            elif time.monotonic() - began - shots[-1].seconds >= EVERY:
                shots.append(Shot(drawn(screen), time.monotonic() - began))
    return [*shots, Shot(drawn(screen), time.monotonic() - began)]


def typed(screen: pyte.Screen, command: list[str]) -> Shot:
    """The first screen: the command as it was typed."""
    screen.draw(f"$ {' '.join(command)}")
    screen.linefeed()
    screen.carriage_return()
    return Shot(drawn(screen), 0.0)


def drawn(screen: pyte.Screen) -> Image.Image:
    """The screen as a picture."""
    image = Image.new("RGB", (COLUMNS * WIDE + 2 * MARGIN, LINES * HIGH + 2 * MARGIN), PAPER)
    draw = ImageDraw.Draw(image)
    fonts = {bold: ImageFont.truetype(FONT / f"DejaVuSansMono{'-Bold' * bold}.ttf", SIZE) for bold in (False, True)}
    for row in range(LINES):
        for column in range(COLUMNS):
            cell = screen.buffer[row][column]
            left, top = MARGIN + column * WIDE, MARGIN + row * HIGH
            ink, paper = _colour(cell.fg, INK), _colour(cell.bg, PAPER)
            if cell.reverse:
                ink, paper = paper, ink
            if paper != PAPER:
                draw.rectangle([left, top, left + WIDE - 1, top + HIGH - 1], paper)
            if cell.data == "▀":
                draw.rectangle([left, top, left + WIDE - 1, top + HIGH // 2 - 1], ink)
            elif cell.data == "▄":
                draw.rectangle([left, top + HIGH // 2, left + WIDE - 1, top + HIGH - 1], ink)
            elif cell.data.strip():
                draw.text((left, top), cell.data, ink, fonts[cell.bold])
    return image


def _colour(name: str, otherwise: tuple[int, int, int]) -> tuple[int, int, int]:
    if name in NAMED:
        return NAMED[name]
    if len(name) == 6:
        return int(name[:2], 16), int(name[2:4], 16), int(name[4:], 16)
    return otherwise


def save(shots: list[Shot], path: Path) -> None:
    """As a GIF of few colours that begins again."""
    kept = [
        shot for shot, before in zip(shots, [None, *shots], strict=False) if not before or shot.image != before.image
    ]
    ends = [*(shot.seconds for shot in kept[1:]), None]
    lengths = [
        LAST if end is None else round((end - shot.seconds) / FASTER * 1000)
        for shot, end in zip(kept, ends, strict=True)
    ]
    colours = kept[len(kept) // 2].image.quantize(64)  # the same in all pictures, so that what stays costs nothing
    first, *others = (shot.image.quantize(palette=colours, dither=Image.Dither.NONE) for shot in kept)
    first.save(
        path, save_all=True, append_images=others, duration=[max(20, ms) for ms in lengths], loop=0, optimize=True
    )


if __name__ == "__main__":
    save(watched(sys.argv[2:]), Path(sys.argv[1]))
