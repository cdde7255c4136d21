"""Improved precision and recall: fakes among the reals, reals among the fakes (Kynkäänniemi et al. 2019).

A sample is among a set when some member is no farther from it than from that member's own third neighbour.
torch-fidelity's, in float64. Recall depends on n: rows compare at equal n only.
"""

from __future__ import annotations

from collections.abc import Mapping

from ganbench.contracts import Goal, Metric
from ganbench.errors import Unsupported
from ganbench.evaluate import Evaluation
from ganbench.hookspecs import hookimpl

NEIGHBOURS = 3
ROWS = 1000  # of the distance matrix at a time: torch-fidelity's 10,000 take 4 GB at 50,000 samples


class PrecisionRecall:
    """On the protocol's features."""

    columns: Mapping[str, Goal] = {"precision": "max", "recall": "max"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"precision": (0, 1), "recall": (0, 1)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"precision": share of fakes among the reals, "recall": share of reals among the fakes}."""
        from torch_fidelity import metric_prc as judge

        features = evaluation.features()
        n = min(len(features.real), len(features.fake))
        if n <= NEIGHBOURS:
            raise Unsupported(f"{NEIGHBOURS} neighbours need {NEIGHBOURS + 1} samples of each kind, not {n}")
        if not (features.real.isfinite().all() and features.fake.isfinite().all()):
            raise ValueError("features are not finite")  # distances to NaN would score a silent 0
        # cdist expands |a - b|², which loses the digits of an offset that all features share
        centre = features.real.double().mean(dim=0)
        real, fake = features.real.double() - centre, features.fake.double() - centre
        scores = judge.prc_features_to_metric(
            fake, real, prc_neighborhood=NEIGHBOURS, prc_batch_size=ROWS, save_cpu_ram=True, verbose=False
        )
        return {"precision": scores[judge.KEY_METRIC_PRECISION], "recall": scores[judge.KEY_METRIC_RECALL]}


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return PrecisionRecall()
