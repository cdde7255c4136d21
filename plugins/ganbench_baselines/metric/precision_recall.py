"""Improved precision and recall: fakes among the reals, reals among the fakes (Kynkäänniemi et al. 2019).

A sample is among a set if it is no farther from some member than that member's third nearest neighbour in the set.

    precision    share of the fakes that are among the reals
    recall       share of the reals that are among the fakes

In float64. Recall depends on n, so rows are comparable only at equal n.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ganbench import Evaluation, Goal, Metric, hookimpl
from ganbench_baselines.metric.neighbours import NEAREST, Samples, radii, radii_of_reals, seen_from_centre, tiles

NEIGHBOURS = 3


class PrecisionRecall:
    """On the protocol's features."""

    columns: Mapping[str, Goal] = {"precision": "max", "recall": "max"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"precision": (0, 1), "recall": (0, 1)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"precision": share of fakes among the reals, "recall": share of reals among the fakes}."""
        real, fake = seen_from_centre(evaluation, NEIGHBOURS)
        of_real = radii_of_reals(evaluation, real)[:, NEAREST.index(NEIGHBOURS)]
        fakes_among_reals, reals_among_fakes = among(real, of_real, fake, radii(fake, [NEIGHBOURS])[:, 0])
        return {
            "precision": fakes_among_reals.double().mean().item(),
            "recall": reals_among_fakes.double().mean().item(),
        }


def among(real: Samples, of_real: Tensor, fake: Samples, of_fake: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each fake is among the reals, ``[M]``, and each real among the fakes, ``[N]``.

    Radii are squared, and the edges of neighbourhoods are included.
    """
    of_real, of_fake = of_real + real.rounding(of_real), of_fake + fake.rounding(of_fake)
    fakes, reals = torch.zeros(len(fake), dtype=torch.bool), torch.zeros(len(real), dtype=torch.bool)
    for rows, columns, d2 in tiles(real, fake):
        fakes[columns] |= (d2 <= of_real[rows, None]).any(dim=0)
        reals[rows] |= (d2 <= of_fake[columns]).any(dim=1)
    return fakes, reals


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return PrecisionRecall()
