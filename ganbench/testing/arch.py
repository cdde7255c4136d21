"""Conformance checks of an architecture: what it builds and how it samples. Its D is looked at in ``critic.py``."""

from __future__ import annotations

import copy
import inspect
import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ganbench.data import DataSpec
from ganbench.errors import ProtocolError, Unsupported
from ganbench.evaluate import in_eval_mode
from ganbench.gan import GAN, normalisation
from ganbench.protocol import Training, resolve_recipe
from ganbench.testing import critic
from ganbench.testing.built import (
    SAMPLES,
    Built,
    Logistic,
    first_of,
    flat,
    gradients_of,
    same_values,
    sampled,
    some,
    without_gradient,
)
from ganbench.testing.findings import Checks, ConformanceError, Finding, global_states, moved, rng, seeded

CHECKS: Checks[Built] = Checks("arch")

EXAMPLES = {
    "points": (DataSpec((2,), bounded=False),),
    "audio": (DataSpec((1, 1024)), DataSpec((1, 16384))),
    "images": (DataSpec((3, 16, 16), classes=10), DataSpec((3, 32, 32), classes=10), DataSpec((3, 64, 64), classes=10)),
    "video": (DataSpec((3, 8, 16, 16)), DataSpec((3, 16, 64, 64))),
}
"""What is tried where no data are named: of every kind, the first that the arch does not decline."""

WISHES = (None, "none", "spectral")


def arch_findings(
    build: Any,
    data: DataSpec | None = None,
    *,
    width: int = 8,
    z_dim: int = 8,
    source: tuple[int, ...] | None = None,
    skip: Collection[str] = (),
) -> list[Finding]:
    """What is wrong with an architecture; nothing is raised for it.

    It is built once for each normalisation that a loss can ask D for; a finding that several of them share is
    reported once.

    Args:
        build: the module with the hook, the hook, or a function that takes any of ``data``, ``d_norm``, ``width`` and
            ``z_dim`` (or nothing) and returns a ``GAN``.
        data: what to build it for; ``EXAMPLES`` of every kind unless said otherwise.
        width, z_dim: the protocol's, small ones.
        source: shape of what a translator is given; it gets nothing unless this says so.
        skip: names of checks that do not apply.

    Raises:
        ValueError: ``skip`` names a check that does not exist.
    """
    kinds = EXAMPLES.values() if data is None else [(data,)]
    found: list[Finding] = []
    fits = False
    for specs in kinds:
        for spec in specs:
            cases = list(_cases(build, spec, width, z_dim, source))
            for where, case in cases:
                new = [case] if isinstance(case, Finding) else CHECKS.run(case, skip)
                known = {finding.check for finding in found}
                found += [replace(finding, where=where) for finding in new if finding.check not in known]
            if cases:
                fits = True
                break
    return found if fits else [_declined_everything(data)]


def check_arch(
    build: Any,
    data: DataSpec | None = None,
    *,
    width: int = 8,
    z_dim: int = 8,
    source: tuple[int, ...] | None = None,
    skip: Collection[str] = (),
) -> None:
    """Raise one ``ConformanceError`` with everything that is wrong with an architecture. See ``arch_findings``."""
    found = arch_findings(build, data, width=width, z_dim=z_dim, source=source, skip=skip)
    if found:
        name = getattr(build, "__name__", type(build).__name__)
        raise ConformanceError(f"the arch {name}", found)


# -- building ----------------------------------------------------------------------------------------------------------


def _hook(build: Any) -> Callable[..., GAN]:
    return build.ganbench_arch if isinstance(build, ModuleType) else build


