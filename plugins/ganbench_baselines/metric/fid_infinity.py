"""Fréchet distance extrapolated to infinitely many fakes (Chong and Forsyth 2020).

The bias of FID is close to a constant over the number of fakes N, and the constant depends on the generator. FID is
computed for 15 numbers of fakes, evenly spaced, each for a random choice of so many, and a line is fitted to it over
1/N by least squares.

    fid_infinity       where the line ends, at 1/N = 0; close to 0 for equal distributions, where it may be negative
    fid_infinity_r2    share of the variance of the 15 distances that the line explains

The smallest number is a tenth of the fakes, but at least four times the number of features d, where the bias follows
the line well, and at most half of the fakes. In a simulation with Gaussians, d = 64 and a true distance of 5.12, FID at
N = 1,000 is 6.46 on average, and the extrapolation 4.98. With fewer than 8 d fakes it is clearly too low: 4.89 at N =
300, where FID is 9.78. A low ``fid_infinity_r2`` alone is no fault. For many fakes of few features there is no bias to
explain.

The number of real samples stays as it is. Its bias is the same for all rows, so rows are comparable at an equal number
of reals. The paper's quasi-random latents are not used, because samples may come from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganbench import Evaluation, Goal, Metric, Unsupported, hookimpl
from ganbench_baselines.metric.frechet import Moments, distance, moments

POINTS = 15
LINEAR = 4  # fakes per feature from which on the bias follows the line
LOOSE = 0.1  # standard error of fid_infinity, as a share of FID, above which there is a doubt
ROWS = 500  # fakes gathered at a time


class FIDInfinity:
    """FID at infinitely many fakes, on the protocol's features."""

    columns: Mapping[str, Goal] = {"fid_infinity": "min", "fid_infinity_r2": "info"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {
        "fid_infinity": (None, None),
        "fid_infinity_r2": (0, 1),
    }

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"fid_infinity": distance at 1/N = 0, "fid_infinity_r2": share of variance explained}."""
        real = evaluation.of_reals("frechet moments", lambda: moments(evaluation.blocks("real")))
        fake = evaluation.features().fake
        n, d = fake.shape
        if n < 2 * POINTS:
            raise Unsupported(f"{POINTS} numbers of samples need {2 * POINTS} samples, not {n}")
        counts = numbers(n, d)
        found = distances(real, fake, counts, evaluation.rng)
        line = fitted(counts, found)
        evaluation.doubts += _doubts(n, d, line, found[-1])
        return {"fid_infinity": line.end, "fid_infinity_r2": line.r2}


def numbers(n: int, d: int) -> list[int]:
    """The numbers of fakes: ``POINTS`` of them, evenly spaced up to ``n``, for ``d`` features."""
    smallest = min(max(n // 10, LINEAR * d), n // 2)
    return [round(smallest + (n - smallest) * i / (POINTS - 1)) for i in range(POINTS)]


def distances(real: Moments, fake: Tensor, counts: list[int], rng: torch.Generator) -> list[float]:
    """Fréchet distances of as many of ``fake[N, d]`` as each of ``counts`` says, each time drawn anew."""
    draws = (torch.randperm(len(fake), generator=rng)[:count] for count in counts)
    return [distance(real, moments(_rows(fake, index))) for index in draws]


def _rows(x: Tensor, index: Tensor) -> Iterator[Tensor]:
    return (x[part] for part in index.split(ROWS))  # a copy of all would take half the memory again


class Line(NamedTuple):
    """Its value at 1/N = 0, the standard error of that, and the share of variance that it explains, from 0 to 1."""

    end: float
    error: float
    r2: float


def fitted(counts: list[int], values: list[float]) -> Line:
    """The line through ``values`` over 1 / ``counts`` by least squares."""
    x, y = 1 / np.array(counts), np.array(values)
    spread = np.square(x - x.mean()).sum()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / spread
    end = y.mean() - slope * x.mean()
    left, whole = np.square(y - end - slope * x).sum(), np.square(y - y.mean()).sum()
    error = (left / (len(x) - 2) * (1 / len(x) + x.mean() ** 2 / spread)) ** 0.5
    return Line(float(end), float(error), float(max(1 - left / whole, 0.0)) if whole else 1.0)


def _doubts(n: int, d: int, line: Line, last: float) -> list[str]:
    """Sentences if there are too few fakes for a line, or if it fits badly; ``last`` is FID at all ``n`` fakes."""
    doubts = []
    if n < 2 * LINEAR * d:
        doubts.append(
            f"{n} samples are fewer than {2 * LINEAR} times the {d} features, so the bias of FID does not follow a "
            "line and fid_infinity is too low: raise `samples`, or choose an extractor of fewer features"
        )
    if line.error > LOOSE * last:
        doubts.append(
            f"fid_infinity {line.end:.3g} has a standard error of {line.error:.2g} (r² of the line: {line.r2:.2f}), "
            f"against a FID of {last:.3g} at {n} samples: raise `samples`"
        )
    return doubts


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return FIDInfinity()
