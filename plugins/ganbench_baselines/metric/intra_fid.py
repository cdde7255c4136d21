"""Intra-FID: the Fréchet distance within each class, averaged over classes (Miyato and Koyama 2018).

The real samples of a class are compared with the fakes requested for it. A generator that ignores the label, or mixes
up classes, can have a small FID but has a large intra-FID.

    intra_fid          mean of the FIDs within each class
    intra_fid_worst    FID within the worst class

With ten classes, each has a tenth of the samples, so FID's bias at small n is ten times as large here.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from ganbench import Absent, Evaluation, Goal, Metric, Unsupported, hookimpl
from ganbench_baselines.metric.fid import doubts_of_bias
from ganbench_baselines.metric.frechet import distance, moments


class IntraFID:
    """Intra-FID on the protocol's features, over all classes of the real samples."""

    columns: Mapping[str, Goal] = {"intra_fid": "min", "intra_fid_worst": "min"}
    version = 2
    ranges: Mapping[str, tuple[float | None, float | None]] = {"intra_fid": (0, None), "intra_fid_worst": (0, None)}
    needs = ("labels",)

    def __call__(self, evaluation: Evaluation) -> dict[str, float | Absent]:
        """{"intra_fid": mean over classes, "intra_fid_worst": that of the worst class}, clipped at 0.

        Both are absent if a class has fewer than two real or two fake samples.
        """
        real_labels, fake_labels = evaluation.real_labels, evaluation.fake_labels
        if real_labels is None or fake_labels is None:
            raise Unsupported("needs the labels of reals and of fakes")
        features = evaluation.features()
        found, fewest = [], (len(features.real) + 1, "")
        for label in sorted({*real_labels.tolist(), *fake_labels.tolist()}):
            real, fake = features.real[real_labels == label], features.fake[fake_labels == label]
            title = f"class {label}" if evaluation.dataset is None else evaluation.dataset.class_title(label)
            fewest = min(fewest, (min(len(real), len(fake)), title))
            if fewest[0] < 2:
                lacking = Absent(f"{title} has {len(real)} real and {len(fake)} fake samples; both need 2")
                return {"intra_fid": lacking, "intra_fid_worst": lacking}
            found.append(max(distance(moments([real]), moments([fake])), 0.0))  # this order keeps a NaN
        evaluation.doubts += doubts_of_bias(fewest[0], features.real.shape[1], f" of {fewest[1]}")
        return {"intra_fid": fmean(found), "intra_fid_worst": max(found)}


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return IntraFID()
