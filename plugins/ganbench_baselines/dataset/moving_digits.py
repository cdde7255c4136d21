"""Moving digits, after Moving MNIST (Srivastava, Mansimov and Salakhutdinov 2015): clips of one bouncing digit.

The digit drifts over a dim, still background and bounces off the borders. ``moving-digits`` has clips of 8 frames,
``moving-digits:16`` of 16. The digit's side is 3/4 of the frame's (12 of 16 pixels). It starts anywhere, in any
direction, and keeps its speed. Its position on each axis is the triangular wave

    p(t) = L - |(p(0) + v t  mod  2 L) - L|,    L = side of the frame - side of the digit.

Ink covers the background: x = 255 a + (1 - a) b, with a in [0, 1] the digit's ink and b < 64 of 255. A two-stream
generator composes clips in the same way, so its mask can learn the ink.

Positions are multiples of 1/64 pixel, so all sums are exact at 16, 32 and 64 pixels, and the arrays are the same on
every machine.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ganbench import Dataset, DataSpec, Oracle, Split, Unsupported, hookimpl
from ganbench_baselines.dataset import digits

FRAMES, RESOLUTION, RATE = 8, 16, 8.0
DIGIT = 3 / 4  # of the frame's side
SLOWEST, FASTEST = 0.02, 0.04  # of the frame's side per frame: 0.32 to 0.64 pixels of 16
DIM, PATCHES = 64, 4  # grey levels of the background, of 255, and its patches along a side
MOST, MOST_PIXELS = 12_000, 2**27  # limits on training clips and on their bytes; a quarter of each for test clips
SEED = 0  # the clips are part of the dataset, like the split of the digits they show
CHUNK = 64  # clips whose weights fit into the processor's cache


def paths(n: int, frames: int, resolution: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Paths of ``n`` digits: ``place[n, T, 2]`` and ``velocity[n, 2]``, in float32.

    ``place`` is the position of the upper left corner, (y, x) in pixels; ``velocity`` is the initial one, in pixels per
    frame.
    """
    span = resolution - _side(resolution)
    angle, speed, y, x = torch.rand(4, n, generator=rng, dtype=torch.float64)
    speed = resolution * (SLOWEST + (FASTEST - SLOWEST) * speed)
    velocity = speed[:, None] * torch.stack([(2 * torch.pi * angle).sin(), (2 * torch.pi * angle).cos()], dim=1)
    velocity, start = (((64 * of).round() / 64).float() for of in (velocity, span * torch.stack([y, x], dim=1)))
    free = start[:, None] + torch.arange(frames)[:, None] * velocity[:, None]
    return span - (free.remainder(2 * span) - span).abs(), velocity


def backgrounds(n: int, resolution: int, rng: torch.Generator) -> Tensor:
    """``[n, R, R]`` from 0 to 63: a few random levels, interpolated."""
    levels = torch.randint(DIM, (n, 1, PATCHES, PATCHES), generator=rng).float()
    return interpolate(levels, size=(resolution, resolution), mode="bilinear").squeeze(1)


def filmed(ink: Tensor, place: Tensor, background: Tensor) -> Tensor:
    """Clips ``x[N, 1, T, R, R]`` as uint8: ink over a background.

    Ink falls between pixels by bilinear interpolation: pixel y gets max(0, 1 - |y - p - i|) of row i.

    Args:
        ink: ``[N, T or 1, d, d]``, 0 to 255.
        place: of the ink's upper left corner, ``[N, T, 2]``.
        background: ``[N, R, R]``.
    """
    offset = torch.arange(background.shape[-1])[:, None] - torch.arange(ink.shape[-1])
    rows, columns = ((1 - (offset - p[..., None, None]).abs_()).clamp_(min=0) for p in place.unbind(-1))
    cover = rows @ ink.float() @ columns.transpose(-1, -2)
    x = (255 - cover).mul_(background[:, None]).div_(255).add_(cover)
    return x.round_().to(torch.uint8).unsqueeze(1)


