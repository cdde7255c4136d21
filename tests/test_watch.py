"""Divergence: at once, with the iteration and the name of what left the finite numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ganbench.training.watch import Fault, Watch


def watched() -> tuple[nn.Linear, Watch]:
    layer = nn.Linear(3, 2)
    return layer, Watch(layer.named_parameters())


def note(watch: Watch, step: int, **terms: float) -> None:
    watch.go_to(step - 1)
    watch.note({name: torch.tensor(value) for name, value in terms.items()})


def test_nothing_is_found_where_everything_is_finite() -> None:
    _, watch = watched()
    assert watch.first() is None
    note(watch, 1, d_loss=1.0, g_loss=-1e30)
    assert watch.first() is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_bad_loss_is_named_however_late_one_asks(bad) -> None:
    _, watch = watched()
    for step in range(1, 10):
        note(watch, step, d_loss=1.0, g_loss=bad if step in (4, 7) else 1.0)
    assert watch.first() == Fault("g_loss", 4)


def test_a_loss_that_recovers_is_still_a_fault() -> None:
    _, watch = watched()
    note(watch, 1, d_loss=math.nan)
    note(watch, 2, d_loss=0.0)
    assert watch.first() == Fault("d_loss", 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_bad_weight_is_named(name, bad) -> None:
    layer, watch = watched()
    note(watch, 1, d_loss=1.0)
    with torch.no_grad():
        getattr(layer, name).view(-1)[-1] = bad
    note(watch, 2, d_loss=1.0)
    note(watch, 3, d_loss=math.nan)
    assert watch.first() == Fault(f"weight {name}", 2)


def test_of_several_faults_in_one_iteration_the_loss_comes_first() -> None:
    layer, watch = watched()
    with torch.no_grad():
        layer.weight.fill_(math.nan)
    note(watch, 5, d_loss=1.0, g_loss=math.nan)
    assert watch.first() == Fault("g_loss", 5)


def test_lazy_terms_that_come_and_go_are_told_apart() -> None:
    _, watch = watched()
    note(watch, 1, d_loss=1.0, penalty=1.0)
    note(watch, 2, d_loss=1.0)
    note(watch, 3, d_loss=1.0, penalty=math.nan)
    note(watch, 4, d_loss=math.nan)
    assert watch.first() == Fault("penalty", 3)


def test_large_but_finite_weights_are_no_fault() -> None:
    layer, watch = watched()
    with torch.no_grad():
        layer.weight.fill_(1e15)
    note(watch, 1, d_loss=1.0)
    assert watch.first() is None
