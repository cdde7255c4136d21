"""Conformance checks of a trick: what it makes of sound players and sound losses."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganbench.contracts.arch import Lazy
from ganbench.contracts.loss import LossTraits
from ganbench.contracts.protocol import RecipeLayer, Training, resolve_recipe
from ganbench.contracts.trick import Player, Trick, Turn
from ganbench.errors import DataError, GanbenchError, ProtocolError, Unsupported, told
from ganbench.plugins.source import Source
from ganbench.testing import arch, critic
from ganbench.testing import loss as losses
from ganbench.testing.built import flat, reaches, some, total_of
from ganbench.testing.findings import Checks, Declined, Finding, Findings, first_in_each, raising
from ganbench.testing.given import made
from ganbench.testing.members import changing, misspelt
from ganbench.testing.probes import LossCase
from ganbench.testing.randomness import TORCH, replay, seeded
from ganbench.testing.stage import DATA, Stage, TrickCase
from ganbench.testing.toys import Logistic

CHECKS: Checks[TrickCase] = Checks("trick")
Given = Trick | str | Source | ModuleType | Callable[..., Trick]
PLAYERS: tuple[Player, ...] = ("D", "G")
NOT_ITS_DOING = ("normalisation-of-d-is-as-asked", "d-judges-each-sample-by-itself")
"""Checks of an arch that a trick may fail: normalising D, and comparing the samples of a batch, are tricks."""


def trick_findings(trick: Given, skip: Collection[str] = ()) -> Findings:
    """List everything wrong with a trick, without raising.

    It is tried on sound players for points and for images, and around sound losses; it may decline some of them.

    Args:
        trick: a trick; or an installed one's name (``"instance-noise:0.1"``), the module with the hook, or the hook.
        skip: names of checks that do not apply.

    Raises:
        ValueError: ``skip`` names a check that does not exist.
        PluginError: no trick is installed under that name, or it cannot be used.
        TypeError: a class was given.
    """
    subject = made("trick", trick)
    builder = subject.builder
    takes = builder is not None and "argument" in builder.takes
    ask = (lambda argument: builder(argument=argument)) if builder and takes else None
    return Findings(subject.title, CHECKS.run(TrickCase(subject.it, ask), skip, subject.turned))


check_trick = raising(trick_findings)
"""Raise one ``ConformanceError`` with everything wrong. The arguments are those of ``trick_findings``."""


def _stages(case: TrickCase) -> list[Stage]:
    return case.stages


in_each = first_in_each(_stages)


# -- the contract ------------------------------------------------------------------------------------------------------


@CHECKS.add_vital
def trick_is_of_the_contract(case: TrickCase) -> Iterator[Finding]:
    """A trick overrides the methods of ganbench.Trick that it needs; the others change nothing.

    d_norm says how D is built, in the same words that an arch is asked with.
    """
    if not isinstance(case.trick, Trick):
        yield Finding(f"a {type(case.trick).__name__}", "a ganbench.Trick", "derive the class from ganbench.Trick")
    elif case.trick.d_norm not in (None, "none", "spectral"):
        yield Finding(
            f"d_norm = {case.trick.d_norm!r}", '"none", "spectral", or None for no opinion', "use one of these words"
        )
    else:
        yield from misspelt(case.trick, [name for name in vars(Trick) if not name.startswith("_")])


@CHECKS.add_vital
def trick_acts_on_something(case: TrickCase) -> Iterator[Finding]:
    """A trick raises Unsupported, with a reason, for players, data and losses that it has no meaning for.

    One that declines both points and images, or every loss it is tried with, cannot be checked here.
    """
    if not case.stages:
        tried = " and ".join(map(str, DATA))
        yield Declined(f"Unsupported for {tried}", "players for one of them", "decline only what does not fit")
    if not case.losses:
        yield Declined("Unsupported for every loss", "an objective for one of them", "decline only what does not fit")


@CHECKS.add
def a_nonsense_argument_is_declined(case: TrickCase) -> Iterator[Finding]:
    """Users type what follows the colon.

    Unsupported tells them in a sentence what would work; any other exception looks like a broken plugin.
    """
    if case.ask is None:
        return
    try:
        case.ask("no/such thing")
    except (Unsupported, DataError):
        return
    except Exception as error:
        said = error.message if isinstance(error, GanbenchError) else told(error)
        yield Finding(
            seen=f"the argument 'no/such thing': {said}",
            expected="ganbench.Unsupported, which says what would work",
            mend='raise Unsupported(f"\'{argument}\' is not a number", "the default is 0.1")',
        )


@CHECKS.add
def recipe_is_of_the_contract(case: TrickCase) -> Iterator[Finding]:
    """A misspelt setting would stop the run after everything else was prepared."""
    training = Training(budget_kimg=1)
    given = case.trick.recipe(resolve_recipe(training, []).recipe)
    if not isinstance(given, Mapping):
        yield Finding(f"recipe() returned a {type(given).__name__}", "a mapping", 'return {"d_lr": recipe.lr * 4}')
        return
    try:
        resolve_recipe(training, [RecipeLayer("the trick", given)])
    except ProtocolError as error:
        yield Finding(str(error), "settings of ganbench.Recipe", "correct what recipe() returns")


# -- the loss ----------------------------------------------------------------------------------------------------------


@CHECKS.add
def loss_keeps_its_traits(case: TrickCase) -> Iterator[Finding]:
    """d_steps, d_norm, recipe and after_d_step belong to the loss.

    A wrapper without them plays WGAN with one D update and no clipping, under the name of WGAN.
    """
    for before, after in case.losses:
        kept = vars(LossTraits(after))
        for name, value in vars(LossTraits(before)).items():
            if kept[name] != value:
                yield Finding(
                    seen=f"{name} = {kept[name]!r} around a loss with {name} = {value!r}",
                    expected="the traits of the loss that it wraps",
                    mend="derive the wrapper from ganbench.LossAround, which copies them",
                    where=f"around {type(before).__name__}",
                )


@CHECKS.add
def loss_stays_sound(case: TrickCase) -> Iterator[Finding]:
    """What a trick makes of a sound loss passes the checks of a loss.

    It is finite where D is sure, has gradients for both players, and is not finite where D is not.
    """
    for before, after in case.losses:
        if after is not before:
            for finding in losses.CHECKS.run(LossCase(after), skip=("loss-survives-pickling",)):
                yield _inherited(finding, f"around {type(before).__name__}")


def _inherited(finding: Finding, where: str) -> Finding:
    """What a check of another kind found, as this kind reports it."""
    return replace(finding, seen=f"{finding.check}: {finding.seen}", where=where)


# -- the players -------------------------------------------------------------------------------------------------------


@CHECKS.add
def match_stays_differentiable(case: TrickCase) -> Iterator[Finding]:
    """Whatever a trick puts between samples and D must let gradients through.

    G learns through D's logits of its fakes, and a penalty differentiates D's logits twice with respect to the samples.
    So there is no detach, no no_grad and no rounding.
    """
    for stage in case.stages:
        for player in PLAYERS:
            shown = stage.matches(player)
            for real, fake, D in ((match.real, match.fake, match.D) for match in shown.matches):
                if real.shape[1:] != fake.shape[1:]:
                    seen = f"in {player}'s turn reals are {tuple(real.shape)} and fakes are {tuple(fake.shape)}"
                    yield Finding(seen, "samples of one shape", "treat both alike", where=str(stage))
                    return
                if not _slope(D, real):
                    yield Finding(
                        seen=f"in {player}'s turn D has no gradient with respect to its samples",
                        expected="a gradient: G learns through it, and so do penalties",
                        mend="use no detach, no no_grad and no rounding on what D is shown",
                        where=str(stage),
                    )
                    return
                if player == "G" and not reaches(D(fake), flat(shown.gan.generator_params())):
                    yield Finding(
                        seen="in G's turn D's logits of the fakes do not depend on G",
                        expected="a gradient for G",
                        mend="do not detach match.fake",
                        where=str(stage),
                    )
                    return
        for finding in critic.d_can_be_differentiated_twice(replace(stage.built, judges_alone=True)):
            yield replace(finding, where=str(stage))


def _slope(D: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Whether D's logits have a gradient with respect to the samples."""
    x = x.detach().clone().requires_grad_(True)
    return reaches(D(x), [x])


