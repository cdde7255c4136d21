"""PacGAN: D judges m samples at once, stacked as channels, so it can detect a lack of variety (Lin et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from ganbench import GAN, DataSpec, Match, Trick, Turn, Unsupported, hookimpl
from ganbench_baselines.trick.arguments import whole


class PacGAN(Trick):
    """``m``: samples in a pack. D has the same depth and width, and m times the input channels (section 3.1)."""

    def __init__(self, m: int) -> None:
        self.m = m

    def players(self, build: Callable[[DataSpec], GAN], data: DataSpec) -> GAN:
        """The players, with a D that takes m times the channels.

        Raises:
            Unsupported: there are several discriminators, or D takes the class of each sample.
        """
        gan = build(data)
        if list(gan.discriminators()) != [gan.discriminator]:
            raise Unsupported("needs an architecture with one discriminator")
        if gan.conditional:
            raise Unsupported("packs samples of different classes, but this D takes the class of each sample")
        wide = replace(data, shape=(data.shape[0] * self.m, *data.shape[1:]))
        gan.discriminator = build(wide).discriminator
        return gan

    def match(self, match: Match, turn: Turn) -> Match:
        """Pack real and fake samples in groups of m."""
        return Match(match.D, self.packed(match.real), self.packed(match.fake))

    def packed(self, x: Tensor) -> Tensor:
        """Stack each m samples as channels: ``x[B, C, ...] -> [B/m, mC, ...]``.

        Raises:
            Unsupported: m does not divide B.
        """
        if len(x) % self.m:
            raise Unsupported(f"packs of {self.m} do not fit into a batch of {len(x)}", "choose an m that divides it")
        return x.reshape(len(x) // self.m, self.m * x.shape[1], *x.shape[2:])


@hookimpl
def ganbench_trick(argument: str) -> Trick:
    """Build the trick; the argument is m, 2 by default."""
    return PacGAN(whole(argument, 2, 2))
