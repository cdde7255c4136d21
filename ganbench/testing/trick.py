"""Conformance checks of a trick, applied to correct players and losses."""

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
"""Checks of an arch that a trick may fail, because tricks may normalise D or compare the samples of a batch."""


def trick_findings(trick: Given, skip: Collection[str] = ()) -> Findings:
    """List everything wrong with a trick, without raising.

    The trick is applied to correct players for points and images, and to correct losses; it may decline some of them.

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

    d_norm says how D is built, with the same values that an arch receives.
    """
    if not isinstance(case.trick, Trick):
        yield Finding(f"a {type(case.trick).__name__}", "a ganbench.Trick", "derive the class from ganbench.Trick")
    elif case.trick.d_norm not in (None, "none", "spectral"):
        yield Finding(
            f"d_norm = {case.trick.d_norm!r}", '"none", "spectral", or None for either', "use one of these words"
        )
    else:
        yield from misspelt(case.trick, [name for name in vars(Trick) if not name.startswith("_")])


@CHECKS.add_vital
def trick_acts_on_something(case: TrickCase) -> Iterator[Finding]:
    """A trick must raise Unsupported, with a reason, for players, data and losses to which it does not apply.

    A trick that declines both points and images, or every loss, cannot be checked here.
    """
    if not case.stages:
        tried = " and ".join(map(str, DATA))
        yield Declined(f"Unsupported for {tried}", "players for one of them", "decline only what does not fit")
    if not case.losses:
        yield Declined("Unsupported for every loss", "an objective for one of them", "decline only what does not fit")


@CHECKS.add
def a_nonsense_argument_is_declined(case: TrickCase) -> Iterator[Finding]:
    """Users type the argument after the colon.

    Unsupported tells them what would work; any other exception looks like a broken plugin.
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
    """A misspelt setting would stop the run only after everything else was prepared."""
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

    A wrapper without them would run WGAN with one D update and no clipping, but still call it WGAN.
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
    """A correct loss must still pass the checks of a loss after a trick has changed it.

    It must be finite where D is sure, have gradients for both players, and not be finite where D is not.
    """
    for before, after in case.losses:
        if after is not before:
            for finding in losses.CHECKS.run(LossCase(after), skip=("loss-survives-pickling",)):
                yield _inherited(finding, f"around {type(before).__name__}")


def _inherited(finding: Finding, where: str) -> Finding:
    """A finding of another kind's check, in the form of this kind."""
    return replace(finding, seen=f"{finding.check}: {finding.seen}", where=where)


# -- the players -------------------------------------------------------------------------------------------------------


@CHECKS.add
def match_stays_differentiable(case: TrickCase) -> Iterator[Finding]:
    """Whatever a trick inserts between samples and D must let gradients through.

    G learns through D's logits of its fakes, and a penalty differentiates D's logits twice with respect to the samples,
    so detach, no_grad and rounding are not allowed.
    """
    for stage in case.stages:
        for player in PLAYERS:
            shown = stage.matches(player)
            for real, fake, D in ((match.real, match.fake, match.D) for match in shown.matches):
                if real.shape[1:] != fake.shape[1:]:
                    seen = f"in {player}'s update, real samples are {tuple(real.shape)}, fakes are {tuple(fake.shape)}"
                    yield Finding(seen, "samples of one shape", "treat both in the same way", where=str(stage))
                    return
                if not _slope(D, real):
                    yield Finding(
                        seen=f"in {player}'s update, D has no gradient with respect to its samples",
                        expected="a gradient, which G and penalties need",
                        mend="do not use detach, no_grad or rounding on D's inputs",
                        where=str(stage),
                    )
                    return
                if player == "G" and not reaches(D(fake), flat(shown.gan.generator_params())):
                    yield Finding(
                        seen="in G's update, D's logits of the fakes do not depend on G",
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
    """Terms are summed, monitored one by one for the first NaN, and averaged into the history under their names.

    So g_objective() must return a mapping of scalars, each of which may be Lazy.
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
    """Correct players must still pass the checks of an arch after a trick has changed them.

    These cover shapes, ownership of weights, gradients, checkpoints, sampling and divergence. A trick may change D's
    normalisation, and make D compare the samples of a batch.
    """
    for stage in case.stages:
        for finding in arch.CHECKS.run(stage.built, skip=NOT_ITS_DOING):
            yield _inherited(finding, str(stage))


@CHECKS.add
@in_each
def a_turn_moves_no_weight(case: TrickCase, stage: Stage) -> Iterator[Finding]:
    """Only optimisers may change weights, once per update of a player.

    A trick may read and copy weights, but must leave them, their gradients and the batch unchanged.
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
                seen=f"in {player}'s update, it changed {some(changed)}",
                expected="unchanged weights, gradients, optimisers and batch",
                mend="work on copies (torch.func.functional_call takes other weights), without .backward()",
            )


