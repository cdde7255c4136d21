"""Blur everything D sees, and fade the blur out. G learns coarse structure before detail (Karras et al. 2021)."""

from collections.abc import Callable

import torch
from ganbench import GAN, DataSpec, Match, Trick, Turn, Unsupported, hookimpl
from torch import Tensor

FADED = 0.25  # share of the budget after which D sees unblurred samples


class Blur(Trick):
    """A Gaussian blur whose standard deviation starts at an eighth of the image side."""

    def players(self, build: Callable[[DataSpec], GAN], data: DataSpec) -> GAN:
        """Build the players unchanged.

        Raises:
            Unsupported: the data are not 2-D images.
        """
        if len(data.shape) != 3:
            raise Unsupported(f"blurs 2-D images, not {data}")
        return build(data)

    def match(self, match: Match, turn: Turn) -> Match:
        """Blur what D sees until a quarter of the budget is spent."""
        strength = (1 - turn.progress / FADED) / 8
        if strength <= 0:
            return match
        return match._replace(D=lambda x: match.D(blur(x, strength)))  # reals and fakes, in D steps and G steps


def blur(x: Tensor, strength: float) -> Tensor:
    """Blur ``x[B, C, H, W]`` along H and W, with a standard deviation of ``strength`` times the side."""
    down, across = (weights(side, strength * side).to(x) for side in x.shape[-2:])
    return down @ x @ across.T


def weights(side: int, sigma: float) -> Tensor:
    """Return ``[side, side]`` weights. Row i is a Gaussian centred at i, and sums to 1."""
    place = torch.arange(side)
    return torch.softmax(-((place - place[:, None]) ** 2) / (2 * sigma**2), dim=1)


@hookimpl
def ganbench_trick() -> Blur:
    """Build the trick."""
    return Blur()
