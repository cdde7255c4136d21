"""Pictures of points ``x[N, F]``, and of D's output around them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ganbench.contracts.arch import GAN
from ganbench.contracts.data import Batch, DataSpec, Split
from ganbench.device.untouched import device_of, untouched
from ganbench.report.axes import Axes, Range
from ganbench.report.canvas import Colour, Pixels

Floats = NDArray[np.float64]

WIDTH, HEIGHT = 560, 310
SIDE, SMALL_SIDE = 464, 160
BINS = 56
SURFACE = 58
"""D is evaluated on a square grid with this many points per side."""
HEADROOM = 1.6
"""The height of the picture as a multiple of the data's peak density; fakes concentrated in one place reach the top."""
REAL, FAKE, CRITIC = (31, 90, 166), (217, 95, 2), (27, 130, 60)
REAL_BARS, HALF = (190, 210, 236), (130, 130, 130)
SURFACE_COLOURS = ((250, 206, 170), (250, 250, 250), (176, 203, 235))
"""The colours of D(x) = 0, 1/2 and 1."""


def scatter(x: Tensor) -> Pixels:
    """A scatter plot of the first two features of ``x[N, F]``, or a histogram of the only one."""
    values = x.double().numpy()
    if values.shape[1] == 1:
        axes = _density_axes(values, values)
        _bars(axes, values, REAL_BARS)
    else:
        axes = Axes(SIDE, SIDE, *_square(values))
        axes.dots(values[:, 0], values[:, 1], REAL, 3)
        axes.ticks_y()
    axes.ticks_x()
    return axes.pixels()


