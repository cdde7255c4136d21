"""Counts the floating-point operations of training per image, to compare their rate with the device's peak.

It counts the operations that ``torch.utils.flop_counter`` knows: matrix products and convolutions, in forward, backward
and double-backward passes (penalties). A multiply-add is two operations. Element-wise work, optimisers, averaging and a
plugin's own kernels are not counted.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ganbench.contracts.trick import Player
from ganbench.training.capture import Counters
from ganbench.training.observer import Observer
from ganbench.training.peak import peak_flops
from ganbench.training.trainer import Trainer


class Flops(NamedTuple):
    """Operations per real image shown to D, in D's updates and in G's."""

    d: float
    g: float


class Account(NamedTuple):
    """Operations per image, and ``peak``, the highest rate that the device reaches, in FLOP/s (0: unknown)."""

    flops: Flops
    peak: float


class _Counter(TorchDispatchMode):
    """Adds up the operations in a block by torch's formulas.

    ``FlopCounterMode`` does the same, but also tracks modules, with hooks that fail when a penalty differentiates D at
    a leaf.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with self:  # inference mode passes on composite operations
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        out = func(*args, **kwargs)
        if formula := flop_registry.get(func.overloadpacket):
            self.total += formula(*args, **kwargs, out_val=out)
        return out


class Meter:
    """An observer that counts the operations of each player's updates."""

    def __init__(self) -> None:
        self.flops: dict[Player, int] = {"D": 0, "G": 0}

    @contextmanager
    def update(self, player: Player, step: int) -> Iterator[None]:
        """Count the operations in the block."""
        with _Counter() as counter:
            yield
        self.flops[player] += counter.total


def account(trained: Trainer, again: Callable[[Observer], Trainer]) -> Account | None:
    """The operations per image, and the device's peak; None if the operations cannot be counted.

    Args:
        trained: the trainer that was timed; stays unchanged.
        again: builds a similar trainer with its own players, one D update per G update, and the given observer.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # training has already shown all warnings
        try:
            flops = flops_per_image(again, trained.stream.batch, trained.recipe.d_steps)
        except BaseException:  # a plugin may raise anything, and counting is optional
            return None
    return Account(flops, peak_flops(trained.device, trained.precision))


def flops_per_image(again: Callable[[Observer], Trainer], batch: int, d_steps: int) -> Flops:
    """Count one iteration without lazy terms and, for each of their periods, one in which they are due.

    Args:
        again: as in ``account``; each iteration runs on a new trainer.
        batch: real images per D update.
        d_steps: D updates per G update.
    """
    plain = _counted(again, 1)
    due = {every: _counted(again, every) for every in sorted(plain.periods - {1})}

    def mean(player: Player) -> float:
        return _mean(plain.flops[player], {every: counted.flops[player] for every, counted in due.items()})

    return Flops(mean("D") / batch, mean("G") / (batch * d_steps))


class _Counted(NamedTuple):
    """The operations of each player in one iteration, and the periods of all lazy terms, due or not."""

    flops: Mapping[Player, int]
    periods: Set[int]


def _counted(again: Callable[[Observer], Trainer], step: int) -> _Counted:
    """Count iteration ``step``, on a new trainer."""
    meter = Meter()
    trainer = again(meter)
    trainer.set_counters(Counters(d_done=0, step=step))
    trainer.advance(1)
    return _Counted(meter.flops, trainer.periods)


def _mean(plain: int, due: Mapping[int, int]) -> float:
    """Operations per iteration, averaged over all of them.

    Args:
        plain: operations of an iteration without lazy terms.
        due: period -> operations of an iteration with the lazy terms of that period and of its divisors; shorter
            periods come first.
    """
    own: dict[int, int] = {}  # operations that the terms of a period add when they are due
    for every, flops in due.items():
        own[every] = flops - plain - sum(more for shorter, more in own.items() if every % shorter == 0)
    return plain + sum(more / every for every, more in own.items())
