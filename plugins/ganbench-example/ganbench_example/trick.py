"""Blur everything D sees, less and less: coarse structure is learned before fine detail (Karras et al. 2021)."""

from collections.abc import Callable

import torch
from ganbench import GAN, DataSpec, Match, Trick, Turn, Unsupported, hookimpl
from torch import Tensor

FADED = 0.25  # share of the budget after which D sees clearly


class Blur(Trick):
    """A Gaussian blur, at first with a standard deviation of an eighth of the side."""

    def players(self, build: Callable[[DataSpec], GAN], data: DataSpec) -> GAN:
        """The players as they are.

        Raises:
            Unsupported: the data are not 2-D images.
        """
        if len(data.shape) != 3:
            raise Unsupported(f"blurs 2-D images, not {data}")
        return build(data)

    def match(self, match: Match, turn: Turn) -> Match:
        """D sees blurred samples until a quarter of the budget is spent."""
        strength = (1 - turn.progress / FADED) / 8
        if strength <= 0:
            return match
        return match._replace(D=lambda x: match.D(blur(x, strength)))  # reals and fakes alike, in both players' turns


def blur(x: Tensor, strength: float) -> Tensor:
    """``x[B, C, H, W]``, smoothed along H and W with a standard deviation of ``strength`` times the side."""
    down, across = (weights(side, strength * side).to(x) for side in x.shape[-2:])
    return down @ x @ across.T


def weights(side: int, sigma: float) -> Tensor:
    """``[side, side]``: row i is a Gaussian around i, and sums to 1."""
    place = torch.arange(side)
    return torch.softmax(-((place - place[:, None]) ** 2) / (2 * sigma**2), dim=1)


@hookimpl
def ganbench_trick() -> Blur:
    """Build the trick."""
    return Blur()
