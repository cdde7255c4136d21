"""Precision and memory layout of training; samples are always generated and evaluated in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from ganbench.contracts.loss import Critic
from ganbench.contracts.protocol import Layout, Precision
from ganbench.contracts.trick import LossAround


@contextmanager
def tensor_cores(precision: Precision) -> Iterator[None]:
    """Allow TF32 in matrix products and convolutions if ``precision`` does; devices without TF32 use float32."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """A context for evaluating networks: under ``"bf16"``, matrix products and convolutions use bfloat16.

    Weights, moments and averages stay in float32.
    """
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def in_float32(fake: Any) -> Any:
    """Fakes as GANs return them, one tensor or several in dictionaries and tuples, with every tensor in float32."""
    return tree_map_only(Tensor, Tensor.float, fake)


class InFloat32(LossAround):
    """A loss wrapper that converts logits to float32, regardless of the networks' precision."""

    def d_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The inner loss on logits in float32."""
        return self.inner.d_loss(_widened(D), real, fake)

    def g_loss(self, D: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The inner loss on logits in float32."""
        return self.inner.g_loss(_widened(D), real, fake)


def _widened(D: Critic) -> Critic:
    return lambda x: D(x).float()


MEMORY_FORMATS: dict[Layout, torch.memory_format] = {
    "contiguous": torch.contiguous_format,
    "channels-last": torch.channels_last,
}


def lay_out(module: nn.Module, layout: Layout) -> None:
    """Put the weights of 2-D convolutions in the protocol's memory layout."""
    if layout != "contiguous":
        module.to(memory_format=MEMORY_FORMATS[layout])
