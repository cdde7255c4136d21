"""The players' optimisers, built from a recipe, with learning-rate decay."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ganbench.contracts.protocol import Recipe


def build_optimizer(params: Any, lr: float, recipe: Recipe, device: torch.device, *, recorded: bool) -> Optimizer:
    """Build the optimiser that the recipe names.

    Args:
        params: parameters, or parameter groups with their own settings.
        lr: the initial learning rate; each group stores its own as ``initial_lr``.
        recipe: optimiser family, betas, epsilon, decay.
        device: the device of the parameters.
        recorded: whether iterations are recorded and replayed; a changing learning rate is then read from memory.
    """
    capturable = recorded and device.type == "cuda"
    match recipe.optimizer:
        case "adam":
            optimizer: Optimizer = torch.optim.Adam(
                params, lr, recipe.betas, recipe.eps, fused=True, capturable=capturable
            )
        case "rmsprop":
            optimizer = torch.optim.RMSprop(params, lr, eps=recipe.eps, foreach=True, capturable=capturable)
        case "sgd":
            optimizer = torch.optim.SGD(params, lr, momentum=recipe.betas[0], fused=True)
    optimizer._warned_capturable_if_run_uncaptured = True  # the first iterations are uncaptured
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
        if recorded and recipe.lr_decay:
            group["lr"] = torch.tensor(group["lr"], device=device)
    return optimizer


def params_of(optimizer: Optimizer) -> list[Tensor]:
    """Every parameter that the optimiser owns."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def decay(optimizer: Optimizer, factor: float) -> None:
    """Set each group's learning rate to ``factor`` times its initial one."""
    for group in optimizer.param_groups:
        rate = group["initial_lr"] * factor
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = torch.tensor(rate).item()  # the same bits as a learning rate in memory


def restore(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load a checkpoint's moments; settings stay those of the recipe, as tensors if recorded iterations read them."""
    settings = [{name: group[name] for name in group if name != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)
