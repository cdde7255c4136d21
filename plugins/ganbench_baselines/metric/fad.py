"""Fréchet audio distance between Gaussians fitted to features of real and fake sounds (Kilgour et al. 2019).

    |μ_r - μ_f|² + tr(Σ_r + Σ_f - 2 (Σ_r Σ_f)^½)

The paper uses VGGish features of music. Here the features are those of the protocol's extractor, whose name and hash
are part of the score's name. Otherwise it is FID, computed in float64 and comparable only at equal numbers of sounds.
"""

from __future__ import annotations

from collections.abc import Mapping

from ganbench import Evaluation, Goal, Metric, hookimpl
from ganbench_baselines.metric.fid import FID


class FAD:
    """FAD on the protocol's features."""

    columns: Mapping[str, Goal] = {"fad": "min"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"fad": (0, None)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"fad": distance}, at least 0."""
        return {"fad": FID()(evaluation)["fid"]}


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return FAD()
