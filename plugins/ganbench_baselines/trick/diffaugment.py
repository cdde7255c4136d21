"""DiffAugment: differentiable random colour, shift and cutout on all of D's inputs (Zhao et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from ganbench import GAN, DataSpec, Match, Trick, Turn, Unsupported, hookimpl


def color(x: Tensor) -> Tensor:
    """Brightness by U[-½, ½], saturation by U[0, 2], contrast by U[½, 3/2], drawn per sample of ``x[B, C, H, W]``."""
    x = x + uniform(x) - 0.5
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * 2 * uniform(x)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (0.5 + uniform(x))


def translation(x: Tensor) -> Tensor:
    """``x[B, C, H, W]`` shifted by up to an eighth of the side in each direction, padded with 0."""
    rows, columns = (
        (torch.arange(side, device=x.device) + shifts(side, share)[:, None] + 1).clamp(0, side + 1)
        for side, share in zip(x.shape[-2:], torch.rand(2, len(x), device=x.device), strict=True)
    )
    sample = torch.arange(len(x), device=x.device)[:, None, None]
    return pad(x, (1, 1, 1, 1)).movedim(1, -1)[sample, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def shifts(side: int, share: Tensor) -> Tensor:
    """``U[0, 1)[B] -> by[B]``, whole numbers up to an eighth of the side in each direction, all equally likely."""
    limit = int(side / 8 + 0.5)
    return (share * (2 * limit + 1)).long() - limit


def cutout(x: Tensor) -> Tensor:
    """``x[B, C, H, W]`` with a randomly placed box of half the side, rounded up, set to 0."""
    inside = []
    for dim, side in zip((-2, -1), x.shape[-2:], strict=True):
        half = int(side * 0.5 + 0.5)
        first = torch.randint(side + 1 - half % 2, (len(x), 1), device=x.device) - half // 2
        place = torch.arange(side, device=x.device)
        inside.append(((place >= first) & (place < first + half)).unsqueeze(-1 if dim == -2 else 1))
    return x * ~(inside[0] & inside[1]).unsqueeze(1)


def uniform(x: Tensor) -> Tensor:
    """``U[0, 1)`` of shape ``[B, 1, 1, 1]``: one draw for each sample of ``x[B, C, H, W]``."""
    return torch.rand(len(x), 1, 1, 1, device=x.device, dtype=x.dtype)


AUGMENTATIONS = {"color": color, "translation": translation, "cutout": cutout}


class DiffAugment(Trick):
    """``chosen``: names of augmentations, applied in this order."""

    def __init__(self, chosen: tuple[str, ...]) -> None:
        self.chosen = chosen

    def players(self, build: Callable[[DataSpec], GAN], data: DataSpec) -> GAN:
        """The players, unchanged.

        Raises:
            Unsupported: the data are not 2-D images.
        """
        if len(data.shape) != 3:
            raise Unsupported(f"augments 2-D images, not {data}")
        return build(data)

    def match(self, match: Match, turn: Turn) -> Match:
        """Augment real and fake samples alike, in the turns of both players."""

        def seen(x: Tensor) -> Tensor:
            for name in self.chosen:
                x = AUGMENTATIONS[name](x)
            return match.D(x)

        return match._replace(D=seen)


@hookimpl
def ganbench_trick(argument: str) -> Trick:
    """Build the trick; the argument lists augmentations joined by +, all three by default."""
    chosen = tuple(argument.split("+")) if argument else tuple(AUGMENTATIONS)
    for name in chosen:
        if name not in AUGMENTATIONS:
            raise Unsupported(f"there is no augmentation '{name}'", f"known: {', '.join(AUGMENTATIONS)}")
    return DiffAugment(chosen)
