"""Initial weights: orthogonal (Saxe et al. 2014), xavier (Glorot and Bengio 2010), kaiming (He et al. 2015), normal."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ganbench import GAN, DataSpec, Trick, Unsupported, hookimpl

POWER_ITERATIONS = 50  # for orthogonal weights, any vector will do; for random ones, 15 iterations leave σ off by 2 %
SCHEMES: dict[str, Callable[[Tensor], Tensor]] = {
    "orthogonal": nn.init.orthogonal_,
    "xavier": nn.init.xavier_uniform_,
    "kaiming": partial(nn.init.kaiming_normal_, a=0.2),  # the LeakyReLU slope in most discriminators
    "normal": partial(nn.init.normal_, std=0.02),  # DCGAN's
}


class Init(Trick):
    """``scheme``: fills the weight of a linear or convolutional layer; biases are set to 0."""

    def __init__(self, scheme: Callable[[Tensor], Tensor]) -> None:
        self.scheme = scheme

    def players(self, build: Callable[[DataSpec], GAN], data: DataSpec) -> GAN:
        """The players with new initial weights.

        Raises:
            Unsupported: the initial weights are part of the architecture, or no layer can be filled.
        """
        gan = build(data)
        if gan.own_init:
            raise Unsupported("the architecture's initial weights are part of it", "leave init out")
        layers = [m for m in gan.modules() if isinstance(m, (nn.Linear, nn.modules.conv._ConvNd, nn.Embedding))]
        if not layers:
            raise Unsupported("finds no linear or convolutional layer to fill", "leave init out")
        for layer in layers:
            fill(layer, self.scheme)
        return gan


def fill(layer: nn.Module, scheme: Callable[[Tensor], Tensor]) -> None:
    """Initialise a layer; if it is spectrally normalised, the weight before normalisation."""
    for name, parameter in layer.named_parameters():
        if name == "weight" or name.startswith("parametrizations.weight.original"):
            scheme(parameter.data)
        elif name == "bias":
            nn.init.zeros_(parameter)
    if is_parametrized(layer, "weight"):  # re-estimate σ for spectral normalisation: each access runs a power iteration
        with torch.no_grad():
            for _ in range(POWER_ITERATIONS):
                layer.weight  # noqa: B018


@hookimpl
def ganbench_trick(argument: str) -> Trick:
    """Build the trick; the argument is the scheme, orthogonal by default."""
    scheme = SCHEMES.get(argument or "orthogonal")
    if scheme is None:
        raise Unsupported(f"there is no scheme '{argument}'", f"choose one: {', '.join(SCHEMES)}")
    return Init(scheme)