def _takes(build: Any, argument: str) -> bool:
    parameters = inspect.signature(_hook(build)).parameters
    return argument in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _cases(
    build: Any, data: DataSpec, width: int, z_dim: int, source: tuple[int, ...] | None
) -> Iterator[tuple[str, Built | Finding]]:
    """(what was asked for, what was built), for every normalisation of D that the arch does not decline."""
    for wish in WISHES if _takes(build, "d_norm") else (None,):
        given = {"data": data, "d_norm": wish, "width": width, "z_dim": z_dim}
        again = partial(_hook(build), **{name: value for name, value in given.items() if _takes(build, name)})
        where = f"{data}, d_norm = {wish!r}" if _takes(build, "d_norm") else str(data)
        try:
            with seeded(0):
                gan = again()
        except Unsupported:
            continue
        except Exception as error:
            yield where, _broken(f"building fails: {type(error).__name__}: {error}")
            continue
        if not isinstance(gan, GAN):
            yield where, _broken(f"a {type(gan).__name__} came back")
            continue
        # an arch that is never told d_norm plays under every loss, unless the core can see a batch norm and declines
        silent = not _takes(build, "d_norm") and "batch" not in normalisation(gan.discriminators())
        yield where, Built(gan, data, wish, wish == "none" or silent, again, source)


def _broken(seen: str) -> Finding:
    return Finding(
        seen=seen,
        expected="a ganbench.GAN, or Unsupported with a reason",
        mend='raise Unsupported("needs 2-D images") for data, or a normalisation, that does not fit',
        check="builds",
        why="A run names what it cannot build in one sentence; anything but Unsupported counts as a broken plugin.",
    )


def _declined_everything(data: DataSpec | None) -> Finding:
    tried = str(data) if data is not None else ", ".join(str(spec) for specs in EXAMPLES.values() for spec in specs)
    return Finding(
        seen=f"Unsupported for {tried}",
        expected="a GAN for some of it",
        mend="name data that the arch is made for: check_arch(build, data=DataSpec(...))",
        check="builds",
        why="Nothing was built, so nothing was checked.",
    )


# -- the contract ------------------------------------------------------------------------------------------------------


@CHECKS.add_vital
def samples_and_logits_have_the_shapes_of_the_contract(case: Built) -> Iterator[Finding]:
    """G makes x[B, *shape] in [-1, 1] (where the data are bounded), D makes one logit[B] of each sample, real or
    fake. A logit of shape [B, 1] beside one of shape [B] broadcasts to [B, B] without an error."""
    gan = case.copy()
    with torch.inference_mode(), in_eval_mode(gan):
        x = gan.sample(case.batch(gan))
    expected = (SAMPLES, *case.data.shape)
    if tuple(x.shape) != expected or not x.is_floating_point():
        yield Finding(f"sample() made {tuple(x.shape)} of {x.dtype}", f"{expected} of floats", "build G for data.shape")
    elif not x.isfinite().all():
        yield Finding("sample() is not finite in an untrained G", "finite numbers", "check G's initialisation")
    elif case.data.bounded and x.abs().max() > 1:
        yield Finding(
            seen=f"samples from {x.min():.3g} to {x.max():.3g}",
            expected="[-1, 1], since data.bounded",
            mend="end G in tanh where data.bounded",
        )
    for place, match in enumerate(case.matches(gan)):
        for whose, shown in (("real", match.real), ("fake", match.fake)):
            said = match.D(shown)
            if tuple(said.shape) != (len(shown),) or not said.isfinite().all():
                yield Finding(
                    seen=f"match {place}: D of {whose} samples {tuple(shown.shape)} is {tuple(said.shape)}",
                    expected=f"finite logits of shape {(len(shown),)}",
                    mend="end D in nn.Flatten(0), or a mean over a map of logits",
                )


@CHECKS.add
def recipe_is_of_the_contract(case: Built) -> Iterator[Finding]:
    """A misspelt setting would stop the run after everything else was prepared."""
    try:
        resolve_recipe(Training(budget_kimg=1), [("the arch", case.gan.recipe)])
    except ProtocolError as error:
        yield Finding(str(error), "settings of ganbench.protocol.Recipe", "correct the recipe")


@CHECKS.add
def the_same_seed_builds_the_same_weights(case: Built) -> Iterator[Finding]:
    """Weights are drawn from torch's default generator, which the core seeds for each run: the same seed is the same
    run, bit by bit."""
    states = []
    for other in (1, 2):
        torch.manual_seed(7)
        np.random.seed(other)
        random.seed(other)
        states.append({name: value.clone() for name, value in case.again().state_dict().items()})
    differ = [name for name, value in states[0].items() if not torch.equal(value, states[1][name])]
    if differ:
        yield Finding(
            seen=f"{differ[0]} differs between two builds under one seed",
            expected="the same weights",
            mend="draw weights with torch's default generator and nothing else",
        )


