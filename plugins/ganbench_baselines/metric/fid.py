"""Fréchet distance between Gaussians fitted to real and fake features (Heusel et al. 2017).

    |μ_r - μ_f|² + tr(Σ_r + Σ_f - 2 (Σ_r Σ_f)^½)

torch-fidelity's, in float64. Its expectation falls with n, so rows compare at equal n only; with fewer samples
than features it is mostly that bias.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ganbench.contracts import Goal, Metric
from ganbench.errors import Unsupported
from ganbench.evaluation import Evaluation
from ganbench.hookspecs import hookimpl


class FID:
    """On the protocol's features."""

    columns: Mapping[str, Goal] = {"fid": "min"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"fid": (0, None)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"fid": distance}, cut off at 0."""
        from torch_fidelity import metric_fid as judge

        features = evaluation.features()
        n = min(len(features.real), len(features.fake))
        if n < 2:
            raise Unsupported(f"a covariance needs 2 samples of each kind, not {n}")
        moments = [judge.fid_features_to_statistics(x.double()) for x in (features.real, features.fake)]
        for moment in moments:
            moment["sigma"] = np.atleast_2d(moment["sigma"])  # numpy's covariance of one feature is a scalar
        distance = judge.fid_statistics_to_metric(*moments, verbose=False)[judge.KEY_METRIC_FID]
        return {"fid": max(distance, 0.0)}  # rounding leaves equal moments a little below; this order keeps a NaN


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return FID()