@CHECKS.add
@in_each
def g_objective_is_made_of_named_terms(case: TrickCase, stage: Stage) -> Iterator[Finding]:
    """Terms are added up, watched one by one for the first NaN, and averaged into the history under their names.

    So g_objective() returns a mapping of scalars, each of which may be Lazy.
    """
    gan = stage.built.copy()
    batch = stage.built.batch(gan)
    terms = gan.g_objective(Logistic(), batch, gan.fake(batch))
    seen = "" if isinstance(terms, Mapping) and terms else f"g_objective() returned {terms!r}"
    for name, term in {} if seen else terms.items():
        value = term.compute() if isinstance(term, Lazy) else term
        if not isinstance(value, Tensor) or value.shape != () or not value.isfinite():
            seen = f"the term {name!r} is {tuple(value.shape) if isinstance(value, Tensor) else value!r}"
    if seen:
        yield Finding(
            seen=seen,
            expected="a mapping of names to finite scalars",
            mend='return {**objective(), "my_term": ...mean()}',
        )


@CHECKS.add
def players_stay_sound(case: TrickCase) -> Iterator[Finding]:
    """What a trick makes of sound players passes the checks of an arch.

    These are of shapes, owners of weights, gradients, what a checkpoint holds, sampling and divergence. D's
    normalisation is up to the trick, and so is whether D compares the samples of a batch.
    """
    for stage in case.stages:
        for finding in arch.CHECKS.run(stage.built, skip=NOT_ITS_DOING):
            yield _inherited(finding, str(stage))


