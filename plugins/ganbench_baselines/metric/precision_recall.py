"""Improved precision and recall: fakes among the reals, reals among the fakes (Kynkäänniemi et al. 2019).

A sample is among a set when some member is no farther from it than from that member's own third neighbour.
torch-fidelity's, in float64. Recall depends on n: rows compare at equal n only.
"""

from __future__ import annotations

from collections.abc import Mapping

from ganbench.contracts import Goal, Metric
from ganbench.evaluation import Evaluation
from ganbench.hookspecs import hookimpl
from ganbench_baselines.metric.neighbours import centred

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

        real, fake = centred(evaluation.features(), NEIGHBOURS)
        scores = judge.prc_features_to_metric(
            fake, real, prc_neighborhood=NEIGHBOURS, prc_batch_size=ROWS, save_cpu_ram=True, verbose=False
        )
        return {"precision": scores[judge.KEY_METRIC_PRECISION], "recall": scores[judge.KEY_METRIC_RECALL]}


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return PrecisionRecall()