def _step(optimizer: Optimizer) -> None:
    """Take a small step, so that the optimiser has state."""
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = torch.full_like(p, 1e-3)
    optimizer.step()
    optimizer.zero_grad()


def _everything(turn: Turn) -> dict[str, Tensor]:
    """Copies of everything that an update must leave unchanged, by name."""
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

    It must change p.grad in place, and no weight. A NaN among the gradients must stay a NaN, however they are scaled or
    clipped, because it shows that a run has diverged.
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
                    expected="p.grad changed in place, unchanged weights, and NaN kept as NaN",
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

    After draws from elsewhere, a repeated or resumed run differs from the original.
    """
    again = partial(replay, partial(_played, stage), allowed=TORCH)
    one, same, other = again(1, torch_seed=1), again(2, torch_seed=1), again(1, torch_seed=2)
    seen = ""
    if one.drew:
        seen = f"the trick drew from {one.drew}"
    elif not torch.equal(one.value, same.value):
        seen = f"the same updates under the same seed gave {one.value.tolist()} and then {same.value.tolist()}"
    elif one.torch_state == other.torch_state:
        seen = "the trick seeds torch's default generator"
    if seen:
        yield Finding(
            seen=seen,
            expected="draws from torch's default generator only",
            mend="use torch.rand and the like, without generator= and without manual_seed",
        )


@CHECKS.add
def trick_keeps_nothing_between_calls(case: TrickCase) -> Iterator[Finding]:
    """Checkpoints do not store tricks.

    Anything that a trick counts, averages or keeps from a batch is lost when a run is resumed, which then ends with
    different bits. Persistent state belongs in a buffer of the networks.
    """
    try:
        twin = copy.deepcopy(case.trick)
    except Exception as error:
        yield Finding(
            seen=f"copy.deepcopy fails: {told(error)}",
            expected="a trick that can be copied, with settings only",
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
                seen=f"a batch gives {played[0].tolist()} after another batch, but {played[1].tolist()} as the first",
                expected="the same",
                mend="use turn.progress and turn.batch.step for changing values; keep the rest in buffers",
                where=str(stage),
            )
            return
        reals = [stage.matches("D", seed).matches[0].real for seed in (2, 3)]
        if torch.equal(*reals):
            seen = "D is shown the same real samples for two batches"
            yield Finding(seen, "the real samples of the batch", "keep no batch in the trick", where=str(stage))
            return
        kept = changing(case.trick, partial(_used, case.trick, stage))
        if kept:
            yield Finding(
                seen=f"{', '.join(kept)} changes with every update",
                expected="attributes that stay the same",
                mend="use turn.progress and turn.batch.step for changing values; keep the rest in buffers",
                where=str(stage),
            )
            return


def _used(trick: Trick, stage: Stage) -> None:
    """Call every method that an update calls, once for each player."""
    _played(stage)
    for player in PLAYERS:
        weight = nn.Parameter(torch.ones(3))
        weight.grad = torch.ones(3)
        trick.gradients([weight], player)


def _played(stage: Stage, seed: int = 1) -> Tensor:
    """The objectives of D and G under the trick, for new players."""
    values = []
    gan = stage.built.copy()
    for player in PLAYERS:
        turn = stage.turn(player, gan, seed)
        objective = gan.d_objective if player == "D" else gan.g_objective
        values.append(total_of(objective(Logistic(), turn.batch, turn.fake)))
    return torch.stack(values).detach()
