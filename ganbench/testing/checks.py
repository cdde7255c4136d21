"""The conformance checks of every kind of plugin."""

from __future__ import annotations

from typing import Any

from ganbench.testing.arch import CHECKS as ARCH_CHECKS
from ganbench.testing.dataset import CHECKS as DATASET_CHECKS
from ganbench.testing.executor import CHECKS as EXECUTOR_CHECKS
from ganbench.testing.extractor import CHECKS as EXTRACTOR_CHECKS
from ganbench.testing.findings import Checks
from ganbench.testing.installed import CHECKS as PLUGIN_CHECKS
from ganbench.testing.loss import CHECKS as LOSS_CHECKS
from ganbench.testing.metric import CHECKS as METRIC_CHECKS
from ganbench.testing.protocol import CHECKS as PROTOCOL_CHECKS
from ganbench.testing.trick import CHECKS as TRICK_CHECKS

CHECKS: dict[str, Checks[Any]] = {
    "plugin": PLUGIN_CHECKS,
    "arch": ARCH_CHECKS,
    "loss": LOSS_CHECKS,
    "trick": TRICK_CHECKS,
    "metric": METRIC_CHECKS,
    "dataset": DATASET_CHECKS,
    "protocol": PROTOCOL_CHECKS,
    "extractor": EXTRACTOR_CHECKS,
    "executor": EXECUTOR_CHECKS,
}
"""Kind of plugin -> its checks; those under "plugin" apply to installed plugins of every kind."""
