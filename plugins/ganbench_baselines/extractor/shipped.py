"""A classifier whose weights ship with the package, as a safetensors file next to its module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ganbench import DataError, Extractor


class Shipped(Extractor):
    """An extractor that stores a confusion matrix and the statistics of its features with its weights.

    It standardises features by their mean and standard deviation on the training data, as KID is cubic in their norm.
    """

    mean: Tensor
    std: Tensor
    confusion_counts: Tensor

    def __init__(self, network: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))
        self.register_buffer("confusion_counts", torch.zeros(classes, classes, dtype=torch.int64))
        self.eval().requires_grad_(False)


S = TypeVar("S", bound=Shipped)


def with_weights(
    extractor: S, file: Path, state: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = lambda tensors: tensors
) -> S:
    """The extractor with the tensors of a file, which ``state`` converts to its state.

    Raises:
        DataError: the weights are missing or damaged.
    """
    try:
        extractor.load_state_dict(state(load_file(file)))
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise DataError(
            f"the weights '{file}' cannot be read ({type(error).__name__})", "install ganbench again"
        ) from error
    extractor.confusion = extractor.confusion_counts
    return extractor
