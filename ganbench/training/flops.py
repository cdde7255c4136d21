"""The arithmetic of training: floating-point operations per image, the rate reached, and its share of the peak.

It counts what ``torch.utils.flop_counter`` knows: matrix products and convolutions, in forward, backward and double
backward passes (penalties). A multiply-add is two operations. Element-wise work, optimisers, averaging and a plugin's
own kernels are not counted.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ganbench.contracts.arch import Lazy, Terms
from ganbench.contracts.trick import Player, Trick, Turn
from ganbench.training.peak import peak_flops
from ganbench.training.trainer import Trainer

Term = tuple[Player, str]


class Flops(NamedTuple):
    """Operations per real image shown to D: those of D's updates, and those of G's."""

    d: float
    g: float


class Account(NamedTuple):
    """Operations per image, and ``peak``, the operations per second that the device reaches (0: unknown)."""

    flops: Flops
    peak: float


class _NoModules:
    """Replaces torch's tracker of modules, whose hooks fail where a penalty differentiates D at a leaf."""

    parents = ("Global",)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class Meter(Trick):
    """Counts one D update and one G update, without the lazy terms except ``only``.

    It must be the last trick, so that the terms it sees are those that G minimises.
    """

    def __init__(self, only: Term | None = None) -> None:
        self.only = only
        self.every: dict[Term, int] = {}
        self.flops: dict[Player, int] = {"D": 0, "G": 0}
        self.counter = FlopCounterMode(display=False)
        self.counter.mod_tracker = _NoModules()  # type: ignore[assignment]  # all that the counter asks of it

    def play(self, trainer: Trainer) -> None:
        """Count the first iteration of ``trainer``, which has this meter among its tricks."""
        d_objective, members = trainer.gan.d_objective, vars(trainer.gan)
        members["d_objective"] = lambda *played: self._chosen("D", d_objective(*played))
        try:
            with self.counter:
                trainer.advance(1)
        finally:
            del members["d_objective"]  # a GAN that holds itself would keep its memory until a collection

    def g_objective(self, objective: Callable[[], Terms], turn: Turn) -> Terms:
        """Without the lazy terms."""
        return self._chosen("G", objective())

    def gradients(self, params: Sequence[Tensor], player: Player) -> None:
        """A player's turn ends here: everything counted since the previous turn belongs to it."""
        self.flops[player] += self.counter.get_total_flops() - sum(self.flops.values())

    def _chosen(self, player: Player, terms: Terms) -> Terms:
        self.every |= {(player, name): term.every for name, term in terms.items() if isinstance(term, Lazy)}
        return {
            name: term.compute() if isinstance(term, Lazy) else term
            for name, term in terms.items()
            if not isinstance(term, Lazy) or (player, name) == self.only
        }


def account(trained: Trainer, again: Callable[[Meter], Trainer]) -> Account | None:
    """The operations per image of training, and the device's peak; None if the operations cannot be counted.

    Args:
        trained: the trainer that was timed; it is not changed.
        again: builds a trainer like that one, with its own players, one D update per G update, and a meter after its
            tricks.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # training has already shown every warning
        try:
            flops = flops_per_image(again, trained.stream.batch, trained.recipe.d_steps)
        except BaseException:  # a plugin need not be countable, and may raise anything
            return None
    return Account(flops, peak_flops(trained.device, trained.precision))


def flops_per_image(again: Callable[[Meter], Trainer], batch: int, d_steps: int) -> Flops:
    """Count one iteration, and one more for each lazy term, divided by its period; each on a new trainer.

    Args:
        batch: real images of a D update.
        d_steps: D updates per G update.
    """
    plain = _counted(again, Meter())
    mean: dict[Player, float] = {"D": plain.flops["D"], "G": plain.flops["G"]}
    for term, every in plain.every.items():
        with_term = _counted(again, Meter(term))
        for player in mean:
            mean[player] += (with_term.flops[player] - plain.flops[player]) / every
    return Flops(mean["D"] / batch, mean["G"] / (batch * d_steps))


def _counted(again: Callable[[Meter], Trainer], meter: Meter) -> Meter:
    meter.play(again(meter))
    return meter