def clips(source: Split, n: int, frames: int, resolution: int, rng: torch.Generator, changing: bool = False) -> Split:
    """``n`` clips of random digits of ``source``: ``x[n, 1, T, R, R]``, labelled by their (first) digit.

    If ``changing``, each frame shows a different digit, on the same path.
    """
    assert source.labels is not None
    index = torch.randint(len(source), (n, frames if changing else 1), generator=rng)
    place, _ = paths(n, frames, resolution, rng)
    background = backgrounds(n, resolution, rng)
    parts = torch.arange(n).split(CHUNK)
    x = torch.cat([filmed(source.x[index[part], 0], place[part], background[part]) for part in parts])
    return Split(x, source.labels[index[:, 0]])


def still(train: Split, like: Split, seed: int) -> Split:
    """A yardstick without motion: the first frames of training clips, repeated."""
    return Split(_some(train, like, seed)[:, :, :1].expand_as(like.x).contiguous())


def shuffled_frames(train: Split, like: Split, seed: int) -> Split:
    """A yardstick of perfect frames in random order: training clips, each with its frames shuffled."""
    x = _some(train, like, seed)
    order = torch.rand(x.shape[0], x.shape[2], generator=torch.Generator().manual_seed(seed + 1)).argsort(dim=1)
    return Split(x.gather(2, order[:, None, :, None, None].expand_as(x)))


def changing_digit(shown: Split, like: Split, seed: int) -> Split:
    """A yardstick without identity: each frame shows a different training digit, on a perfect path."""
    rng = torch.Generator().manual_seed(seed)
    return clips(shown, len(like), like.x.shape[2], like.x.shape[-1], rng, changing=True)


def _some(train: Split, like: Split, seed: int) -> Tensor:
    return train.x[torch.randint(len(train), (len(like),), generator=torch.Generator().manual_seed(seed))]


def _side(resolution: int) -> int:
    return round(DIGIT * resolution)


def _frames(argument: str) -> int:
    if not argument:
        return FRAMES
    if not argument.isdecimal() or not 2 <= int(argument) <= 64:
        raise Unsupported(
            f"moving-digits has clips of 2 to 64 frames, not '{argument}'", "for example: moving-digits:16"
        )
    return int(argument)


@hookimpl
def ganbench_dataset(argument: str, resolution: int | None) -> Dataset:
    """Clips of ``argument`` frames (8 by default), at 8 per second and ``resolution`` pixels a side (16 by default).

    Training clips show training digits, test clips show held-out ones. There are 12,000 and 3,000 clips, or as many as
    fit into 128 and 32 MiB.

    Raises:
        Unsupported: the number of frames is not 2 to 64, or the resolution is below 16.
    """
    frames, resolution = _frames(argument), resolution or RESOLUTION
    if resolution < RESOLUTION:
        raise Unsupported(
            f"moving digits need frames of at least {RESOLUTION} pixels, not {resolution}",
            f"choose a resolution of {RESOLUTION} or more",
        )
    rng = torch.Generator().manual_seed(SEED)
    shown, held_out = digits.load(_side(resolution))
    assert shown.labels is not None
    n = min(MOST, MOST_PIXELS // (frames * resolution**2))
    train = clips(shown, n, frames, resolution, rng)
    return Dataset(
        name="moving-digits",
        spec=DataSpec((1, frames, resolution, resolution), classes=digits.CLASSES, rate=RATE),
        train=train,
        test=clips(held_out, n // 4, frames, resolution, rng),
        oracle=Oracle(digits.class_frequencies(shown.labels)),
        yardsticks={
            "still": partial(still, train),
            "shuffled frames": partial(shuffled_frames, train),
            "changing digit": partial(changing_digit, shown),
        },
        class_names=digits.CLASS_NAMES,
    )