@CHECKS.add
@in_each
def a_turn_moves_no_weight(case: TrickCase, stage: Stage) -> Iterator[Finding]:
    """Only optimisers move weights, once in a player's turn.

    A trick may look at weights and copy them, but leaves them, their gradients and the batch as they were.
    """
    for player in PLAYERS:
        gan = stage.built.copy()
        before_it = stage.turn(player, gan)
        for optimizer in (before_it.optimizer_d, before_it.optimizer_g):
            _step(optimizer)
        turn = stage.turn(player, gan)
        before = _everything(turn)
        play = gan.d_objective if player == "D" else gan.g_objective
        play(Logistic(), turn.batch, turn.fake)
        now = _everything(turn)
        changed = [name for name, value in before.items() if not torch.equal(value, now.get(name, torch.empty(0)))]
        changed += [name for name in now if name not in before]
        if changed:
            yield Finding(
                seen=f"in {player}'s turn it changed {some(changed)}",
                expected="weights, gradients, optimisers and the batch as they were",
                mend="work on copies (torch.func.functional_call plays with other weights), without .backward()",
            )


def _step(optimizer: Optimizer) -> None:
    """A small step, so that the optimiser has something to remember."""
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = torch.full_like(p, 1e-3)
    optimizer.step()
    optimizer.zero_grad()


def _everything(turn: Turn) -> dict[str, Tensor]:
    """Copies of everything that a turn must leave alone, by name."""
    found: dict[str, Tensor] = dict(turn.gan.named_parameters())
    found |= {f"the gradient of {name}": p.grad for name, p in turn.gan.named_parameters() if p.grad is not None}
    found |= {f"batch.{name}": value for name, value in vars(turn.batch).items() if isinstance(value, Tensor)}
    for whose, optimizer in (("D", turn.optimizer_d), ("G", turn.optimizer_g)):
        for place, state in optimizer.state_dict()["state"].items():
            found |= {f"{name} {place} of {whose}'s optimiser": value for name, value in state.items()}
        for group in optimizer.param_groups:
            found[f"the learning rate of {whose}"] = torch.tensor(group["lr"])
    return {name: value.detach().clone() for name, value in found.items()}


@CHECKS.add
@in_each
def gradients_are_changed_in_place(case: TrickCase, stage: Stage) -> Iterator[Finding]:
    """gradients() runs between the backward pass and the optimiser's step.

    It changes p.grad in place, and no weight. A NaN among the gradients stays one, however they are scaled, clipped or
    cleaned: it shows that a run has diverged.
    """
    gan = stage.built.copy()
    for player in PLAYERS:
        params = flat(gan.discriminator_params() if player == "D" else gan.generator_params())
        for lost in (False, True):
            for p in params:
                p.grad = torch.randn_like(p)
            if lost:
                params[0].grad.view(-1)[0] = math.nan  # type: ignore[union-attr]  # set just now
            given, weights = [p.grad for p in params], [p.detach().clone() for p in params]
            case.trick.gradients(params, player)
            seen = _spoilt(params, given, weights, lost)
            if seen:
                yield Finding(
                    seen=f"gradients() for {player} {seen}",
                    expected="p.grad changed in place, weights as they were, and a NaN still NaN",
                    mend="use p.grad.mul_(...), p.grad.clamp_(...) or clip_grad_norm_, and no nan_to_num",
                )


