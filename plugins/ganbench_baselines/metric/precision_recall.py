"""Improved precision and recall: overlap of the real and fake manifolds (Kynkäänniemi et al. 2019).

The manifold of a set holds all samples no farther from some member than that member's third nearest neighbour in it.

    precision    share of fakes in the manifold of the real samples
    recall       share of real samples in the manifold of the fakes

Computed in float64. Recall depends on the number of samples, so rows are comparable only at equal numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ganbench import Evaluation, Goal, Metric, hookimpl
from ganbench_baselines.metric.neighbours import NEAREST, Samples, radii, radii_of_reals, seen_from_centre, tiles

NEIGHBOURS = 3


class PrecisionRecall:
    """Precision and recall on the protocol's features."""

    columns: Mapping[str, Goal] = {"precision": "max", "recall": "max"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"precision": (0, 1), "recall": (0, 1)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"precision": share of fakes in the real manifold, "recall": share of real samples in the fake manifold}."""
        real, fake = seen_from_centre(evaluation, NEIGHBOURS)
        of_real = radii_of_reals(evaluation, real)[:, NEAREST.index(NEIGHBOURS)]
        fakes_among_reals, reals_among_fakes = among(real, of_real, fake, radii(fake, [NEIGHBOURS])[:, 0])
        return {
            "precision": fakes_among_reals.double().mean().item(),
            "recall": reals_among_fakes.double().mean().item(),
        }


def among(real: Samples, of_real: Tensor, fake: Samples, of_fake: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each fake is in the real manifold, ``[M]``, and each real sample in the fake manifold, ``[N]``.

    Radii are squared, and the edges belong to the neighbourhoods.
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
