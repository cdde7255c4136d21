"""Pictures of sounds ``x[N, C, T]``: the wave above its spectrogram."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ganbench.contracts.data import to_signal
from ganbench.report.canvas import Pixels

WIDTH, WAVE, SPECTRUM = 192, 40, 64
"""Pixels of a tile: its width, and the heights of the wave and the spectrogram."""
WINDOW_SECONDS = 0.032
ASSUMED_RATE = 8000.0
"""The rate in samples per second that sets the window's length if the data state none."""
FLOOR = -80.0
"""The level in decibels that is black; 0 dB, the brightest, is a sine of amplitude 1."""
PAPER, WAVE_INK, MIDDLE = (16, 16, 20), (120, 190, 255), (60, 60, 70)
HEAT = (
    (0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21), (250, 193, 39),
    (252, 255, 164),
)  # fmt: skip


def tiles(x: Tensor, rate: float | None) -> Pixels:
    """``[N, h, w, 3]`` from ``x[N, C, T]`` in [-1, 1]; channels are averaged."""
    mono = to_signal(x).mean(dim=1).numpy()
    return np.concatenate([_waves(mono), _heated(spectrogram(mono, rate or ASSUMED_RATE))], axis=1)


def caption(x: Tensor, rate: float | None) -> str:
    """A caption that describes the axes of the tiles."""
    scale = f"{FLOOR:g} to 0 dB"
    if rate is None:
        return f"{x.shape[-1]} samples; {scale}"
    return f"{x.shape[-1] / rate:.2g} s; 0 to {rate / 2000:g} kHz, {scale}"


def thumbnails(x: Tensor, side: int) -> Pixels:
    """``[N, side, side, 3]``: small spectrograms."""
    heat = _heated(spectrogram(to_signal(x).mean(dim=1).numpy(), ASSUMED_RATE))
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BOX)) for one in heat])


def spectrogram(mono: NDArray[np.float32], rate: float) -> NDArray[np.float32]:
    """``x[N, T] -> dB[N, SPECTRUM, WIDTH]``, high frequencies first.

    The values are the power in Hann windows of about 32 ms at evenly spaced samples, averaged over the frequencies of
    each row.
    """
    size = min(2 ** round(math.log2(WINDOW_SECONDS * rate)), 2 ** int(math.log2(mono.shape[1])))
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    padded = np.pad(mono, ((0, 0), (size // 2, size - size // 2)))
    starts = np.linspace(0, mono.shape[1] - 1, WIDTH).astype(int)
    spectrum = np.fft.rfft(padded[:, starts[:, None] + np.arange(size)] * window)[..., :-1]
    power = (np.abs(spectrum) * (2 / window.sum())) ** 2
    bins = power.shape[-1]
    if bins >= SPECTRUM:
        power = power.reshape(*power.shape[:2], SPECTRUM, bins // SPECTRUM).mean(-1)
    else:
        power = power.repeat(SPECTRUM // bins, axis=-1)
    decibels: NDArray[np.float32] = 10 * np.log10(power + 1e-12).transpose(0, 2, 1)[:, ::-1]
    return decibels


def _heated(decibels: NDArray[np.float32]) -> Pixels:
    share = ((decibels - FLOOR) / -FLOOR).clip(0, 1)
    places = np.linspace(0, 1, len(HEAT))
    table = np.stack([np.interp(np.linspace(0, 1, 256), places, channel) for channel in zip(*HEAT, strict=True)], 1)
    return table.astype(np.uint8)[(share * 255).astype(np.uint8)]


def _waves(mono: NDArray[np.float32]) -> Pixels:
    """``[N, WAVE, WIDTH, 3]``: the range from the smallest to the largest sample of each column, joined up."""
    edges = np.linspace(0, mono.shape[1], WIDTH + 1).astype(int)[:-1]
    low, high = np.minimum.reduceat(mono, edges, axis=1), np.maximum.reduceat(mono, edges, axis=1)
    low[:, 1:], high[:, 1:] = np.minimum(low[:, 1:], high[:, :-1]), np.maximum(high[:, 1:], low[:, :-1])
    top, bottom = (np.rint((1 - v.clip(-1, 1)) / 2 * (WAVE - 1))[:, None, :] for v in (high, low))
    rows = np.arange(WAVE)[None, :, None]
    canvas = np.full((*mono.shape[:1], WAVE, WIDTH, 3), PAPER, np.uint8)
    canvas[:, WAVE // 2] = MIDDLE
    canvas[(rows >= top) & (rows <= bottom)] = WAVE_INK
    return canvas
