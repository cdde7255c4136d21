"""Inception score: exp of the mean KL(p(y|x) || p(y)) under the extractor's classes (Salimans et al. 2016).

Computed by torch-fidelity with its default shuffling seed, in 10 splits for 5,000 samples or more and otherwise in one,
because each split has to estimate p(y). It uses fakes only. Classifiers other than Inception give a different score,
whose name contains the classifier.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ganbench import Evaluation, Goal, Metric, Unsupported, hookimpl

SHUFFLE_SEED = 2020


class InceptionScore:
    """The Inception score on the logits of the protocol's extractor."""

    columns: Mapping[str, Goal] = {"is": "max"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"is": (1, None)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"is": score}, at least 1."""
        from torch_fidelity import metric_isc as judge

        logits = evaluation.features().fake_logits
        if logits is None:
            raise Unsupported("needs logits, but the protocol's extractor does not classify")
        if logits.ndim != 2:
            raise Unsupported(f"needs one class per sample, but the extractor judges {logits.shape[1]} parts of it")
        if len(logits) < 2:
            raise Unsupported("needs two samples or more: the score of a single one is always 1")
        if not logits.isfinite().all():
            raise ValueError("logits are not finite")
        # If no sample comes near a class, p(y) = 0 and torch-fidelity computes 0 log 0; e^-500 avoids that
        logits = torch.maximum(logits, logits.amax(dim=1, keepdim=True) - 500)
        splits = 10 if len(logits) >= 5000 else 1
        score = judge.isc_features_to_metric(logits, splits, shuffle=True, rng_seed=SHUFFLE_SEED)
        return {"is": max(score[judge.KEY_METRIC_ISC_MEAN], 1.0)}  # equal samples may round to below 1; keeps a NaN


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return InceptionScore()