@CHECKS.add
def every_weight_belongs_to_one_player(case: Built) -> Iterator[Finding]:
    """A weight that no optimiser owns is never trained; one that both own is pulled both ways; one that G owns outside
    generators() is neither averaged nor used for sampling."""
    gan = case.gan
    names = {id(p): name for name, p in gan.named_parameters()}
    owned = {
        "G": {id(p) for p in flat(gan.generator_params())},
        "D": {id(p) for p in flat(gan.discriminator_params())},
    }
    within = {
        "G": {id(p) for module in gan.generators() for p in module.parameters()},
        "D": {id(p) for module in gan.discriminators() for p in module.parameters()},
    }
    orphans = [name for key, name in names.items() if key not in owned["G"] | owned["D"]]
    trained = dict(gan.named_parameters())
    orphans = [name for name in orphans if trained[name].requires_grad]
    if orphans:
        yield Finding(
            seen=f"no optimiser owns {some(orphans)}",
            expected="every weight in G's or D's hands",
            mend="list its module in generators() or discriminators(), or make it a buffer",
        )
    shared = owned["G"] & owned["D"]
    if shared:
        yield Finding(
            f"both optimisers own {some([names.get(key, '?') for key in shared])}", "one owner", "give each its own"
        )
    for player, method in (("G", "generators()"), ("D", "discriminators()")):
        stray = owned[player] - within[player]
        if stray:
            yield Finding(
                seen=f"{player}'s optimiser owns {some([names.get(key, '?') for key in stray])}, not in {method}",
                expected="weights of the modules that the player lists",
                mend=f"list the module in {method}",
            )


@CHECKS.add
def gradients_reach_every_weight_of_the_player_whose_turn_it_is(case: Built) -> Iterator[Finding]:
    """A weight without a gradient is not trained: a module that is never called, or a detach too many. And D's turn
    must not reach G: its fakes come without a gradient, so whoever reaches G there made them anew."""
    gan = case.copy()
    batch = case.batch(gan)
    fake = without_gradient(gan, batch)
    turns = (
        ("D", gan.discriminators(), gan.d_objective(Logistic(), batch, fake)),
        ("G", gan.generators(), gan.g_objective(Logistic(), batch, gan.fake(batch))),
    )
    names = {id(p): name for name, p in gan.named_parameters()}
    for player, modules, terms in turns:
        weights = [p for module in modules for p in module.parameters() if p.requires_grad]
        idle = [names.get(id(p), "?") for p, g in zip(weights, gradients_of(terms, weights), strict=True) if g is None]
        if idle:
            yield Finding(
                seen=f"nothing in {player}'s turn depends on {some(idle)}",
                expected=f"a gradient for every weight of {player}",
                mend="call the module in fake() or matches(), or leave it out",
            )
    others = [p for module in gan.generators() for p in module.parameters() if p.requires_grad]
    if any(g is not None for g in gradients_of(turns[0][2], others)):
        yield Finding(
            seen="D's objective has gradients with respect to G's weights",
            expected="none",
            mend="work with the fakes that d_objective is given",
        )


@CHECKS.add
def weights_and_buffers_are_all_there_is(case: Built) -> Iterator[Finding]:
    """A checkpoint holds the state_dict and nothing else: what a module remembers otherwise is lost when a run is
    resumed. The averaged copy is made by deepcopy and shares the discriminators."""
    gan = case.copy()
    torch.manual_seed(99)
    twin = copy.deepcopy(case.again())
    file = BytesIO()
    torch.save(gan.state_dict(), file)
    file.seek(0)
    twin.load_state_dict(torch.load(file, weights_only=True))
    if not torch.equal(sampled(gan, case.batch(gan)), sampled(twin, case.batch(twin))):
        yield Finding(
            seen="two GANs with the same state_dict make different samples",
            expected="the same samples",
            mend="register what has to survive as a parameter or a buffer",
        )
    averaged = gan.averaged_copy()
    shared = {id(p) for p in flat(averaged.discriminator_params())} == {id(p) for p in flat(gan.discriminator_params())}
    if not shared or not torch.equal(sampled(gan, case.batch(gan)), sampled(averaged, case.batch(averaged))):
        yield Finding(
            seen="averaged_copy() is not the same G with the same D",
            expected="separate generators of the same weights, shared discriminators",
            mend="keep modules as attributes of the GAN; hold no generator in a closure",
        )


