"""A strip: a few samples in one row, small enough to publish with every row of a leaderboard."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.contracts.data import DataSpec, Split
from ganbench.records.strips import PICTURE, SOUND
from ganbench.report import audio, images, points
from ganbench.report.canvas import Pixels, beside, grid
from ganbench.report.files import animation, wav
from ganbench.report.pictures import CLIP_RATE

POINTS, SOUNDS, TILES = 1000, 8, 12
"""The most samples in a strip, by the kind of data."""
SIDE, CLIP_SIDE = 64, 32
"""Pixels; larger images and clips are reduced by skipping pixels."""
SPECTROGRAM = 40
"""The side of a spectrogram in pixels."""
PAUSE = 0.1
"""Seconds between sounds."""
SOUND_BYTES = 60_000


def shown(reals: Split, spec: DataSpec) -> Split:
    """The reals that provide the labels and sources for a strip's samples.

    They are sorted by class, equally many of each. If there are too many classes, evenly spaced ones are chosen.
    """
    n = {1: POINTS, 2: SOUNDS}.get(len(spec.shape), TILES)
    if reals.labels is None:
        return reals[torch.arange(min(n, len(reals)))]
    classes = reals.labels.unique()
    classes = classes[_spaced(len(classes), n)]
    return reals[torch.cat([(reals.labels == one).nonzero().flatten()[: n // len(classes)] for one in classes])]


def files_of(fakes: Tensor, few: Split, reals: Split, spec: DataSpec) -> dict[str, bytes]:
    """Suffix -> content of the files of a strip.

    Args:
        fakes: ``[N, *shape]`` as stored, made for the labels and sources of ``few``.
        few: the reals that ``shown`` chose.
        reals: all reals, which set the axes for points.
        spec: the spec of the data.
    """
    if fakes.ndim == 2:
        frames = [points.still(fakes, reals.x)]
    elif fakes.ndim == 3:
        frames = [_row(audio.thumbnails(fakes, SPECTROGRAM))]
    elif fakes.ndim == 5:
        frames = [_row(images.small(moment, CLIP_SIDE)) for moment in fakes.unbind(2)]
    else:
        frames = [_images(fakes, few.source)]
    picture = animation(frames, (spec.rate if fakes.ndim == 5 else None) or CLIP_RATE, "webp")
    return {PICTURE: picture, SOUND: _sound(fakes, spec.rate)} if fakes.ndim == 3 and spec.rate else {PICTURE: picture}


def _images(fakes: Tensor, source: Tensor | None) -> Pixels:
    """Images side by side, each after its source if it has one."""
    tiles = images.small(fakes, SIDE)
    if source is None:
        return _row(tiles)
    given = images.small(source[torch.arange(len(fakes)) % len(source)], SIDE)
    return _row(beside([given, tiles]), gap=6)


def _sound(fakes: Tensor, rate: float) -> bytes:
    """A WAV of ``fakes[N, C, T]`` in turn: as many as fit into ``SOUND_BYTES``, evenly spaced among them."""
    most = SOUND_BYTES // (2 * fakes.shape[1])  # samples of two bytes in each channel
    n = max(1, int(most / (fakes.shape[2] + PAUSE * rate)))
    return wav(fakes[_spaced(len(fakes), n), :, :most], rate, PAUSE)


def _row(tiles: Pixels, gap: int = 2) -> Pixels:
    return grid(tiles, len(tiles), gap)


def _spaced(n: int, most: int) -> Tensor:
    """At most ``most`` of the indices below ``n``, evenly spaced."""
    return torch.linspace(0, n - 1, min(n, most), dtype=torch.float64).round().long()
