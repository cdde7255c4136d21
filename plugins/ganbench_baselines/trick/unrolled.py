"""Unrolled GAN: G trains against D as it will be k updates later, through those updates (Metz et al. 2017, eq. 10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from ganbench import GAN, Terms, Trick, Turn, hookimpl
from ganbench_baselines.trick.arguments import whole


class Unrolled(Trick):
    """``k``: D updates to look ahead, all on the batch of G's turn, as in the paper. D itself is not updated."""

    def __init__(self, k: int) -> None:
        self.k = k

    def g_objective(self, objective: Callable[[], Terms], turn: Turn) -> Terms:
        """G's terms against D as it will be after k more updates; gradients flow through those updates."""
        arena = Arena(turn.gan)
        real = arena.weights_of(turn.optimizer_d)
        ahead = {name: p.detach().clone().requires_grad_().clone() for name, p in real.items()}
        optimizer = differentiable_copy(turn.optimizer_d, {real[name]: p for name, p in ahead.items()})
        buffers = {name: buffer.clone() for name, buffer in arena.named_buffers()}  # the GAN's own stay as they are
        for _ in range(self.k):
            now = {name: p.clone() for name, p in ahead.items()}  # the step below changes `ahead` in place
            loss = functional_call(arena, {**now, **buffers}, (turn.d_objective,))
            gradients = torch.autograd.grad(loss, list(now.values()), create_graph=True)
            for p, gradient in zip(ahead.values(), gradients, strict=True):
                p.grad = with_a_derivative(gradient, optimizer.state[p])
            optimizer.step()
            if turn.after_d_step:
                clip(arena, ahead, turn.after_d_step)
        terms: Terms = functional_call(arena, ahead, (objective,))
        return terms


class Arena(nn.Module):
    """A module in which a function is evaluated with other weights in D, or other buffers anywhere."""

    def __init__(self, gan: GAN) -> None:
        super().__init__()
        self.gan = gan

    def weights_of(self, optimizer: Optimizer) -> dict[str, Tensor]:
        """Name -> parameter, for the parameters that the optimiser owns."""
        owned = {id(p) for group in optimizer.param_groups for p in group["params"]}
        return {name: p for name, p in self.named_parameters() if id(p) in owned}

    def forward(self, evaluate: Callable[[], Any]) -> Any:
        """What ``evaluate`` returns."""
        return evaluate()


def with_a_derivative(gradient: Tensor, state: Mapping[str, Any]) -> Tensor:
    """The gradient, detached where it leaves Adam's or RMSprop's second moment v at 0.

    The step divides by √v, which has no derivative there. Such a weight does not move, and contributes nothing.
    """
    moment = next((state[name] for name in ("exp_avg_sq", "square_avg") if name in state), 0.0)
    still = (gradient.detach().square() == 0) & (torch.as_tensor(moment, device=gradient.device) == 0)
    return torch.where(still, gradient.detach(), gradient)


def clip(arena: Arena, ahead: Mapping[str, Tensor], after_d_step: Callable[[Sequence[nn.Module]], None]) -> None:
    """Apply the loss's ``after_d_step`` to ``ahead``; a weight that it sets becomes a constant."""
    held = {name: p.detach().clone() for name, p in ahead.items()}
    functional_call(arena, held, (lambda: after_d_step(arena.gan.discriminators()),))
    for name, p in ahead.items():
        p.copy_(torch.where(held[name] == p, p, held[name]))


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
