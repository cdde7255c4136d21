"""Conformance checks of an architecture: what it builds, and the shapes of its samples. ``critic.py`` checks its D."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial
from types import ModuleType

import torch
from torch import Tensor

from ganbench.contracts.arch import GAN, normalisation
from ganbench.contracts.data import DataSpec
from ganbench.contracts.protocol import RecipeLayer, Training, resolve_recipe
from ganbench.device.untouched import in_eval_mode
from ganbench.errors import ProtocolError, Unsupported, told
from ganbench.plugins.source import Source
from ganbench.testing import critic, sampling, switches, training
from ganbench.testing.built import SAMPLES, Built, flat, sampled, some, without_gradient
from ganbench.testing.findings import Checks, Declined, Finding, Findings, raising
from ganbench.testing.given import Builder
from ganbench.testing.randomness import replay, seeded

CHECKS: Checks[Built] = Checks("arch")

EXAMPLES = {
    "points": (DataSpec((2,), bounded=False),),
    "audio": (DataSpec((1, 1024)), DataSpec((1, 16384))),
    "images": tuple(DataSpec((c, s, s), classes=10) for s in (16, 32, 64, 28, 128) for c in (3, 1)),
    "video": (DataSpec((3, 8, 16, 16)), DataSpec((1, 8, 16, 16)), DataSpec((3, 16, 64, 64))),
    "translation": tuple(DataSpec((1, s, s), source=(1, s, s)) for s in (16, 64)),
}
"""The default data: of each kind, the first that the arch does not decline is used."""

WISHES = (None, "none", "spectral")

Build = str | Source | ModuleType | Callable[..., GAN]


def arch_findings(
    build: Build,
    data: DataSpec | None = None,
    *,
    width: int = 8,
    z_dim: int = 8,
    skip: Collection[str] = (),
) -> Findings:
    """List everything wrong with an architecture, without raising.

    The arch is built once for each normalisation of D that a loss can require. A finding shared by several of them is
    reported once.

    Args:
        build: an installed arch's name, the module with the hook, the hook, or a function that takes any of ``data``,
            ``d_norm``, ``width`` and ``z_dim`` (or nothing) and returns a ``GAN``.
        data: the data to build it for; by default, ``EXAMPLES`` of every kind.
        width: width of the networks, as a protocol would set it, but small.
        z_dim: dimension of the latents, likewise.
        skip: names of checks that do not apply.

    Raises:
        ValueError: ``skip`` names a check that does not exist.
        PluginError: no arch is installed under that name, or it cannot be used.
    """
    CHECKS.refuse_unknown(skip)
    builder = Builder("arch", build)
    kinds = EXAMPLES.values() if data is None else [(data,)]
    found: list[Finding] = []
    fits = False
    for specs in kinds:
        for spec in specs:
            cases = list(cases_of(builder, spec, width, z_dim))
            for where, case in cases:
                new = [case] if isinstance(case, Finding) else CHECKS.run(case, skip)
                known = {finding.check for finding in found}
                found += [replace(f, where=where) for f in new if f.check not in known and f.check not in skip]
            if cases:
                fits = True
                break
    return Findings(builder.title, found if fits else [_declined_everything(data)])


check_arch = raising(arch_findings)
"""Raise one ``ConformanceError`` with everything wrong. The arguments are those of ``arch_findings``."""


# -- building ----------------------------------------------------------------------------------------------------------


def cases_of(build: Builder, data: DataSpec, width: int, z_dim: int) -> Iterator[tuple[str, Built | Finding]]:
    """(what was requested, what was built), for every normalisation of D that the arch does not decline."""
    takes_wish = "d_norm" in build.takes
    for wish in WISHES if takes_wish else (None,):
        again = partial(build, data=data, d_norm=wish, width=width, z_dim=z_dim)
        where = f"{data}, d_norm = {wish!r}" if takes_wish else str(data)
        try:
            with seeded(0), switches.switches_kept() as changed:
                gan = again()
        except Unsupported:
            continue
        except Exception as error:
            yield where, _broken(f"building fails: {told(error)}")
            continue
        yield from ((where, finding) for finding in switches.findings_of(changed))
        if not isinstance(gan, GAN):
            yield where, _broken(f"it returned a {type(gan).__name__}")
            continue
        # an arch without d_norm works with every loss, unless the core finds a batch norm and declines
        silent = not takes_wish and "batch" not in normalisation(gan.discriminators())
        yield where, Built(gan, data, wish, wish == "none" or silent, again)


def _broken(seen: str) -> Finding:
    return Finding(
        seen=seen,
        expected="a ganbench.GAN, or Unsupported with a reason",
        mend='raise Unsupported("needs 2-D images") for data, or a normalisation, that does not fit',
        check="builds",
        why="A run says in one sentence what it cannot build. Any other exception looks like a broken plugin.",
    )


def _declined_everything(data: DataSpec | None) -> Finding:
    tried = str(data) if data is not None else ", ".join(str(spec) for specs in EXAMPLES.values() for spec in specs)
    return Declined(
        seen=f"Unsupported for {tried}",
        expected="a GAN for at least one of them",
        mend="name data that the arch supports, as in check_arch(build, data=DataSpec(...))",
        check="arch-fits-some-data",
        why="Nothing was built, so nothing was checked.",
    )


# -- the contract ------------------------------------------------------------------------------------------------------


@CHECKS.add_vital
def samples_and_logits_have_the_shapes_of_the_contract(case: Built) -> Iterator[Finding]:
    """G makes x[B, *shape], in [-1, 1] if the data are bounded.

    D gives each sample, real or fake, one logit: logit[B]. Combining logits of shapes [B, 1] and [B] broadcasts to
    [B, B] without an error.
    """
    gan = case.copy()
    with torch.inference_mode(), in_eval_mode(gan):
        x = gan.sample(case.batch(gan))
    expected = (SAMPLES, *case.data.shape)
    if tuple(x.shape) != expected or not x.is_floating_point():
        yield Finding(
            seen=f"sample() returned shape {tuple(x.shape)} in {x.dtype}",
            expected=f"shape {expected} in floating point",
            mend="build G for data.shape",
        )
    elif not x.isfinite().all():
        yield Finding("the samples of an untrained G are not finite", "finite ones", "check G's initialisation")
    elif case.data.bounded and x.abs().max() > 1:
        yield Finding(
            seen=f"samples from {x.min():.3g} to {x.max():.3g}",
            expected="[-1, 1], since the data are bounded",
            mend="end G in tanh if data.bounded",
        )
    for place, match in enumerate(case.matches(gan)):
        for whose, shown in (("real", match.real), ("fake", match.fake)):
            said = match.D(shown)
            if tuple(said.shape) != (len(shown),) or not said.isfinite().all():
                yield Finding(
                    seen=f"match {place}: D returns {tuple(said.shape)} for {whose} samples {tuple(shown.shape)}",
                    expected=f"finite logits of shape {(len(shown),)}",
                    mend="end D in nn.Flatten(0), or a mean over a map of logits",
                )


@CHECKS.add
def a_single_sample_is_a_batch_too(case: Built) -> Iterator[Finding]:
    """The last chunk of an evaluation may hold a single sample, and a protocol may set batch = 1.

    squeeze() drops the batch dimension along with the others, and a loss then gets a number where it expects logits.
    """
    gan = case.copy()
    one = case.batch(gan, n=1)
    shape = tuple(sampled(gan, one).shape)
    if shape != (1, *case.data.shape):
        yield Finding(f"one sample has shape {shape}", f"{(1, *case.data.shape)}", "no squeeze() without a dimension")
    try:
        said = [match.D(match.real) for match in gan.matches(one, without_gradient(gan, one))]
    except Exception:  # an error is acceptable: batch normalisation needs two samples
        return
    for place, logit in enumerate(said):
        if tuple(logit.shape) != (1,):
            yield Finding(
                seen=f"match {place}: D returns {tuple(logit.shape)} for a single sample",
                expected="a logit of shape (1,)",
                mend="end D in nn.Flatten(0) or squeeze(1), not in squeeze()",
            )


@CHECKS.add
def recipe_is_of_the_contract(case: Built) -> Iterator[Finding]:
    """A misspelt setting would stop the run only after everything else was prepared."""
    try:
        resolve_recipe(Training(budget_kimg=1), [RecipeLayer("the arch", case.gan.recipe)])
    except ProtocolError as error:
        yield Finding(str(error), "settings of ganbench.Recipe", "correct the recipe")


@CHECKS.add
def the_same_seed_builds_the_same_weights(case: Built) -> Iterator[Finding]:
    """The core seeds torch's default generator for each run.

    Weights must be drawn from it alone, so that the same seed gives the same run, bit for bit.
    """

    def build() -> dict[str, Tensor]:
        return {name: value.clone() for name, value in case.again().state_dict().items()}

    one, other = (replay(build, seed, torch_seed=7).value for seed in (1, 2))
    differ = [name for name, value in one.items() if not torch.equal(value, other[name])]
    if differ:
        yield Finding(
            seen=f"{differ[0]} differs between two builds with the same seed",
            expected="the same weights",
            mend="draw weights with torch's default generator only",
        )


@CHECKS.add
def every_weight_belongs_to_one_player(case: Built) -> Iterator[Finding]:
    """A weight that no optimiser owns is never trained.

    A weight that both own is updated for both objectives. A weight that G owns outside generators() is neither averaged
    nor used for sampling.
    """
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
            expected="every weight to be owned by G's or D's optimiser",
            mend="list its module in generators() or discriminators(), or make it a buffer",
        )
    shared = owned["G"] & owned["D"]
    if shared:
        yield Finding(
            f"both optimisers own {some([names.get(key, '?') for key in shared])}",
            "one owner",
            "give each player its own",
        )
    for player, method in (("G", "generators()"), ("D", "discriminators()")):
        stray = owned[player] - within[player]
        if stray:
            yield Finding(
                seen=f"{player}'s optimiser owns {some([names.get(key, '?') for key in stray])}, outside {method}",
                expected="only weights of the modules that the player lists",
                mend=f"list the module in {method}",
            )


for others in (training, sampling, critic):
    CHECKS.extend(others.CHECKS)
