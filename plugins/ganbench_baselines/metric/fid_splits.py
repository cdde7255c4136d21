"""Fréchet distance to the training split and to the held-out split (Heusel et al. 2017).

A generator that repeats training samples is closer to the training split than new samples of the data would be.

    fid_train    Fréchet distance to the training split
    fid_test     Fréchet distance to the held-out split of the same dataset
    fid_gap      fid_test - fid_train; about 0 for new samples of the data, and more if fakes repeat training samples

The bias of FID depends on the number of real samples, so both splits take part with equally many: as many as the
smaller split has, but at most 50,000. Those of the larger split are a fixed random choice. The same fakes are compared
with both. If the splits differ, by chance or because the data were not split at random, ``fid_gap`` moves by about as
much in every row, so compare it between rows.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ganbench import Evaluation, Goal, Metric, hookimpl
from ganbench_baselines.metric.fid import doubts_of_bias
from ganbench_baselines.metric.frechet import Moments, distance, moments
from ganbench_baselines.metric.splits import MOST, chosen, dataset_of, features_at


class FIDSplits:
    """FID against both splits, on the protocol's features."""

    columns: Mapping[str, Goal] = {"fid_train": "min", "fid_test": "min", "fid_gap": "info"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"fid_train": (0, None), "fid_test": (0, None)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"fid_train": distance, "fid_test": distance, "fid_gap": fid_test - fid_train}; distances are at least 0.

        Raises:
            Unsupported: there is no dataset or extractor, or a split or the fakes have fewer than two samples.
        """
        dataset = dataset_of(evaluation)
        n = min(len(dataset.train), len(dataset.test), MOST)

        def of_split(name: str, x: Tensor) -> Moments:
            return evaluation.of_reals(
                f"frechet moments of {n} of {name} of {dataset.fingerprint}",
                lambda: moments(features_at(evaluation, x, chosen(x, n))),
            )

        train, test = of_split("train", dataset.train.x), of_split("test", dataset.test.x)
        fake = moments(evaluation.blocks("fake"))
        evaluation.doubts += doubts_of_bias(min(n, int(fake["n"])), len(fake["mean"]))
        fid_train, fid_test = (max(distance(real, fake), 0.0) for real in (train, test))  # this order keeps a NaN
        return {"fid_train": fid_train, "fid_test": fid_test, "fid_gap": fid_test - fid_train}


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return FIDSplits()