def _spoilt(
    params: Sequence[nn.Parameter], given: Sequence[Tensor | None], weights: Sequence[Tensor], lost: bool
) -> str:
    if any(not torch.equal(p, was) for p, was in zip(params, weights, strict=True)):
        return "changed weights"
    if any(p.grad is not was for p, was in zip(params, given, strict=True)):
        return "replaced p.grad with other tensors (or None)"
    finite = all(p.grad is None or bool(p.grad.isfinite().all()) for p in params)
    if lost and finite:
        return "turned a NaN into finite numbers"
    return "turned finite gradients into NaN or infinity" if not lost and not finite else ""


# -- repeatable --------------------------------------------------------------------------------------------------------


@CHECKS.add
@in_each
def random_numbers_come_from_torchs_default_generator(case: TrickCase, stage: Stage) -> Iterator[Finding]:
    """The core seeds torch's default generator for tricks and stores its state in the checkpoint.

    Drawing elsewhere makes a repeated or resumed run a different run.
    """
    again = partial(replay, partial(_played, stage), allowed=TORCH)
    one, same, other = again(1, torch_seed=1), again(2, torch_seed=1), again(1, torch_seed=2)
    seen = ""
    if one.drew:
        seen = f"the trick drew from {one.drew}"
    elif not torch.equal(one.value, same.value):
        seen = f"the same turns under the same seed gave {one.value.tolist()} and then {same.value.tolist()}"
    elif one.torch_state == other.torch_state:
        seen = "the trick seeds torch's default generator"
    if seen:
        yield Finding(
            seen=seen,
            expected="draws from torch's default generator, and nothing else",
            mend="use torch.rand and the like, without generator= and without manual_seed",
        )


@CHECKS.add
def trick_keeps_nothing_between_calls(case: TrickCase) -> Iterator[Finding]:
    """No checkpoint holds a trick.

    What it counts, averages or keeps from a batch is lost when a run is resumed, which then ends with different bits.
    What has to last belongs in a buffer of the networks.
    """
    try:
        twin = copy.deepcopy(case.trick)
    except Exception as error:
        yield Finding(
            seen=f"copy.deepcopy fails: {told(error)}",
            expected="a trick that can be copied: settings and nothing else",
            mend="keep generators, modules and open files out of it",
        )
        return
    for stage in case.stages:
        with seeded(0):
            fresh = Stage(twin, stage.data)
        _played(stage, seed=2)
        played = []
        for one in (stage, fresh):
            with seeded(1):
                played.append(_played(one, seed=3))
        if not torch.equal(*played):
            yield Finding(
                seen=f"a batch gives {played[0].tolist()} after another one, and {played[1].tolist()} as the first",
                expected="the same",
                mend="take what changes from turn.progress and turn.batch.step; keep the rest in buffers",
                where=str(stage),
            )
            return
        reals = [stage.matches("D", seed).matches[0].real for seed in (2, 3)]
        if torch.equal(*reals):
            seen = "D is shown the same reals for two batches"
            yield Finding(seen, "the reals of the batch", "keep no batch in the trick", where=str(stage))
            return
        kept = changing(case.trick, partial(_used, case.trick, stage))
        if kept:
            yield Finding(
                seen=f"{', '.join(kept)} changes with every turn",
                expected="attributes that stay as they are",
                mend="take what changes from turn.progress and turn.batch.step; keep the rest in buffers",
                where=str(stage),
            )
            return


def _used(trick: Trick, stage: Stage) -> None:
    """Every method that a turn calls, once for each player."""
    _played(stage)
    for player in PLAYERS:
        weight = nn.Parameter(torch.ones(3))
        weight.grad = torch.ones(3)
        trick.gradients([weight], player)


def _played(stage: Stage, seed: int = 1) -> Tensor:
    """What D and G minimise under the trick, on fresh players."""
    values = []
    gan = stage.built.copy()
    for player in PLAYERS:
        turn = stage.turn(player, gan, seed)
        objective = gan.d_objective if player == "D" else gan.g_objective
        values.append(total_of(objective(Logistic(), turn.batch, turn.fake)))
    return torch.stack(values).detach()
