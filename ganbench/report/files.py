"""Pictures, sounds and animations as files, each written atomically."""

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
"""Seconds between consecutive sounds in a file."""
SHORTEST = 20
"""Milliseconds: browsers show a frame for 100 if its duration is shorter than this."""


def save_png(pixels: Pixels, path: Path) -> None:
    """Write a PNG atomically."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    write_atomically(path, buffer.getvalue())


def save_wav(x: Tensor, rate: float, path: Path) -> None:
    """Write the file that ``wav`` makes of sounds."""
    write_atomically(path, wav(x, rate))


def wav(x: Tensor, rate: float, pause: float = SILENCE) -> bytes:
    """Sounds ``x[N, C, T]`` in [-1, 1] one after the other, ``pause`` seconds apart, as 16-bit PCM."""
    silence = np.zeros((x.shape[1], round(pause * rate)), np.float32)
    parts = [part for sound in to_signal(x).numpy() for part in (sound, silence)][:-1]
    samples = (np.concatenate(parts, axis=1) * 2**15).round().clip(-(2**15), 2**15 - 1)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(x.shape[1])
        file.setsampwidth(2)
        file.setframerate(round(rate))
        file.writeframes(samples.T.astype("<i2").tobytes())
    return buffer.getvalue()


def save_animation(frames: Sequence[Pixels], fps: float, path: Path, hold: float = 0.0) -> None:
    """Write the file that ``animation`` makes of pictures, in the format of the suffix, ``.gif`` or ``.webp``."""
    write_atomically(path, animation(frames, fps, path.suffix.lower().removeprefix("."), hold))


def animation(frames: Sequence[Pixels], fps: float, kind: str, hold: float = 0.0) -> bytes:
    """Pictures of one size as a GIF or a lossless WebP that loops forever.

    Args:
        frames: ``[H, W, 3]`` each; consecutive equal ones become one that is shown for longer.
        fps: frames per second, at most 50.
        kind: ``"gif"`` or ``"webp"``.
        hold: extra seconds for which the last frame is shown.
    """
    tick = 10 if kind == "gif" else 1  # the format's unit of time, in milliseconds
    times = [round(1000 * i / fps / tick) * tick for i in range(len(frames) + 1)]
    shown = [max(SHORTEST, after - before) for before, after in pairwise(times)]
    shown[-1] += round(1000 * hold)
    images = [Image.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    options = {"lossless": True} if kind == "webp" else {}
    images[0].save(buffer, kind, save_all=True, append_images=images[1:], duration=shown, loop=0, **options)
    return buffer.getvalue()
