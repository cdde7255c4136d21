"""Pictures, sounds and animations as files, each whole or not at all."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from ganbench.contracts.data import to_signal
from ganbench.records.files import write_atomically
from ganbench.report.canvas import Pixels

SILENCE = 0.25
"""Seconds between sounds that follow one another in a file."""
SHORTEST = 20
"""Milliseconds: browsers show a picture for 100 if it asks for less than this."""


def save_png(pixels: Pixels, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    write_atomically(path, buffer.getvalue())


def save_wav(x: Tensor, rate: float, path: Path) -> None:
    """Write sounds ``x[N, C, T]`` in [-1, 1] one after the other, with short silences between, as 16-bit PCM."""
    pause = np.zeros((x.shape[1], round(SILENCE * rate)), np.float32)
    parts = [part for sound in to_signal(x).numpy() for part in (sound, pause)][:-1]
    samples = (np.concatenate(parts, axis=1) * 2**15).round().clip(-(2**15), 2**15 - 1)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(x.shape[1])
        file.setsampwidth(2)
        file.setframerate(round(rate))
        file.writeframes(samples.T.astype("<i2").tobytes())
    write_atomically(path, buffer.getvalue())


def save_animation(frames: Sequence[Pixels], fps: float, path: Path, hold: float = 0.0) -> None:
    """Write pictures of one size as a GIF or, by the suffix, a lossless WebP, which loops for ever.

    Args:
        frames: ``[H, W, 3]`` each; consecutive equal ones become one that is shown for longer.
        fps: pictures per second, at most 50.
        path: the file, ``.gif`` or ``.webp``.
        hold: extra seconds for which the last one is shown.
    """
    kind = path.suffix.lower().removeprefix(".")
    tick = 10 if kind == "gif" else 1  # milliseconds that the format counts in
    times = [round(1000 * i / fps / tick) * tick for i in range(len(frames) + 1)]
    shown = [max(SHORTEST, after - before) for before, after in pairwise(times)]
    shown[-1] += round(1000 * hold)
    images = [Image.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    options = {"lossless": True} if kind == "webp" else {}
    images[0].save(buffer, kind, save_all=True, append_images=images[1:], duration=shown, loop=0, **options)
    write_atomically(path, buffer.getvalue())
