"""``digits-cnn`` for torch-fidelity, in a module of its own because torch-fidelity takes a second to import."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_fidelity import register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from ganbench import Unsupported
from ganbench_baselines.extractor.digits_cnn import SIDE, DigitsCNN, load


class DigitsCNNForFidelity(FeatureExtractorBase):
    """The same network for torch-fidelity: ``calculate_metrics(feature_extractor="digits-cnn", ...)``."""

    def __init__(self, name: str, features_list: list[str], **unused: Any) -> None:
        super().__init__(name, features_list)
        self.extractor = load()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The outputs in ``features_list``, in its order; ``Unsupported`` for the logits of stacked digits."""
        features, logits = self.extractor(x)
        if logits.ndim != 2 and "logits" in self.features_list:
            raise Unsupported("the Inception score of stacked digits has no single set of classes")
        found = {"features": features, "logits": logits}
        return tuple(found[name] for name in self.features_list)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """The names that ``features_list`` may contain."""
        return "features", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """The Inception score takes logits, all other metrics take features."""
        return "logits" if metric == "isc" else "features"

    @staticmethod
    def can_be_compiled() -> bool:
        """Whether torch.compile can compile the network."""
        return True

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        """One blank digit."""
        return torch.zeros(1, 1, SIDE, SIDE, dtype=torch.uint8)


if DigitsCNN.name not in FEATURE_EXTRACTORS_REGISTRY:  # importing the module twice must not fail
    register_feature_extractor(DigitsCNN.name, DigitsCNNForFidelity)
