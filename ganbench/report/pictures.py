"""Samples as pictures, for files and the terminal, and as sounds and animations.

The shape of the data determines their kind: points, sounds, images or clips (``DataSpec``). Arrays are as stored.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganbench.contracts.arch import GAN
from ganbench.contracts.data import DataSpec, Split
from ganbench.report import audio, images, points, video
from ganbench.report.canvas import Pixels, beside, captioned, grid
from ganbench.report.files import save_animation, save_png, save_wav

__all__ = [
    "Pixels",
    "frame",
    "how_many",
    "picture",
    "picture_of",
    "save_animation",
    "save_media",
    "save_png",
    "save_samples",
    "save_video",
    "save_wav",
    "thumbnail",
]

THUMBNAILS, THUMBNAIL_SIDE = 12, 24
SINGLE_SOUNDS = 8
"""The number of sounds that get a file of their own."""
CLIP_RATE = 8.0
"""Frames per second of clips whose data state no rate."""


def how_many(spec: DataSpec) -> int:
    """How many samples make a picture of this kind of data."""
    return {1: 4000, 2: 12, 4: 12}.get(len(spec.shape), 64)


def picture(
    x: Tensor,
    spec: DataSpec | None = None,
    source: Tensor | None = None,
    truth: Tensor | None = None,
    back: Tensor | None = None,
    *,
    paired: bool = True,
    columns: int = 0,
) -> Pixels:
    """Samples ``x[N, *shape]`` as one picture.

    It is a scatter plot of points ``[N, F]`` (a histogram if F is 1), or a grid of images ``[N, C, H, W]``, sounds
    ``[N, C, T]`` (wave and spectrogram) or clips ``[N, C, T, H, W]`` (a row each).

    Args:
        x: as stored, bytes or floats in [-1, 1]; points as they are.
        spec: the data's spec, for the rate of sounds.
        source: the samples that were translated to ``x``, shown to the left of it.
        truth: the correct translations, shown to the right of ``x``.
        back: the back-translations of ``truth``, to the right of that.
        paired: False if ``truth`` belongs to other sources; it is then labelled real.
        columns: the columns of the grid; by default, it is about square, and clips are stacked.
    """
    if x.ndim == 2:
        return points.scatter(x)
    columns = columns or (1 if x.ndim == 5 else 0)
    rate = spec.rate if spec is not None else None
    shown = {"source": source, "fake": x, "truth" if paired else "real": truth, "back": back}
    there = {name: _tiles(value, rate) for name, value in shown.items() if value is not None and value.ndim > 2}
    if len(there) > 1:
        return captioned(grid(beside(list(there.values())), columns, gap=6), " | ".join(there))
    whole = grid(_tiles(x, rate), columns)
    return captioned(whole, audio.caption(x, rate)) if x.ndim == 3 else whole


def picture_of(fakes: Split, spec: DataSpec, reals: Split | None = None, *, columns: int = 0) -> Pixels:
    """Fakes as ``picture`` draws them; translations beside their sources, which are the first of ``reals``."""
    if reals is None or reals.source is None:
        return picture(fakes.x, spec, columns=columns)
    n = len(fakes)
    source, truth, back = (
        None if of is None else of[torch.arange(n) % len(of)] for of in (reals.source, reals.x, fakes.source)
    )
    truth = truth if reals.paired or back is not None else None
    return picture(fakes.x, spec, source, truth, back, paired=reals.paired, columns=columns)


def frame(gan: GAN, fakes: Split, reals: Split, spec: DataSpec, kimg: float) -> Pixels:
    """A snapshot of training: points of one or two features with D's output, anything else as ``picture`` draws it.

    ``fakes[i]`` was made from ``reals[i]`` (as ``evaluation.sampling.sample`` does); there may be more reals.
    """
    if len(spec.shape) == 1 and spec.shape[0] <= 2:
        return points.frame(gan, fakes, reals, spec, kimg)
    return picture_of(fakes, spec, reals)


def thumbnail(x: Tensor, source: Tensor | None = None) -> Pixels:
    """A few samples small enough for a terminal, ``[n, H, W, 3]``.

    They are images (each after its source, if both have the same size), spectrograms, the frames of one clip, or a
    single picture of points.
    """
    if x.ndim == 2:
        return points.thumbnail(x, 32)[None]
    if x.ndim == 3:
        return audio.thumbnails(x[:THUMBNAILS], THUMBNAIL_SIDE)
    if x.ndim == 5:
        return video.thumbnails(x, THUMBNAILS, THUMBNAIL_SIDE)
    fakes = images.small(x[:THUMBNAILS], THUMBNAIL_SIDE)
    if source is None or source.shape[2:] != x.shape[2:]:
        return fakes
    given = source[torch.arange(len(fakes)) % len(source)]
    pairs = np.stack([images.small(given, THUMBNAIL_SIDE), fakes], axis=1)
    return pairs.reshape(-1, *fakes.shape[1:])


def save_samples(fakes: Split, spec: DataSpec, stem: Path, reals: Split | None = None) -> None:
    """Write ``STEM.png``, and the files of ``save_media``; ``reals`` hold the sources of translations."""
    save_png(picture_of(fakes, spec, reals), stem.with_name(f"{stem.name}.png"))
    save_media(fakes.x, spec, stem)


def save_media(x: Tensor, spec: DataSpec, stem: Path) -> None:
    """Write sounds and clips in formats that play.

    Sounds get ``STEM.wav`` with all of them, and ``STEM-0.wav`` and so on with the first few. Clips get ``STEM.gif``
    and ``STEM.webp``. Other data get no file.
    """
    if x.ndim == 3 and spec.rate:
        for name, sounds in {"": x, **{f"-{i}": x[i : i + 1] for i in range(min(SINGLE_SOUNDS, len(x)))}}.items():
            save_wav(sounds, spec.rate, stem.with_name(f"{stem.name}{name}.wav"))
    elif x.ndim == 5:
        for suffix in (".gif", ".webp"):
            save_video(x, spec, stem.with_name(f"{stem.name}{suffix}"))


def save_video(x: Tensor, spec: DataSpec, path: Path, *, columns: int = 0) -> None:
    """Write clips ``x[N, C, T, H, W]`` in a grid as a GIF or WebP, at the rate of the data."""
    save_animation(video.moving(x, columns), spec.rate or CLIP_RATE, path)


def _tiles(x: Tensor, rate: float | None) -> Pixels:
    """``[N, h, w, 3]``, one for each sample."""
    if x.ndim == 3:
        return audio.tiles(x, rate)
    return video.tiles(x) if x.ndim == 5 else images.tiles(x)