def still(fakes: Tensor, reals: Tensor) -> Pixels:
    """A small picture of ``fakes[N, F]`` among ``reals[M, F]``, without D; the reals set the axes.

    It is a histogram if F is 1, else a scatter plot of the first two features.
    """
    real, fake = reals.double().numpy(), fakes.double().numpy()
    if real.shape[1] == 1:
        axes = _density_axes(real, real, WIDTH // 2, HEIGHT // 2)
        _bars(axes, real, REAL_BARS)
        _bars(axes, fake, FAKE, outline=True)
    else:
        axes = Axes(SMALL_SIDE, SMALL_SIDE, *_square(real))
        axes.dots(real[:, 0], real[:, 1], REAL_BARS, 2)
        axes.dots(fake[:, 0], fake[:, 1], FAKE, 1)
        axes.ticks_y()
    axes.ticks_x()
    axes.legend([("real", REAL_BARS), ("fake", FAKE)])
    return axes.pixels()


def thumbnail(x: Tensor, side: int) -> Pixels:
    """A picture ``[side, side, 3]`` without text."""
    values = x.double().numpy()
    if values.shape[1] == 1:
        density, _ = np.histogram(values, side, range=_reach(values))
        y = np.arange(side)[::-1, None] < density / max(1, density.max()) * (side - 1)
    else:
        x_range, y_range = _square(values)
        counts, *_ = np.histogram2d(values[:, 1], values[:, 0], side, range=(y_range, x_range))
        y = counts[::-1] > 0
    return np.where(y[..., None], np.array(REAL, np.uint8), np.uint8(255)).astype(np.uint8)


def frame(gan: GAN, fakes: Split, reals: Split, spec: DataSpec, kimg: float) -> Pixels:
    """A snapshot of training; the reals set the axes.

    For one feature, it shows the densities p_data and p_g, and D(x); for two, the points over D(x). D(x) is 1 / (1 +
    exp(-logit)), whatever the loss does with the logit.

    D is left out if it cannot judge single points (a trick may show it packs of them).
    """
    real, fake = reals.x.double().numpy(), fakes.x.double().numpy()
    corner = f"{kimg:.4g} kimg"
    return (_line if spec.shape[0] == 1 else _plane)(gan, real, fake, spec, corner)


def judged(gan: GAN, x: Tensor, spec: DataSpec) -> Floats | None:
    """``D(x)[N]`` in 0..1 of points ``x[N, F]``, averaged over labels if D uses them; None if D cannot judge points.

    D is that of the first match, in eval mode. Neither its statistics nor any random generator changes.
    """
    device = device_of(gan)
    copies = max(1, spec.classes) if gan.conditional else 1
    points = x.to(device).repeat(copies, 1)
    labels = torch.arange(copies, device=device).repeat_interleave(len(x)) if spec.classes else None
    try:
        with untouched(gan), torch.no_grad():
            z = gan.sample_latent(len(points), torch.Generator(device).manual_seed(0))
            critic = gan.matches(Batch(points, z, labels), points)[0].D
            value = torch.sigmoid(critic(points).double()).reshape(copies, len(x)).mean(0)
    except Exception:  # a picture must not fail the run: this D cannot judge single points
        return None
    return value.cpu().numpy() if value.isfinite().all() else None


def _line(gan: GAN, real: Floats, fake: Floats, spec: DataSpec, corner: str) -> Pixels:
    axes = _density_axes(real, real)
    _bars(axes, real, REAL_BARS)
    axes.line(axes.x, [axes.y[1] / 2] * 2, HALF, 1)
    _bars(axes, fake, FAKE, outline=True)
    names = [("p_data", REAL_BARS), ("p_g", FAKE)]
    x = np.linspace(*axes.x, WIDTH // 2)
    value = judged(gan, torch.from_numpy(x).float()[:, None], spec)
    if value is not None:
        axes.line(x, value * axes.y[1], CRITIC)
        names.append(("D(x), axis at the right", CRITIC))
    axes.ticks_y([(share * axes.y[1], name) for share, name in ((0, "0"), (0.5, "1/2"), (1, "1"))], right=True)
    axes.ticks_y()
    axes.ticks_x()
    outside = float(((fake < axes.x[0]) | (fake > axes.x[1])).mean())
    axes.legend(names, f"{outside:.0%} of p_g outside    {corner}" if outside >= 0.005 else corner)
    return axes.pixels()


def _plane(gan: GAN, real: Floats, fake: Floats, spec: DataSpec, corner: str) -> Pixels:
    x, y = _square(real)
    columns, rows = np.meshgrid(np.linspace(*x, SURFACE), np.linspace(*y, SURFACE))
    value = judged(gan, torch.from_numpy(np.stack([columns, rows], -1)).float().reshape(-1, 2), spec)
    axes = Axes(SIDE, SIDE, x, y, None if value is None else _surface(value.reshape(SURFACE, SURFACE)[::-1]))
    axes.dots(fake[:, 0], fake[:, 1], FAKE, 3)
    axes.dots(real[:, 0], real[:, 1], REAL, 1)
    names = [("real", REAL), ("fake", FAKE)]
    if value is not None:
        names += [("D(x) = 0", SURFACE_COLOURS[0]), ("1", SURFACE_COLOURS[2])]
    axes.ticks_x()
    axes.ticks_y()
    axes.legend(names, corner)
    return axes.pixels()


def _surface(value: Floats) -> Pixels:
    """``D[SURFACE, SURFACE]``, top row first -> ``[SIDE, SIDE, 3]`` with a line where D is 1/2."""
    smooth = np.asarray(Image.fromarray(value.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    places = (0.0, 0.5, 1.0)
    pixels = np.stack([np.interp(smooth, places, channel) for channel in zip(*SURFACE_COLOURS, strict=True)], -1)
    above = smooth > 0.5
    edge = np.zeros_like(above)
    edge[:-1] |= above[:-1] != above[1:]
    edge[:, :-1] |= above[:, :-1] != above[:, 1:]
    pixels[edge] = HALF
    return pixels.astype(np.uint8)


def _density_axes(scale: Floats, reach: Floats, width: int = WIDTH, height: int = HEIGHT) -> Axes:
    x = _reach(reach)
    density, _ = _histogram(scale, x)
    return Axes(width, height, x, (0.0, HEADROOM * max(float(density.max()), 1e-12)))


def _bars(axes: Axes, values: Floats, colour: Colour, *, outline: bool = False) -> None:
    """The density of values, as bars or as their outline."""
    density, edges = _histogram(values, axes.x)
    corners, tops = edges.repeat(2), np.concatenate([[0], density.repeat(2), [0]])
    if outline:
        axes.line(corners, tops, colour)
    else:
        axes.area(corners, tops, colour)


def _histogram(values: Floats, x: Range) -> tuple[Floats, Floats]:
    """The density in each bin, and the edges; the total includes values outside."""
    counts, edges = np.histogram(values, BINS, range=x)
    return counts / (values.size * (edges[1] - edges[0])), edges


def _reach(values: Floats) -> Range:
    """The range of nearly all values, widened by a quarter on each side."""
    low, high = np.quantile(values, [0.001, 0.999])
    spare = 0.25 * max(float(high - low), _least(values))
    return float(low) - spare, float(high) + spare


def _square(values: Floats) -> tuple[Range, Range]:
    """The square around nearly all points, widened by an eighth of its side on each side."""
    low, high = np.quantile(values[:, :2], [0.005, 0.995], axis=0)
    middle, half = (low + high) / 2, 1.25 * max(float((high - low).max()) / 2, _least(values))
    (a, b), (c, d) = ((float(m - half), float(m + half)) for m in middle)
    return (a, b), (c, d)


def _least(values: Floats) -> float:
    """The narrowest range whose ends still differ in floating point."""
    return 1e-6 * max(1.0, float(np.abs(values).max()))
