"""Unrolled GAN: G plays against D as it will be k updates later, and learns through them (Metz et al. 2017, eq. 10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from ganbench import Terms, Trick, Turn, hookimpl
from ganbench_baselines.trick.arguments import whole


class Unrolled(Trick):
    """``k``: D updates to look ahead, all on the batch of G's turn, as in the paper. D itself is not updated."""

    def __init__(self, k: int) -> None:
        self.k = k

    def g_objective(self, objective: Callable[[], Terms], turn: Turn) -> Terms:
        arena = Arena(turn.gan.discriminators())
        real = dict(arena.named_parameters())
        ahead = {name: p.detach().clone().requires_grad_().clone() for name, p in real.items()}
        optimizer = differentiable_copy(turn.optimizer_d, {real[name]: p for name, p in ahead.items()})
        for _ in range(self.k):
            now = {name: p.clone() for name, p in ahead.items()}  # the step below changes `ahead` in place
            loss = functional_call(arena, now, (turn.d_objective,))
            gradients = torch.autograd.grad(loss, list(now.values()), create_graph=True)
            for p, gradient in zip(ahead.values(), gradients, strict=True):
                p.grad = gradient
            optimizer.step()
        terms: Terms = functional_call(arena, ahead, (objective,))
        return terms


class Arena(nn.Module):
    """Holds the discriminators, so that ``functional_call`` can evaluate something with other weights in them."""

    def __init__(self, discriminators: Sequence[nn.Module]) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(discriminators)

    def forward(self, evaluate: Callable[[], Any]) -> Any:
        return evaluate()


def differentiable_copy(optimizer: Optimizer, stand_ins: Mapping[Tensor, Tensor]) -> Optimizer:
    """An optimiser with the same settings and state that moves each parameter's stand-in, differentiably."""
    switches = {"fused": False, "foreach": False, "differentiable": True}
    groups = []
    for group in optimizer.param_groups:
        kept = {name: value for name, value in group.items() if name not in switches}
        groups.append({**kept, **switches, "params": [stand_ins[p] for p in group["params"]]})
    twin = type(optimizer)(groups, differentiable=True)  # type: ignore[call-arg]  # Adam, RMSprop and SGD have it
    for stand_in in stand_ins.values():
        stand_in.retain_grad()  # or torch warns that it is not a leaf
    for p, state in optimizer.state.items():
        twin.state[stand_ins[p]] = {name: _copied(value, name, groups[0]) for name, value in state.items()}
    return twin


def _copied(value: Any, name: str, group: Mapping[str, Any]) -> Any:
    if not isinstance(value, Tensor):
        return value
    # only fused and capturable kernels count their steps on the device
    on_host = name == "step" and not group.get("capturable")
    return value.detach().clone().to("cpu" if on_host else value.device)


@hookimpl
def ganbench_trick(argument: str) -> Trick:
    """Build the trick; the argument is k, 5 by default."""
    return Unrolled(whole(argument, 5, 1))
