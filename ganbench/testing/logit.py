"""Checks whether D ends in a logit, by its last operation and the range of its outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ganbench.contracts.arch import GAN
from ganbench.contracts.loss import Match
from ganbench.testing.randomness import rng

# Names of autograd nodes, without "Backward" and the number behind it. The graph shows what was computed, however the
# modules are nested, wrapped or parametrised.
BENDING = {
    "Sigmoid", "Tanh", "Relu", "LeakyRelu", "PreluKernel", "RreluWithNoise", "Elu", "Celu", "Gelu", "Silu", "Mish",
    "Softplus", "LogSigmoid", "Hardtanh", "Hardsigmoid", "Hardswish", "Softmax", "LogSoftmax", "Clamp", "ClampMin",
    "ClampMax", "Threshold", "Maximum", "Minimum", "Where",
}  # fmt: skip
PASSING = {
    "View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Select", "Slice", "Permute", "Transpose", "T",
    "Clone", "AsStrided", "Expand", "Alias", "ToCopy", "Mean", "Sum", "Mul", "Div", "Add", "Sub", "Neg",
}  # fmt: skip

TRIES = 8


def last_operation(said: Tensor) -> str:
    """D's final activation, ignoring reshaping, averaging and arithmetic with constants; "" if there is none."""
    node = said.grad_fn
    while node is not None:
        name = node.name().rpartition("::")[2].partition("Backward")[0]
        if name in BENDING:
            return name
        inputs = [before for before, _ in node.next_functions if before is not None]
        if name not in PASSING or len(inputs) != 1:
            return ""
        node = inputs[0]
    return ""


@torch.no_grad()
def reach(gan: GAN, matches: Callable[[], Sequence[Match]]) -> tuple[float, float]:
    """The lowest and highest logit under random weights and inputs that are up to a hundred times too large."""
    said = [torch.zeros(0)]
    parameters = [p for module in gan.discriminators() for p in module.parameters()]
    started = [p.clone() for p in parameters]
    for seed in range(TRIES):
        for p, start in zip(parameters, started, strict=True):
            _shake(p, start, rng(seed))
        for match in matches():
            said += [match.D(scale * match.real) for scale in (1, 100)]
    logits = torch.cat(said)
    logits = logits[logits.isfinite()]
    return float(logits.min()), float(logits.max())


def _shake(p: nn.Parameter, start: Tensor, noise: torch.Generator) -> None:
    size = start.square().mean().sqrt() + 0.1
    p.copy_(start + 2 * size * torch.randn(p.shape, generator=noise))