# -- sampling ----------------------------------------------------------------------------------------------------------


@CHECKS.add
def a_sample_depends_on_its_latent_alone(case: Built) -> Iterator[Finding]:
    """Samples are judged one by one: with G in eval mode a sample is the same whatever else is in its batch. In train
    mode batch normalisation would mix the batch, and dropout would draw."""
    gan = case.copy()
    batch = case.batch(gan)
    with torch.inference_mode(), in_eval_mode(gan):
        whole = gan.sample(batch)
        half = gan.sample(first_of(batch, SAMPLES // 2))
    gap = (whole[: SAMPLES // 2] - half).abs().max()
    if gap > 1e-4 * max(1.0, float(whole.abs().max())):
        yield Finding(
            seen=f"the same latents give samples {gap:.2g} apart in a batch of {SAMPLES} and in one of {SAMPLES // 2}",
            expected="the same samples",
            mend="do not call .train() in sample(); use running statistics; nothing that mixes samples in G",
        )


@CHECKS.add
def sampling_changes_nothing(case: Built) -> Iterator[Finding]:
    """Looking does not touch: a run that is looked at more often is the same run. Sampling moves no batch-norm
    statistic, no average and no module into another mode."""
    gan = case.copy()
    before = {name: value.clone() for name, value in gan.state_dict().items()}
    with torch.inference_mode(), in_eval_mode(gan):
        modes = [module.training for module in gan.modules()]
        gan.sample(case.batch(gan))
        now = [module.training for module in gan.modules()]
    changed = [name for name, value in gan.state_dict().items() if not same_values(value, before[name])]
    if changed:
        yield Finding(
            f"sample() changed {some(changed)}", "the same state before and after", "sample in eval mode as called"
        )
    if now != modes:
        yield Finding(
            "sample() switched modules between train and eval mode",
            "modes as they were",
            "leave .train() and .eval() to the core",
        )


@CHECKS.add
def sampling_draws_from_the_latent_stream_alone(case: Built) -> Iterator[Finding]:
    """Evaluation latents come from a stream of their own, shared by every combination of a seed. What sampling draws
    elsewhere makes scores unrepeatable and, from torch's default generator, comes out of the training's stream."""
    gan = case.copy()
    samples = []
    for seed in (1, 2):
        with seeded(seed):
            before = global_states()
            samples.append(sampled(gan, case.batch(gan)))
            drawn = moved(before)
    if drawn or not torch.equal(*samples):
        yield Finding(
            seen=f"sampling drew from {drawn}" if drawn else "samples change with the seed of the program",
            expected="samples that follow from latents, labels and sources",
            mend="draw with the generator that sample_latent is given; in eval mode use a fixed noise buffer",
        )


@CHECKS.add
def latents_follow_from_their_generator(case: Built) -> Iterator[Finding]:
    """The latent stream is stored in the checkpoint, and shared by every combination of a seed."""
    one, same, other = (case.gan.sample_latent(SAMPLES, rng(seed)) for seed in (1, 1, 2))
    if len(one) != SAMPLES or not torch.equal(one, same):
        yield Finding(
            seen=f"{len(one)} latents for {SAMPLES}"
            if len(one) != SAMPLES
            else "other latents under the same generator",
            expected=f"{SAMPLES} latents that the generator decides",
            mend="draw every latent with generator=rng",
        )
    elif torch.equal(one, other):
        yield Finding("the same latents for every seed", "latents drawn with rng", "draw with generator=rng")


CHECKS.extend(critic.CHECKS)
