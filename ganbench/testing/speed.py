"""Measures the speed of a plugin relative to a plain one of the same size; for information only.

Both run alternately, and the fastest round of each counts, since other work on the machine slows both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch

from ganbench.contracts.arch import GAN, count_parameters
from ganbench.contracts.data import DataSpec
from ganbench.contracts.loss import Loss
from ganbench.testing.built import Built, flat, total_of, without_gradient
from ganbench.testing.randomness import seeded
from ganbench.testing.toys import Logistic, toy, toy_of_size

ROUNDS = 7
FAST, SLOW = 0.8, 2.5
BATCH = 64
IMAGES = DataSpec((3, 16, 16))


class Speed(NamedTuple):
    """``ratio``: the time of a D and a G update, divided by that of ``beside``."""

    ratio: float
    beside: str

    @property
    def grade(self) -> str:
        """``"fast"``, ``"normal"`` or ``"slow"``."""
        return "fast" if self.ratio < FAST else "slow" if self.ratio > SLOW else "normal"

    def __str__(self) -> str:
        return f"{self.grade}: takes {self.ratio:.1f} times as long as {self.beside}"


def speed_of_arch(case: Built) -> Speed:
    """Both updates of an arch, compared with a plain GAN for the same data with as many weights."""
    gan = case.copy()
    plain = toy_of_size(case.data, count_parameters([gan]))
    ratio = _ratio(_updates(gan, Logistic(), case), _updates(plain, Logistic(), case))
    return Speed(ratio, "plain networks with as many weights")


def speed_of_loss(loss: Loss) -> Speed:
    """One D and one G update of a plain GAN under a loss, compared with the logistic loss."""
    with seeded(0):
        one, other = toy(IMAGES), toy(IMAGES)
    case = Built(one, IMAGES, None, False, partial(toy, IMAGES))
    return Speed(_ratio(_updates(one, loss, case), _updates(other, Logistic(), case)), "the logistic loss")


def speed_of_trick(with_trick: Built, loss: Loss) -> Speed:
    """Both updates with a trick, compared with updates without it."""
    with seeded(0):
        plain = toy(with_trick.data)
    one, other = _updates(with_trick.copy(), loss, with_trick), _updates(plain, Logistic(), with_trick)
    return Speed(_ratio(one, other), "the same without it")


def _updates(gan: GAN, loss: Loss, case: Built) -> Callable[[], None]:
    """A D and a G update without optimiser steps, so that weights stay the same."""
    batch = case.batch(gan, BATCH)

    def play() -> None:
        d_total = total_of(gan.d_objective(loss, batch, without_gradient(gan, batch)))
        torch.autograd.grad(d_total, flat(gan.discriminator_params()), allow_unused=True)
        g_total = total_of(gan.g_objective(loss, batch, gan.fake(batch)))
        torch.autograd.grad(g_total, flat(gan.generator_params()), allow_unused=True)

    return play


def _ratio(ours: Callable[[], Any], plain: Callable[[], Any]) -> float:
    best = {ours: float("inf"), plain: float("inf")}
    with seeded(0):
        for _ in range(ROUNDS):
            for play in (ours, plain):
                began = time.perf_counter()
                play()
                best[play] = min(best[play], time.perf_counter() - began)
    return best[ours] / best[plain]
