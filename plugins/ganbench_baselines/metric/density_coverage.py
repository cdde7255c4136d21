"""Density and coverage: how densely real samples surround fakes, and how many have one nearby (Naeem et al. 2020).

The neighbourhood of a real sample extends to its fifth nearest real neighbour.

    density     mean number of neighbourhoods that a fake falls into, divided by five
    coverage    share of real samples whose neighbourhood contains a fake

Density is about 1 for equal distributions, and higher if fakes crowd where real samples are densest. Outlying fakes
cannot raise coverage.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ganbench import Evaluation, Goal, Metric, hookimpl
from ganbench_baselines.metric.neighbours import NEAREST, Samples, radii_of_reals, seen_from_centre, tiles

NEIGHBOURS = 5


class DensityCoverage:
    """Density and coverage on the protocol's features."""

    columns: Mapping[str, Goal] = {"density": "max", "coverage": "max"}
    version = 2
    ranges: Mapping[str, tuple[float | None, float | None]] = {"density": (0, None), "coverage": (0, 1)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"density": mean number of neighbourhoods per fake / 5, "coverage": share of neighbourhoods with a fake}."""
        real, fake = seen_from_centre(evaluation, NEIGHBOURS)
        held = fakes_held(real, radii_of_reals(evaluation, real)[:, NEAREST.index(NEIGHBOURS)], fake)
        return {
            "density": held.sum().item() / (NEIGHBOURS * len(fake)),
            "coverage": (held > 0).double().mean().item(),
        }


def fakes_held(real: Samples, radius: Tensor, fake: Samples) -> Tensor:
    """The number of fakes in the neighbourhood of each real sample, ``[N]``; ``radius[N]`` is squared.

    The edge does not belong to a neighbourhood. A neighbourhood of radius 0, around a real sample with five or more
    copies, also contains the fakes that are copies.
    """
    slack = real.rounding(radius)
    within = torch.where(radius <= slack, slack, radius - slack)
    held = torch.zeros(len(real), dtype=torch.int64)
    for rows, _, d2 in tiles(real, fake):
        held[rows] += (d2 < within[rows, None]).sum(dim=1)
    return held


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return DensityCoverage()
