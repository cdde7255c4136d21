"""Inception with random weights, for tests: the official ones are not everywhere."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_fidelity import feature_extractor_inceptionv3


def random_inception_weights() -> dict[str, Tensor]:
    """Drawn by Kaiming's rule: under PyTorch's default the features collapse, and any test of them passes."""
    network_class = feature_extractor_inceptionv3.FeatureExtractorInceptionV3
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(devices=[]):
        patch.setattr(feature_extractor_inceptionv3, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(network_class, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        network = network_class("inception-v3-compat", ["2048"])
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network.state_dict()
