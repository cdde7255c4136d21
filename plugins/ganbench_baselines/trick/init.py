"""Initial weights: orthogonal (Saxe et al. 2014), xavier (Glorot and Bengio 2010), kaiming (He et al. 2015), normal."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from ganbench import GAN, DataSpec, Trick, Unsupported, hookimpl

SCHEMES: dict[str, Callable[[Tensor], Tensor]] = {
    "orthogonal": nn.init.orthogonal_,
    "xavier": nn.init.xavier_uniform_,
    "kaiming": partial(nn.init.kaiming_normal_, a=0.2),  # the slope of LeakyReLU in most Ds
    "normal": partial(nn.init.normal_, std=0.02),  # DCGAN's
}


class Init(Trick):
    """``scheme``: fills the weight of a linear or convolutional layer; biases become 0."""

    def __init__(self, scheme: Callable[[Tensor], Tensor]) -> None:
        self.scheme = scheme

    def players(self, build: Callable[[DataSpec], GAN], data: DataSpec) -> GAN:
        gan = build(data)
        for module in gan.modules():
            if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd, nn.Embedding)):
                fill(module, self.scheme)
        return gan


def fill(layer: nn.Module, scheme: Callable[[Tensor], Tensor]) -> None:
    """Initialise a layer; if it is spectrally normalised, the weight before normalisation."""
    for name, parameter in layer.named_parameters():
        if name == "weight" or name.startswith("parametrizations.weight.original"):
            scheme(parameter.data)
        elif name == "bias":
            nn.init.zeros_(parameter)


@hookimpl
def ganbench_trick(argument: str) -> Trick:
    """Build the trick; the argument is the scheme, orthogonal by default."""
    scheme = SCHEMES.get(argument or "orthogonal")
    if scheme is None:
        raise Unsupported(f"there is no scheme '{argument}'", f"choose one: {', '.join(SCHEMES)}")
    return Init(scheme)
