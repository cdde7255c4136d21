"""Temporal consistency: Wasserstein-1 distances between real and fake clips in three statistics of motion.

It applies to clips of one bright object on a dim, still background. The ink of a pixel is how much brighter it is than
any background, a = max(0, x - 64) / 191 of 255 levels (channels averaged). c_t is the centre of mass of the ink of
frame t, in percent of the frame's side (the frame's centre if there is no ink).

    speed      mean of |c_t+2 - c_t| / 2, which ignores jitter, in percent of the side per frame
    residual   root mean square of |c_t - ĉ_t|, where ĉ is the closest steady motion that may bounce: on each axis,
               m + s tri(t), a triangular wave with at least 4 frames between turns, or a straight line
    flicker    mean of |x_t+1 - x_t| where neither frame has ink within an eighth of the side, in levels of 255

The columns compare their distributions over clips, ∫ |F_real(s) - F_fake(s)| ds:

    speed_w1       distance between the speeds of real and fake objects
    residual_w1    distance between the deviations of real and fake objects from steady motion
    flicker_w1     distance between the background flicker of real and fake clips

A still clip has a smaller residual than any real one, but a speed that no real one has. Comparing distributions catches
both, and a copy of the real clips scores 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from ganbench import Evaluation, Goal, Metric, Unsupported, hookimpl

DIM, FULL = 64, 255
FEWEST = 3  # frames; in two, any motion is steady
SHORTEST = 4.0  # frames between turns
STEP = 0.25  # frames; the step in which turning points are tried
CHUNK = 250


class Motion:
    """Temporal consistency of clips as stored; the protocol's extractor is not used."""

    columns: Mapping[str, Goal] = {"speed_w1": "min", "residual_w1": "min", "flicker_w1": "min"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = dict.fromkeys(columns, (0, None))

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """One distance per statistic; 0 is best."""
        check_clips(evaluation.real, FEWEST)
        real, fake = statistics(evaluation.real), statistics(evaluation.fake)
        return {f"{name}_w1": wasserstein(real[name], fake[name]) for name in real}


def check_clips(x: Tensor, fewest: int) -> None:
    """Check that ``x`` consists of clips of ``fewest`` or more frames, ``[N, C, T, H, W]`` as uint8.

    Raises:
        Unsupported: it does not.
    """
    if x.ndim != 5 or x.shape[2] < fewest or x.dtype != torch.uint8:
        raise Unsupported(f"needs clips of {fewest} or more frames, stored as uint8")


def statistics(x: Tensor) -> dict[str, Tensor]:
    """``x[N, C, T, H, W]`` as uint8 -> speed, residual and flicker, ``[N]`` each in float64."""
    parts = [_statistics(part) for part in x.split(CHUNK)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _statistics(x: Tensor) -> dict[str, Tensor]:
    signal = x.double().mean(dim=1)
    a = ink(signal)
    place = 100 * centres(a)
    return {
        "speed": (place[:, 2:] - place[:, :-2]).norm(dim=2).mean(dim=1) / 2,
        "residual": residuals(place),
        "flicker": flickers(signal, a),
    }


def ink(signal: Tensor) -> Tensor:
    """``signal[N, T, H, W]`` from 0 to 255 -> how much brighter it is than the dim background, 0 to 1."""
    return (signal - DIM).clamp(min=0) / (FULL - DIM)


def centres(a: Tensor) -> Tensor:
    """``ink[N, T, H, W]`` -> centre of mass ``[N, T, 2]``, (y, x) as shares of height and width."""
    height, width = a.shape[-2:]
    mass = a.sum(dim=(2, 3))
    y, x = ((torch.arange(n, dtype=a.dtype) + 0.5) / n for n in (height, width))
    moment = torch.stack([(a.sum(dim=3) * y).sum(dim=2), (a.sum(dim=2) * x).sum(dim=2)], dim=2)
    return torch.where(mass[..., None] > 0, moment / mass[..., None].clamp(min=1e-12), 0.5)


def residuals(place: Tensor) -> Tensor:
    """``place[N, T, 2]`` -> ``[N]``: root mean square distance from the closest steady motion that may bounce."""
    waves = steady(place.shape[1])
    y = place.transpose(1, 2)
    y = y - y.mean(dim=2, keepdim=True)
    explained = (y @ waves.T).square().amax(dim=2)
    left = (y.square().sum(dim=2) - explained).clamp(min=0)
    return (left.sum(dim=1) / place.shape[1]).sqrt()


@cache
def steady(frames: int) -> Tensor:
    """``[K, T]``: a straight line and triangular waves of all periods and phases, centred, of unit norm."""
    t = torch.arange(frames, dtype=torch.float64)
    waves = [t]
    for half in torch.arange(SHORTEST, 2 * frames + STEP, 2 * STEP, dtype=torch.float64).tolist():
        phases = torch.arange(0, 2 * half, STEP, dtype=torch.float64)
        waves.append((((t - phases[:, None]) % (2 * half)) - half).abs())
    every = torch.vstack(waves)
    every = every - every.mean(dim=1, keepdim=True)
    return every / every.norm(dim=1, keepdim=True).clamp(min=1e-12)


def flickers(signal: Tensor, a: Tensor) -> Tensor:
    """``[N]``: mean change of the background from frame to frame; of the whole frame if no background is left."""
    reach = 2 * max(1, round(signal.shape[-1] / 8)) + 1
    near = max_pool2d((a > 0).double(), reach, stride=1, padding=reach // 2) > 0
    ground = (~(near[:, 1:] | near[:, :-1])).double()
    ground = torch.where(ground.sum(dim=(1, 2, 3), keepdim=True) > 0, ground, 1.0)
    return (signal.diff(dim=1).abs() * ground).sum(dim=(1, 2, 3)) / ground.sum(dim=(1, 2, 3))


def wasserstein(one: Tensor, other: Tensor) -> float:
    """∫ |F(s) - G(s)| ds between two samples ``[n]``, ``[m]``."""
    every = torch.cat([one, other]).sort().values
    F, G = (torch.searchsorted(of.sort().values, every, right=True).double() / len(of) for of in (one, other))
    return ((F - G).abs()[:-1] * every.diff()).sum().item()


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return Motion()
