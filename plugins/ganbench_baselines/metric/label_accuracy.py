"""Label accuracy: how often a classifier of real data finds the requested class in a fake (Odena et al. 2017).

The classifier is the protocol's extractor, whose classes must be numbered like the dataset's. Its accuracy on the reals
shows how many of the errors are its own. Only classes count: a generator with one sample per class can reach 1.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ganbench import Evaluation, Goal, Metric, Unsupported, hookimpl


class LabelAccuracy:
    """On the logits of the protocol's extractor."""

    columns: Mapping[str, Goal] = {"label_accuracy": "max", "label_accuracy_real": "info"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"label_accuracy": (0, 1), "label_accuracy_real": (0, 1)}
    needs = ("labels",)

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"label_accuracy": share of fakes, "label_accuracy_real": share of reals whose label is recognised}."""
        if evaluation.real_labels is None or evaluation.fake_labels is None:
            raise Unsupported("needs the labels of reals and of fakes")
        _, _, real, fake = evaluation.features()
        if real is None or fake is None:
            raise Unsupported("needs logits, but the protocol's extractor does not classify")
        return {
            "label_accuracy": recognised(fake, evaluation.fake_labels),
            "label_accuracy_real": recognised(real, evaluation.real_labels),
        }


def recognised(logits: Tensor, labels: Tensor) -> float:
    """``logits[N, K], labels[N]`` -> the share of samples whose largest logit is that of their label.

    Raises:
        Unsupported: the classifier judges parts of a sample, or does not know a label.
    """
    if logits.ndim != 2:
        raise Unsupported(f"needs one class per sample, but the extractor judges {logits.shape[1]} parts of it")
    if int(labels.max()) >= logits.shape[1]:
        raise Unsupported(f"the extractor knows {logits.shape[1]} classes, but a sample has class {int(labels.max())}")
    if not logits.isfinite().all():
        raise ValueError("logits are not finite")
    return (logits.argmax(dim=1) == labels).double().mean().item()


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return LabelAccuracy()
