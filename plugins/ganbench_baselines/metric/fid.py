"""Fréchet distance between Gaussians fitted to real and fake features (Heusel et al. 2017).

    |μ_r - μ_f|² + tr(Σ_r + Σ_f - 2 (Σ_r Σ_f)^½)

Computed in float64. Its bias falls with the number of samples n, so rows are comparable only at equal n. With fewer
samples than features, the score is mostly bias.
"""

from __future__ import annotations

from collections.abc import Mapping

from ganbench import Evaluation, Goal, Metric, hookimpl
from ganbench_baselines.metric.frechet import distance, moments


class FID:
    """FID on the protocol's features."""

    columns: Mapping[str, Goal] = {"fid": "min"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"fid": (0, None)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"fid": distance}, at least 0."""
        real = evaluation.of_reals("frechet moments", lambda: moments(evaluation.blocks("real")))
        fake = real if evaluation.fake is evaluation.real else moments(evaluation.blocks("fake"))
        evaluation.doubts += doubts_of_bias(min(int(real["n"]), int(fake["n"])), len(real["mean"]))
        return {"fid": max(distance(real, fake), 0.0)}  # equal moments may round to below 0; this order keeps a NaN


def doubts_of_bias(n: int, d: int, where: str = "") -> list[str]:
    """A sentence if ``n`` samples, in the class that ``where`` names, if any, do not outnumber the ``d`` features."""
    if n > d:
        return []
    return [
        f"{n} samples{where} are no more than the {d} features, so a Fréchet distance is mostly bias: raise `samples`, "
        "choose an extractor of fewer features, or compare it at this number of samples only"
    ]


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return FID()
