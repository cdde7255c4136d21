"""Label accuracy: how often a classifier of real data assigns a fake to its requested class (Odena et al. 2017).

    label_accuracy         share of fakes that the classifier assigns to their requested class
    label_accuracy_real    the classifier's accuracy on real data, which shows how many of the errors are its own

The classifier is the protocol's extractor, whose classes are matched with the dataset's by name. The score ignores
variety: a generator with one sample per class can reach 1.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ganbench import Evaluation, Goal, Metric, Unsupported, hookimpl
from ganbench_baselines.metric.guessing import doubts_of_guessing


class LabelAccuracy:
    """Label accuracy on the logits of the protocol's extractor."""

    columns: Mapping[str, Goal] = {"label_accuracy": "max", "label_accuracy_real": "info"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"label_accuracy": (0, 1), "label_accuracy_real": (0, 1)}
    needs = ("labels", "classes")

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"label_accuracy": share of fakes, "label_accuracy_real": share of real samples recognised}."""
        if evaluation.real_labels is None or evaluation.fake_labels is None:
            raise Unsupported("needs the labels of reals and of fakes")
        order = evaluation.class_order()
        _, _, real, fake = evaluation.features()
        assert real is not None
        assert fake is not None
        of_reals = recognised(real[:, order], evaluation.real_labels)
        evaluation.doubts += doubts_of_guessing(of_reals, evaluation.real_labels, "the extractor")
        return {
            "label_accuracy": recognised(fake[:, order], evaluation.fake_labels),
            "label_accuracy_real": of_reals,
        }


def recognised(logits: Tensor, labels: Tensor) -> float:
    """``logits[N, K], labels[N]`` -> the share of samples whose largest logit is that of their label."""
    if not logits.isfinite().all():
        raise ValueError("logits are not finite")
    return (logits.argmax(dim=1) == labels).double().mean().item()


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return LabelAccuracy()
