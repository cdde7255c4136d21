"""The checks of tricks: each finds what is planted for it, and sound tricks pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from planted import assert_found
from torch import nn

from ganbench import DataSpec, Trick, Unsupported
from ganbench.contracts.arch import GAN, Lazy
from ganbench.contracts.trick import LossAround
from ganbench.testing import CHECKS, ConformanceError, check_trick, trick_findings


def trick(**members: Any) -> Trick:
    """A trick with these members."""
    return type("Own", (Trick,), members)()


def changed(match: Callable[[Any], Any]) -> Trick:
    """One that changes every match."""
    return trick(match=lambda self, it, turn: match(it))


def seen_through(eye: Callable[[torch.Tensor], torch.Tensor]) -> Trick:
    """One that puts something before D."""
    return changed(lambda match: match._replace(D=lambda x: match.D(eye(x))))


class Doubled(LossAround):
    def d_loss(self, D, real, fake):
        return 2 * self.inner.d_loss(D, real, fake)


class Bare:
    """A wrapper that forgets the traits."""

    def __init__(self, loss) -> None:
        self.inner = loss

    def d_loss(self, D, real, fake):
        return self.inner.d_loss(D, real, fake)

    def g_loss(self, D, real, fake):
        return self.inner.g_loss(D, real, fake)


class Hiding(LossAround):
    def d_loss(self, D, real, fake):
        return self.inner.d_loss(D, real, fake).nan_to_num()


class Counting(Trick):
    """Fades with the number of calls, which no checkpoint holds."""

    calls = 0

    def match(self, match, turn):
        self.calls += 1
        scale = 1 / self.calls
        return match._replace(D=lambda x: scale * match.D(x))


class Hoarding(Trick):
    """Always shows D the first reals it saw."""

    kept: Any = None

    def match(self, match, turn):
        if self.kept is None or self.kept.shape != match.real.shape:
            self.kept = match.real
        return match._replace(real=self.kept)


class Holding(Trick):
    """Holds a generator, which cannot be copied with it."""

    def __init__(self) -> None:
        self.draws = (i for i in range(9))


def stepping(self, objective, turn):
    terms = objective()
    with torch.no_grad():
        next(turn.gan.discriminator.parameters()).add_(1e-3)
    return terms


def backward(self, objective, turn):
    turn.d_objective().backward()
    return objective()


def replaced(self, params, player):
    for p in params:
        p.grad = p.grad / 2


def cleaned(self, params, player):
    for p in params:
        p.grad.nan_to_num_()


def decayed(self, params, player):
    with torch.no_grad():
        for p in params:
            p.mul_(0.99)


def idle_layer(self, build, data):
    gan = build(data)
    gan.discriminator.extra = nn.Linear(3, 3)
    gan.discriminator.forward = nn.Sequential(*list(gan.discriminator)[:-1]).forward
    return gan


def own_rng(x):
    return x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1)) * np.random.rand()


def threaded(self, recipe):
    torch.set_num_threads(2)
    return {}


def choosy(argument: str) -> Trick:
    """A hook that ignores its argument."""
    return trick(strength=float(argument or 1))


choosy.__name__ = "ganbench_trick"

BROKEN: dict[str, Any] = {
    "trick-is-of-the-contract": trick(d_norm="layer"),
    "trick-acts-on-something": trick(players=lambda self, build, data: decline()),
    "a-nonsense-argument-is-declined": choosy,
    "recipe-is-of-the-contract": trick(recipe=lambda self, recipe: {"learning_rate": 1.0}),
    "loss-keeps-its-traits": trick(loss=lambda self, loss: Bare(loss)),
    "loss-stays-sound": trick(loss=lambda self, loss: Hiding(loss)),
    "match-stays-differentiable": seen_through(lambda x: x.detach()),
    "g-objective-is-made-of-named-terms": trick(g_objective=lambda self, objective, turn: {"g_loss": 3.0}),
    "players-stay-sound": trick(players=idle_layer),
    "a-turn-moves-no-weight": trick(g_objective=stepping),
    "gradients-are-changed-in-place": trick(gradients=replaced),
    "random-numbers-come-from-torchs-default-generator": seen_through(own_rng),
    "trick-keeps-nothing-between-calls": Counting(),
    "global-switches-stay-as-they-are": trick(recipe=threaded),
}


class Sometimes(Trick):
    """Counts turns where no objective shows it."""

    turns = 0

    def gradients(self, params, player):
        self.turns += 1
        if self.turns % 700 == 0:
            for p in params:
                p.grad.zero_()


def decline() -> Any:
    raise Unsupported("needs graphs")


@pytest.mark.parametrize("check", CHECKS["trick"].names)
def test_every_check_finds_what_it_is_there_for_and_says_how_to_mend_it(check: str) -> None:
    assert_found("trick", check, trick_findings(BROKEN[check]))


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        ("trick-is-of-the-contract", nn.Linear(1, 1)),
        ("match-stays-differentiable", changed(lambda match: match._replace(fake=match.fake.detach()))),
        ("match-stays-differentiable", seen_through(lambda x: x.round())),
        ("match-stays-differentiable", changed(lambda match: match._replace(fake=match.fake[:, :1]))),
        ("players-stay-sound", seen_through(lambda x: x.nan_to_num())),
        ("players-stay-sound", changed(lambda match: match._replace(D=lambda x: match.D(x).sigmoid()))),
        ("players-stay-sound", changed(lambda match: match._replace(D=lambda x: match.D(x)[:, None]))),
        ("players-stay-sound", seen_through(lambda x: x + torch.zeros(x.shape))),
        ("a-turn-moves-no-weight", trick(g_objective=backward)),
        ("gradients-are-changed-in-place", trick(gradients=cleaned)),
        ("gradients-are-changed-in-place", trick(gradients=decayed)),
        ("g-objective-is-made-of-named-terms", trick(g_objective=lambda self, objective, turn: objective()["g_loss"])),
        ("trick-keeps-nothing-between-calls", Hoarding()),
        ("trick-keeps-nothing-between-calls", Holding()),
        ("trick-keeps-nothing-between-calls", Sometimes()),
        ("trick-is-of-the-contract", trick(gradient=lambda self, params, player: None)),
        ("recipe-is-of-the-contract", trick(recipe=lambda self, recipe: recipe)),
    ],
)
def test_other_ways_to_break_the_contract_are_found(check: str, broken: Any) -> None:
    assert_found("trick", check, trick_findings(broken))


class Noisy(Trick):
    """Noise that fades, drawn where the core has seeded, on the device of the samples."""

    def match(self, match, turn):
        sigma = 0.1 * (1 - turn.progress)
        return match._replace(D=lambda x: match.D(x + sigma * torch.randn_like(x)))


class Penalty(Trick):
    """One more term for G, every few steps."""

    def g_objective(self, objective, turn):
        return {**objective(), "size": Lazy(4, lambda: turn.fake.square().mean())}


class Remembering(Trick):
    """What has to last is a buffer."""

    def players(self, build: Callable[[DataSpec], GAN], data: DataSpec) -> GAN:
        gan = build(data)
        gan.discriminator.register_buffer("seen", torch.zeros(()))
        return gan

    def match(self, match, turn):
        def counted(x):
            turn.gan.discriminator.seen += len(x)
            return match.D(x) * (1 + turn.gan.discriminator.seen.log1p() / 100)

        return match._replace(D=counted)


class Clipped(Trick):
    def gradients(self, params, player):
        torch.nn.utils.clip_grad_norm_(params, 1.0)


class TopK(Trick):
    """G learns from the better half of its fakes (Sinha et al. 2020)."""

    def match(self, match, turn):
        if turn.player == "D":
            return match
        with torch.no_grad():
            order = match.D(match.fake).argsort(descending=True)
        return match._replace(fake=match.fake[order[: math.ceil(len(order) / 2)]])


@pytest.mark.parametrize(
    "sound",
    [Trick(), Noisy(), Penalty(), Remembering(), Clipped(), TopK(), trick(loss=lambda self, loss: Doubled(loss))],
    ids=lambda it: type(it).__name__,
)
def test_a_sound_trick_raises_no_false_alarm(sound: Trick) -> None:
    assert trick_findings(sound) == []


def test_a_trick_may_decline_all_but_one_of_what_it_is_tried_on() -> None:
    def images_only(self, build, data):
        return build(data) if len(data.shape) == 3 else decline()

    assert trick_findings(trick(players=images_only)) == []
    assert trick_findings(trick(loss=lambda self, loss: loss if hasattr(loss, "d_norm") else decline())) == []


def test_players_for_other_data_are_found() -> None:
    wider = trick(players=lambda self, build, data: build(replace(data, shape=(*data.shape, 2))))
    assert "players-stay-sound" in {finding.check for finding in trick_findings(wider)}


def test_an_argument_is_kept() -> None:
    check_trick("instance-noise:0.3")
    with pytest.raises(Unsupported, match="'loud' is not a number"):
        check_trick("instance-noise:loud")


def test_a_module_with_the_hook_is_checked() -> None:
    module = ModuleType("own")

    def ganbench_trick(argument):
        if argument:
            raise Unsupported("takes nothing")
        return Noisy()

    module.ganbench_trick = ganbench_trick
    check_trick(module)
    module.ganbench_trick = choosy
    with pytest.raises(ConformanceError, match="the trick own fails 1 conformance check"):
        check_trick(module)
    assert trick_findings(ganbench_trick) == []
