"""The speed grade: a plugin compared with a plain one of the same size."""

from __future__ import annotations

import time
from functools import partial

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ganbench import DataSpec
from ganbench.contracts.arch import count_parameters
from ganbench.testing.built import Built
from ganbench.testing.speed import Speed, speed_of_arch, speed_of_loss
from ganbench.testing.toys import Logistic, toy, toy_of_size

IMAGES = DataSpec((3, 16, 16))


class Laborious(Logistic):
    def d_loss(self, D, real, fake):
        return super().d_loss(D, real, fake) + 0 * sum(D(real).mean() for _ in range(10))


@pytest.fixture
def _time_is_work(monkeypatch):
    """A clock that counts floating-point operations: what else the machine does has no part in it."""
    with FlopCounterMode(display=False) as counter:
        monkeypatch.setattr(time, "perf_counter", lambda: float(counter.get_total_flops()))
        yield


@pytest.mark.usefixtures("_time_is_work")
def test_a_loss_that_takes_its_time_is_slow_and_the_reference_is_not() -> None:
    assert speed_of_loss(Laborious()).grade == "slow"
    assert speed_of_loss(Logistic()).ratio == 1


@pytest.mark.usefixtures("_time_is_work")
def test_an_arch_is_set_beside_plain_networks_of_its_own_size() -> None:
    large = partial(toy, IMAGES, 48)
    speed = speed_of_arch(Built(large(), IMAGES, None, False, large))
    assert 0.3 < speed.ratio < 3
    wanted = count_parameters([large()])
    assert abs(count_parameters([toy_of_size(IMAGES, wanted)]) / wanted - 1) < 0.25


@pytest.mark.parametrize(("ratio", "grade"), [(0.5, "fast"), (1.0, "normal"), (2.4, "normal"), (3.0, "slow")])
def test_the_grade_follows_from_the_ratio(ratio, grade) -> None:
    assert str(Speed(ratio, "it")) == f"{grade}: takes {ratio:.1f} times as long as it"


def test_measuring_draws_no_random_numbers_of_the_programs() -> None:
    before = torch.get_rng_state()
    speed_of_loss(Logistic())
    assert torch.equal(before, torch.get_rng_state())
