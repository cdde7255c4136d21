"""Correct players and losses, with a trick applied to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.optim import Optimizer

from ganbench.contracts.arch import GAN, Terms
from ganbench.contracts.data import Batch, DataSpec
from ganbench.contracts.loss import Loss, Match
from ganbench.contracts.trick import Player, Trick, Turn
from ganbench.errors import Unsupported
from ganbench.testing.built import Built, total_of, without_gradient
from ganbench.testing.randomness import seeded
from ganbench.testing.toys import Demanding, Logistic, Penalised, toy

DATA = (DataSpec((2,), bounded=False), DataSpec((3, 16, 16), classes=10))


class Wrapped(NamedTuple):
    """A loss before and after a trick has changed it."""

    before: Loss
    after: Loss


class Shown(NamedTuple):
    """Players, and the matches of one of their updates as a trick changes them."""

    gan: GAN
    matches: list[Match]


@dataclass(frozen=True)
class TrickCase:
    """A trick under test; ``ask`` builds it with an argument, or is None if it was given ready-made."""

    trick: Trick
    ask: Callable[[str], Trick] | None = None

    @cached_property
    def stages(self) -> list[Stage]:
        """The stages that it does not decline; it may decline data that it does not support."""
        found = []
        for data in DATA:
            with seeded(0):
                try:
                    stage = Stage(self.trick, data)
                    stage.matches("D")
                except Unsupported:
                    continue
            found.append(stage)
        return found

    @cached_property
    def losses(self) -> list[Wrapped]:
        """The textbook losses that it does not decline."""
        found = list[Wrapped]()
        for loss in (Logistic(), Demanding(), Penalised()):
            try:
                found.append(Wrapped(loss, self.trick.loss(loss)))
            except Unsupported:
                continue
        return found


class Stage:
    """Correct players under a trick, on some data. The checks of an arch examine ``built``."""

    def __init__(self, trick: Trick, data: DataSpec) -> None:
        self.trick, self.data = trick, data
        again = partial(with_trick, trick, data)
        self.built = Built(again(), data, None, False, again)

    def __str__(self) -> str:
        return str(self.data)

    def turn(self, player: Player, gan: GAN, seed: int = 1) -> Turn:
        """A player's update, with fakes as the core makes them."""
        batch = self.built.batch(gan, seed=seed)
        fake = without_gradient(gan, batch) if player == "D" else gan.fake(batch)
        return _turn(player, gan, batch, fake)

    def matches(self, player: Player, seed: int = 1) -> Shown:
        """The matches in an update of new players."""
        gan = self.built.copy()
        turn = self.turn(player, gan, seed)
        return Shown(gan, list(gan.matches(turn.batch, turn.fake)))


def with_trick(trick: Trick, data: DataSpec) -> GAN:
    """Correct players whose matches, and G's objective, are changed by a trick."""
    gan = trick.players(toy, data)
    if not isinstance(gan, GAN):
        raise TypeError(f"players() returned a {type(gan).__name__}, not a GAN")
    kind = type(gan)

    def matches(self: GAN, batch: Batch, fake: Any) -> Sequence[Match]:
        turn = _turn("G" if fake.requires_grad else "D", self, batch, fake)
        return [trick.match(match, turn) for match in kind.matches(self, batch, fake)]

    def g_objective(self: GAN, loss: Loss, batch: Batch, fake: Any) -> Terms:
        turn = _turn("G", self, batch, fake)
        batch = replace(batch, view=lambda match: trick.match(match, turn))
        return trick.g_objective(partial(kind.g_objective, self, loss, batch, fake), turn)

    def d_objective(self: GAN, loss: Loss, batch: Batch, fake: Any) -> Terms:
        turn = _turn("D", self, batch, fake)
        batch = replace(batch, view=lambda match: trick.match(match, turn))
        return kind.d_objective(self, loss, batch, fake)

    methods = {"matches": matches, "g_objective": g_objective, "d_objective": d_objective}
    gan.__class__ = type("Tricked", (kind,), methods)
    return gan


_optimizers: WeakKeyDictionary[GAN, tuple[Optimizer, Optimizer]] = WeakKeyDictionary()


def _turn(player: Player, gan: GAN, batch: Batch, fake: Any) -> Turn:
    """A player's update in the middle of a run. Players keep their optimisers, whatever their weights."""
    if gan not in _optimizers:
        _optimizers[gan] = (
            torch.optim.Adam(gan.discriminator_params(), lr=1e-3),
            torch.optim.Adam(gan.generator_params(), lr=1e-3),
        )

    def d_objective() -> Tensor:
        return total_of(gan.d_objective(Logistic(), batch, fake))

    return Turn(player, 0.25, batch, fake, gan, *_optimizers[gan], d_objective)
