"""Conformance checks for plugins, to be called from their own tests.

    from ganbench.testing import check_loss

    def test_my_loss_keeps_the_contract():
        check_loss(MyLoss(), like="non-saturating")

``check_loss``, ``check_arch``, ``check_metric`` and ``check_dataset`` raise one ``ConformanceError`` that lists every
breach: what was seen, what was expected, how to mend it and why it matters. ``loss_findings`` and its like return
the same as a list. A check that does not apply is left out by its name: ``skip=("both-halves-are-of-one-game",)``.
Checks are deterministic, draw on no network, and leave every global random generator as they found it.
"""

from __future__ import annotations

from ganbench.testing.arch import CHECKS as ARCH_CHECKS
from ganbench.testing.arch import arch_findings, check_arch
from ganbench.testing.dataset import CHECKS as DATASET_CHECKS
from ganbench.testing.dataset import check_dataset, dataset_findings
from ganbench.testing.findings import Checks, ConformanceError, Finding
from ganbench.testing.loss import CHECKS as LOSS_CHECKS
from ganbench.testing.loss import check_loss, loss_findings
from ganbench.testing.metric import CHECKS as METRIC_CHECKS
from ganbench.testing.metric import check_metric, metric_findings

CHECKS: dict[str, Checks] = {
    "loss": LOSS_CHECKS,
    "arch": ARCH_CHECKS,
    "metric": METRIC_CHECKS,
    "dataset": DATASET_CHECKS,
}
"""Kind of plugin -> its checks, by name and with the reason for each."""

__all__ = [
    "CHECKS",
    "Checks",
    "ConformanceError",
    "Finding",
    "arch_findings",
    "check_arch",
    "check_dataset",
    "check_loss",
    "check_metric",
    "dataset_findings",
    "loss_findings",
    "metric_findings",
]
