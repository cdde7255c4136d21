"""Inserts a layer before D's last one, which adds minibatch statistics to the features of each sample."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from ganbench import GAN, Loss, LossTraits, Unsupported

MakeLayer = Callable[[int], tuple[nn.Module, int]]
"""Number of features F -> a layer ``f[B, F] -> g[B, F + extra]``, and extra."""


def refuse_per_sample(loss: Loss) -> None:
    """Refuse a loss that penalises D's per-sample gradient, which a D that compares samples does not have.

    Raises:
        Unsupported: the loss is of that kind.
    """
    if LossTraits(loss).d_norm == "none":
        raise Unsupported(
            "the loss looks at each sample by itself, and this D would compare the samples of a batch",
            "choose a loss without a per-sample penalty, or leave the trick out",
        )


def widen(gan: GAN, make: MakeLayer) -> GAN:
    """Insert a layer before the last linear layer of each D, and widen that last layer to match.

    Raises:
        Unsupported: a D does not end in a linear layer with one output.
    """
    for network in gan.discriminators():
        name, last = _last_linear(network)
        layer, extra = make(last.in_features)
        wider = nn.Linear(last.in_features + extra, 1, bias=last.bias is not None)
        with torch.no_grad():  # old inputs keep their weights; new ones get random weights of the same scale
            wider.weight[:, : last.in_features] = last.weight
            nn.init.normal_(wider.weight[:, last.in_features :], std=last.weight.std().item())
            if last.bias is not None:
                wider.bias.copy_(last.bias)
        end = spectral_norm(wider) if is_parametrized(last) else wider
        home, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(home), leaf, nn.Sequential(layer, end))
    return gan


def _last_linear(network: nn.Module) -> tuple[str, nn.Linear]:
    layers = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)) and name
    ]
    name, last = layers[-1] if layers else ("", None)
    if not isinstance(last, nn.Linear) or last.out_features != 1:
        raise Unsupported("needs a D that ends in a linear layer with one output")
    return name, last
