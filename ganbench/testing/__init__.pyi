from .arch import arch_findings, check_arch
from .checks import CHECKS
from .dataset import check_dataset, dataset_findings
from .executor import check_executor, executor_findings
from .extractor import check_extractor, extractor_findings
from .finding import Finding
from .findings import Checks, ConformanceError
from .loss import check_loss, loss_findings
from .metric import check_metric, metric_findings
from .protocol import check_protocol, protocol_findings
from .trick import check_trick, trick_findings

__all__ = [
    "CHECKS",
    "Checks",
    "ConformanceError",
    "Finding",
    "arch_findings",
    "check_arch",
    "check_dataset",
    "check_executor",
    "check_extractor",
    "check_loss",
    "check_metric",
    "check_protocol",
    "check_trick",
    "dataset_findings",
    "executor_findings",
    "extractor_findings",
    "loss_findings",
    "metric_findings",
    "protocol_findings",
    "trick_findings",
]
