"""Conformance checks of an architecture: how its players train."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.contracts.arch import GAN
from ganbench.contracts.data import Batch
from ganbench.contracts.loss import Match
from ganbench.testing.built import Built, flat, gradients_of, sampled, some, total_of, without_gradient
from ganbench.testing.device import MODULES, clashes
from ganbench.testing.findings import Checks, Finding
from ganbench.testing.randomness import TORCH, replay, seeded
from ganbench.testing.toys import Logistic

CHECKS: Checks[Built] = Checks("arch")


@CHECKS.add
def gradients_reach_every_weight_of_the_player_whose_turn_it_is(case: Built) -> Iterator[Finding]:
    """A weight without a gradient is not trained: its module is never called, or a detach cuts it off.

    D's update must not reach G: its fakes come without a gradient, so an objective that reaches G has made its own.
    """
    gan = case.copy()
    batch = case.batch(gan)
    turns = (
        ("D", gan.discriminators(), gan.d_objective(Logistic(), batch, without_gradient(gan, batch))),
        ("G", gan.generators(), gan.g_objective(Logistic(), batch, gan.fake(batch))),
    )
    names = {id(p): name for name, p in gan.named_parameters()}
    for player, modules, terms in turns:
        weights = _trained(modules)
        idle = [names.get(id(p), "?") for p, g in zip(weights, gradients_of(terms, weights), strict=True) if g is None]
        if idle:
            yield Finding(
                seen=f"nothing in {player}'s update depends on {some(idle)}",
                expected=f"a gradient for every weight of {player}",
                mend="call the module in fake() or matches(), or leave it out",
            )
    if any(g is not None for g in gradients_of(turns[0][2], _trained(gan.generators()))):
        yield Finding(
            seen="D's objective has gradients with respect to G's weights",
            expected="none",
            mend="use the fakes that d_objective is given",
        )


@CHECKS.add
def extra_terms_show_d_what_tricks_show_it(case: Built) -> Iterator[Finding]:
    """Augmentation works only if D never sees unaugmented samples.

    A term that shows D unaugmented samples defeats it, and fails with packed samples. ``batch.view`` applies the tricks
    to a match.
    """
    gan, within, past = case.copy(), [False], list[str]()

    def view(match: Match) -> Match:
        def seen(x: Tensor) -> Tensor:
            within[0] = True
            try:
                return match.D(x)
            finally:
                within[0] = False

        return match._replace(D=seen)

    batch = replace(case.batch(gan), view=view)
    turns = (("d_extra", gan.d_extra, without_gradient(gan, batch)), ("g_extra", gan.g_extra, gan.fake(batch)))
    modules = {name: m for d in gan.discriminators() for name, m in d.named_modules() if not list(m.children())}
    for name, module in modules.items():
        module.register_forward_pre_hook(lambda *_, name=name: None if within[0] else past.append(name))
    for player, terms, fake in turns:
        past.clear()
        if found := terms(batch, fake):
            total_of(found)
        if past:
            yield Finding(
                seen=f"{player} shows samples to D ({some(past[:1])}) without batch.view",
                expected="calls of D through batch.view",
                mend="seen = batch.view(Match(D, batch.real, fake)); then seen.D(seen.real) and seen.D(seen.fake)",
            )


def _trained(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [p for module in modules for p in module.parameters() if p.requires_grad]


@CHECKS.add
def training_draws_from_torchs_default_generator_alone(case: Built) -> Iterator[Finding]:
    """Dropout, noise layers, pools and augmentations draw random numbers during training.

    The core seeds torch's default generator for them and stores its state in the checkpoint. After draws from
    elsewhere, a repeated or resumed run differs from the original.
    """
    gan = case.copy()
    state = copy.deepcopy(gan.state_dict())

    def play() -> Tensor:
        gan.load_state_dict(state)
        return _both_turns(gan, case.batch(gan))

    one, other = (replay(play, seed, torch_seed=0, allowed=TORCH) for seed in (1, 2))
    if other.drew or not torch.equal(one.value, other.value):
        yield Finding(
            seen=f"training drew from {other.drew}"
            if other.drew
            else "the same update, run twice, gave different results",
            expected="draws from torch's default generator only, and no state except in buffers",
            mend="use torch.rand and the like without generator=, and register persistent state as a buffer",
        )


def _both_turns(gan: GAN, batch: Batch) -> Tensor:
    """The objectives of D and G on a batch; NaN is replaced by a number, so that results can be compared."""
    d_total = total_of(gan.d_objective(Logistic(), batch, without_gradient(gan, batch)))
    g_total = total_of(gan.g_objective(Logistic(), batch, gan.fake(batch)))
    return torch.stack([d_total, g_total]).detach().nan_to_num()


@CHECKS.add
def weights_and_buffers_are_all_there_is(case: Built) -> Iterator[Finding]:
    """A checkpoint holds only the state_dict.

    Anything else that a module keeps (real samples of an earlier update, say) is lost when a run is resumed. The
    averaged copy is made by deepcopy and shares the discriminators.
    """
    gan = case.copy()
    with seeded(1):
        _both_turns(gan, case.batch(gan, seed=2))
    twin = _restored(case, gan)
    if not _same_samples(case, gan, twin):
        yield Finding(
            seen="two GANs with the same state_dict make different samples",
            expected="the same samples",
            mend="register persistent state as a parameter or a buffer",
        )
    played = []
    for players in (gan, twin):
        with seeded(1):
            played.append(_both_turns(players, replace(case.batch(players, seed=3), step=1)))
    if not torch.equal(*played):
        yield Finding(
            seen="after one batch, a GAN and its copy restored from a checkpoint differ on the next batch: "
            f"{_numbers(played[0])} and {_numbers(played[1])}",
            expected="the same objectives",
            mend="keep no batch and no counter in attributes; take the step from batch, and keep the rest in buffers",
        )
    averaged = gan.averaged_copy()
    shared = {id(p) for p in flat(averaged.discriminator_params())} == {id(p) for p in flat(gan.discriminator_params())}
    if not shared or not _same_samples(case, gan, averaged):
        yield Finding(
            seen="averaged_copy() is not the same G with the same D",
            expected="separate generators with the same weights, and shared discriminators",
            mend="keep modules as attributes of the GAN; hold no generator in a closure",
        )


def _restored(case: Built, gan: GAN) -> GAN:
    """The players, built again with the weights of a checkpoint."""
    torch.manual_seed(99)
    twin = case.again()
    file = BytesIO()
    torch.save(gan.state_dict(), file)
    file.seek(0)
    twin.load_state_dict(torch.load(file, weights_only=True))
    return twin


def _same_samples(case: Built, one: GAN, other: GAN) -> bool:
    return torch.equal(sampled(one, case.batch(one)), sampled(other, case.batch(other)))


def _numbers(values: Tensor) -> str:
    return " and ".join(f"{value:.6g}" for value in values.tolist())


@CHECKS.add
def players_follow_their_batch_to_another_device(case: Built) -> Iterator[Finding]:
    """A run on a GPU moves the GAN there with ``.to(device)``, which moves only parameters and buffers.

    A tensor in an attribute, or one created without device=, stays on the CPU. Weights in float64 are many times slower
    on a GPU, and some devices lack float64. (torch's "meta" device stands in for a GPU here.)
    """
    wide = [name for name, p in case.gan.named_parameters() if p.dtype == torch.float64]
    if wide:
        yield Finding(f"{some(wide)} in float64", "weights in float32", "use no .double() in the players")
    gan = case.copy()
    batch = case.batch(gan)
    there: dict[str, Any] = {name: x.to("meta") for name, x in vars(batch).items() if isinstance(x, Tensor)}
    yield from clashes(
        lambda: _both_turns(gan.to("meta"), replace(batch, **there)),
        what="everything",
        expected="players that .to(device) moves completely",
        mend=MODULES,
    )
