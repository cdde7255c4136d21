"""Conformance checks for plugins, to be called from their own tests.

    from ganbench.testing import check_loss

    def test_my_loss_keeps_the_contract():
        check_loss(MyLoss(), like="non-saturating")

``check_arch``, ``check_loss``, ``check_trick``, ``check_metric``, ``check_dataset``, ``check_protocol`` and
``check_extractor`` take an object, the name of an installed component, a module with the hook, or the hook. They raise
one ``ConformanceError`` that lists every breach: what was seen, what was expected, how to mend it and why it matters.
``loss_findings`` and its like return the same as a list. A check that does not apply is left out by its name:
``skip=("both-halves-are-of-one-game",)``. Checks are deterministic, draw on no network, and leave every global random
generator, and every switch of the process, as they found it.

``ganbench plugins --check`` does the same with what is installed, each plugin in a process of its own;
``ganbench plugins --list-checks`` prints every check with the reason for it.
"""

from __future__ import annotations

from typing import Any

from ganbench.testing.arch import CHECKS as ARCH_CHECKS
from ganbench.testing.arch import arch_findings, check_arch
from ganbench.testing.dataset import CHECKS as DATASET_CHECKS
from ganbench.testing.dataset import check_dataset, dataset_findings
from ganbench.testing.extractor import CHECKS as EXTRACTOR_CHECKS
from ganbench.testing.extractor import check_extractor, extractor_findings
from ganbench.testing.findings import Checks, ConformanceError, Finding
from ganbench.testing.installed import CHECKS as PLUGIN_CHECKS
from ganbench.testing.loss import CHECKS as LOSS_CHECKS
from ganbench.testing.loss import check_loss, loss_findings
from ganbench.testing.metric import CHECKS as METRIC_CHECKS
from ganbench.testing.metric import check_metric, metric_findings
from ganbench.testing.protocol import CHECKS as PROTOCOL_CHECKS
from ganbench.testing.protocol import check_protocol, protocol_findings
from ganbench.testing.trick import CHECKS as TRICK_CHECKS
from ganbench.testing.trick import check_trick, trick_findings

CHECKS: dict[str, Checks[Any]] = {
    "plugin": PLUGIN_CHECKS,
    "arch": ARCH_CHECKS,
    "loss": LOSS_CHECKS,
    "trick": TRICK_CHECKS,
    "metric": METRIC_CHECKS,
    "dataset": DATASET_CHECKS,
    "protocol": PROTOCOL_CHECKS,
    "extractor": EXTRACTOR_CHECKS,
}
"""Kind of plugin -> its checks, by name and with the reason for each; "plugin" are those of an installed one of any
kind."""

__all__ = [
    "CHECKS",
    "Checks",
    "ConformanceError",
    "Finding",
    "arch_findings",
    "check_arch",
    "check_dataset",
    "check_extractor",
    "check_loss",
    "check_metric",
    "check_protocol",
    "check_trick",
    "dataset_findings",
    "extractor_findings",
    "loss_findings",
    "metric_findings",
    "protocol_findings",
    "trick_findings",
]
