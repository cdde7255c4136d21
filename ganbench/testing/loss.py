"""Conformance checks of a loss: the game that it defines. Checks of its penalty are in ``penalty.py``."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Iterator
from functools import partial
from types import ModuleType

import torch
from torch import Tensor, nn

from ganbench.contracts.loss import Loss, LossTraits
from ganbench.contracts.protocol import RecipeLayer, Training, resolve_recipe
from ganbench.errors import ProtocolError
from ganbench.plugins.source import Source
from ganbench.testing import penalty
from ganbench.testing.built import reaches
from ganbench.testing.device import clashes
from ganbench.testing.findings import Checks, Finding, Findings, raising, scalar
from ganbench.testing.games import FORMS, at, departures, fake_half, fit_logistic, real_half
from ganbench.testing.given import made
from ganbench.testing.members import changing, misspelt, unpickled
from ganbench.testing.probes import FAKE, REAL, LossCase, Told, carrying, small_critic
from ganbench.testing.randomness import TORCH, replay, seeded

CHECKS: Checks[LossCase] = Checks("loss")
Given = Loss | str | Source | ModuleType | Callable[..., Loss]

SHAPES = {"points": (2,), "audio": (1, 16), "images": (3, 8, 8), "video": (3, 4, 4, 4)}


def loss_findings(loss: Given, like: str = "", skip: Collection[str] = ()) -> Findings:
    """List everything wrong with a loss, without raising.

    Args:
        loss: what ``ganbench_loss`` returns; or an installed loss's name, the module with the hook, or the hook.
        like: the textbook game that it claims to be (a key of ``games.FORMS``), apart from penalties; "" for none.
        skip: names of checks that do not apply.

    Raises:
        ValueError: ``like`` or ``skip`` names something that does not exist.
        PluginError: no loss is installed under that name, or it cannot be used.
        TypeError: a class was given.
    """
    if like and like not in FORMS:
        raise ValueError(f"no textbook loss is called {like!r}; choose from {', '.join(FORMS)}")
    subject = made("loss", loss)
    return Findings(subject.title, CHECKS.run(LossCase(subject.it, like), skip, subject.turned))


check_loss = raising(loss_findings)
"""Raise one ``ConformanceError`` with everything wrong. The arguments are those of ``loss_findings``."""


# -- the contract ------------------------------------------------------------------------------------------------------


@CHECKS.add_vital
def loss_plays_on_every_kind_of_data(case: LossCase) -> Iterator[Finding]:
    """A loss must work with every arch, so it may assume nothing about samples except the batch dimension.

    Both objectives must be scalars, and finite for a newly initialised critic.
    """
    for kind, shape in SHAPES.items():
        critic = small_critic(math.prod(shape))
        real, fake = torch.randn(4, *shape), torch.randn(4, *shape)
        for name, play in (("d_loss", case.loss.d_loss), ("g_loss", case.loss.g_loss)):
            value = play(critic, real, fake)
            if not isinstance(value, Tensor) or value.shape != () or not value.isfinite():
                single = isinstance(value, Tensor) and value.shape == ()
                seen = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) and value.shape else repr(value)
                yield Finding(
                    seen=f"{name} returned {seen} for {kind}",
                    expected="a tensor with a single finite number",
                    mend="look for a logarithm or a root of 0, or a division by 0"
                    if single
                    else "end the objective in .mean() over the samples",
                    where=kind,
                )
                return


@CHECKS.add
def attributes_are_of_the_contract(case: LossCase) -> Iterator[Finding]:
    """d_steps, d_norm, recipe and after_d_step determine how D is built and trained.

    A misspelt one would silently give a different row of the table, or stop a run after everything else was prepared.
    """
    traits = LossTraits(case.loss)
    if not isinstance(traits.d_steps, int) or isinstance(traits.d_steps, bool) or traits.d_steps < 1:
        yield Finding(
            f"d_steps = {traits.d_steps!r}", "a whole number of at least 1", "set it to the D updates per G update"
        )
    if traits.d_norm not in (None, "none", "spectral"):
        yield Finding(
            f"d_norm = {traits.d_norm!r}", '"none", "spectral", or None for no requirement', "use one of these words"
        )
    yield from misspelt(case.loss, [*vars(traits), "d_loss", "g_loss"])
    if traits.after_d_step is not None and not callable(traits.after_d_step):
        yield Finding("after_d_step is not callable", "a method (discriminators) -> None", "make it a method")
    try:
        resolve_recipe(Training(budget_kimg=1), [RecipeLayer("the loss", traits.recipe)])
    except ProtocolError as error:
        yield Finding(str(error), "settings of ganbench.Recipe", "correct the recipe")


@CHECKS.add
def loss_survives_pickling(case: LossCase) -> Iterator[Finding]:
    """A loss is sent to worker processes, which must use exactly the same one."""
    twin = unpickled(case.loss, "loss")
    if isinstance(twin, Finding):
        yield twin
        return
    critic, real, fake = Told(), carrying(0.3, REAL), carrying(-0.2, FAKE)
    with seeded(1):
        ours = case.loss.d_loss(critic, real, fake)
    with seeded(1):
        theirs = twin.d_loss(critic, real, fake)
    if not torch.equal(ours, theirs):
        yield Finding(
            f"d_loss is {scalar(ours):.6g}, after pickling {scalar(theirs):.6g}",
            "the same value",
            "keep every setting in the object",
        )


@CHECKS.add
def random_numbers_come_from_torchs_default_generator(case: LossCase) -> Iterator[Finding]:
    """The core seeds torch's default generator for the loss and stores its state in the checkpoint.

    If a loss draws elsewhere, or keeps state between calls, a repeated or resumed run differs from the original.
    """
    critic, real, fake = small_critic(6), torch.randn(4, 6), torch.randn(4, 6)

    def play() -> float:
        return scalar(case.loss.d_loss(critic, real, fake) + case.loss.g_loss(critic, real, fake))

    again = partial(replay, play, allowed=TORCH)
    one, same, other = again(1, torch_seed=1), again(2, torch_seed=1), again(1, torch_seed=2)
    if one.drew:
        yield Finding(
            f"the loss drew from {one.drew}", "torch's default generator only", "draw with torch.rand and the like"
        )
    elif one.value != same.value:
        yield Finding(
            seen=f"the same batch under the same seed gave {one.value:.8g} and then {same.value:.8g}",
            expected="the same value, without other random numbers or state between calls",
            mend="draw with torch.rand and the like, without your own generator, and keep no running averages",
        )
    kept = changing(case.loss, lambda: _used(case.loss, critic, real, fake))
    if kept:
        yield Finding(
            seen=f"{', '.join(kept)} changes with every call",
            expected="a loss without state, because checkpoints do not store it",
            mend="keep no counters and no running averages",
        )
    if one.torch_state == other.torch_state:
        yield Finding(
            "the loss seeds torch's default generator",
            "a loss that only draws from it",
            "remove manual_seed from the loss",
        )


def _used(loss: Loss, critic: nn.Module, real: Tensor, fake: Tensor) -> None:
    """Call everything that training calls, once."""
    loss.d_loss(critic, real, fake)
    after_d_step = LossTraits(loss).after_d_step
    if callable(after_d_step):
        after_d_step([copy.deepcopy(critic)])
    loss.g_loss(critic, real, fake)


@CHECKS.add
def gradients_reach_the_right_player(case: LossCase) -> Iterator[Finding]:
    """D learns from d_loss through its weights, and G learns from g_loss through its samples.

    A detach in the wrong place stops a player without any error. A loss that changes its samples, or their
    requires_grad, spoils the next match.
    """
    critic, real, fake = small_critic(6), torch.randn(4, 6), torch.randn(4, 6)
    kept = real.clone(), fake.clone()
    d_loss = case.loss.d_loss(critic, real, fake)
    if any(p.grad is not None for p in critic.parameters()):
        yield Finding(
            "d_loss left gradients in D's weights", "no gradients left behind", "leave .backward() to the core"
        )
    if real.requires_grad or fake.requires_grad or not torch.equal(real, kept[0]) or not torch.equal(fake, kept[1]):
        yield Finding(
            seen="d_loss changed the samples it was given (their values or their requires_grad)",
            expected="unchanged samples",
            mend="work on a copy, x.detach().requires_grad_(True), without in-place operations",
        )
    if not reaches(d_loss, list(critic.parameters())):
        yield Finding(
            "d_loss has no gradient with respect to D's weights",
            "a gradient",
            "call D on the samples without detach or no_grad",
        )
    shown = torch.randn(4, 6, requires_grad=True)
    if not reaches(case.loss.g_loss(critic.requires_grad_(False), real, shown), [shown]):
        yield Finding(
            "g_loss has no gradient with respect to the fakes", "a gradient", "do not detach the fakes in g_loss"
        )


@CHECKS.add
def loss_is_a_mean_over_samples(case: LossCase) -> Iterator[Finding]:
    """Batch sizes differ between protocols.

    With a sum or a norm over the batch, the effective learning rate and the weight of a penalty would depend on it.
    """
    for name, play in (("d_loss", case.loss.d_loss), ("g_loss", case.loss.g_loss)):
        few, many = (scalar(play(Told(), carrying(0.7, REAL, n), carrying(-0.4, FAKE, n))) for n in (16, 128))
        if not math.isclose(few, many, rel_tol=0.25, abs_tol=1e-5):  # a loss may add its own noise
            yield Finding(
                seen=f"{name} of 16 equal pairs is {few:.4g}, of 128 of the same pairs {many:.4g}",
                expected="about the same value",
                mend="take .mean() over samples, and one norm per sample (flatten(1), dim=1)",
            )


@CHECKS.add
def loss_is_played_on_the_batch_that_is_given(case: LossCase) -> Iterator[Finding]:
    """Every D update uses new real samples and new fakes, which all count towards the budget.

    A loss that keeps a batch from an earlier update, or makes its own, trains D on less data than the record says.
    """
    critic = small_critic(6)
    real, fake = torch.randn(4, 6), torch.randn(4, 6)

    def value(play: Callable[..., Tensor], *samples: Tensor) -> float:
        with seeded(0):
            return scalar(play(critic, *samples))

    for name, play, what, others in (
        ("d_loss", case.loss.d_loss, "reals", (real + 1, fake)),
        ("d_loss", case.loss.d_loss, "fakes", (real, fake + 1)),
        ("g_loss", case.loss.g_loss, "fakes", (real, fake + 1)),
    ):
        if value(play, real, fake) == value(play, *others):
            yield Finding(
                seen=f"{name} is the same for different {what}",
                expected=f"a loss that depends on the {what} it is given",
                mend=f"call D on the {what} of the current call, and keep no samples in the loss",
            )


@CHECKS.add
def loss_of_a_single_pair_is_a_number_or_an_error(case: LossCase) -> Iterator[Finding]:
    """A protocol may set batch = 1.

    A standard deviation over one sample is NaN, which would end the run as diverged.
    """
    for name, play in (("d_loss", case.loss.d_loss), ("g_loss", case.loss.g_loss)):
        try:
            value = play(small_critic(6), torch.randn(1, 6), torch.randn(1, 6))
        except Exception:  # an error is acceptable: a loss that ranks the samples of a batch needs several
            continue
        if value.shape != () or not value.isfinite():
            yield Finding(
                seen=f"{name} of one real and one fake is {value.tolist()}",
                expected="one finite number, or an exception that says what is missing",
                mend="use std(correction=0), and squeeze(1) instead of squeeze()",
            )


@CHECKS.add
def loss_follows_its_samples_to_another_device(case: LossCase) -> Iterator[Finding]:
    """In a run on a GPU, the loss gets samples that are on the GPU.

    A tensor that it creates without device= is on the CPU regardless of the samples, and some devices lack float64.
    (torch's "meta" device stands in for a GPU here.)
    """
    for name, play in (("d_loss", case.loss.d_loss), ("g_loss", case.loss.g_loss)):
        value = play(small_critic(6), torch.randn(4, 6), torch.randn(4, 6))
        if value.dtype != torch.float32:
            yield Finding(
                f"{name} of torch.float32 samples is {value.dtype}", "torch.float32", "use no .double() and no numpy"
            )
        real, fake = torch.randn(2, 4, 6).to("meta")
        yield from clashes(
            partial(play, small_critic(6).to("meta"), real, fake),
            what=f"the samples of {name}",
            expected="a loss on the device of its samples",
            mend="use torch.rand(..., device=x.device), torch.rand_like(x) or torch.zeros_like(x)",
        )


# -- the game ----------------------------------------------------------------------------------------------------------


@CHECKS.add_vital
def loss_is_finite_at_large_logits(case: LossCase) -> Iterator[Finding]:
    """A confident discriminator returns 50 or -80.

    There, the logarithm of a sigmoid is minus infinity in float32, while softplus is finite.
    """
    for name, slopes in (("d_loss", case.d_slopes), ("g_loss", case.g_slopes)):
        bad = [s for s in slopes if not all(map(math.isfinite, (s.value, s.by_real, s.by_fake)))]
        if bad:
            worst = min(bad, key=lambda s: abs(s.real) + abs(s.fake))
            yield Finding(
                seen=f"{name} = {worst.value:g}, its derivatives {worst.by_real:g} and {worst.by_fake:g}, at {worst}",
                expected="finite numbers for logits from -80 to 80",
                mend="write log sigmoid(t) as -softplus(-t), and log(1 - sigmoid(t)) as -softplus(t)",
            )


@CHECKS.add
def d_learns_to_tell_reals_from_fakes(case: LossCase) -> Iterator[Finding]:
    """Wherever D does not separate a pair, lowering d_loss must raise D(real) above D(fake).

    This includes pairs that it has the wrong way round. Swapped roles or signs break this, and so does
    -log(sigmoid(t) + 1e-8), whose gradient vanishes exactly where D is most wrong.
    """
    undecided = at(case.d_slopes, 0, 0)
    scale = undecided.by_fake - undecided.by_real
    wrong = [s for s in case.d_slopes if s.real <= s.fake and s.by_fake - s.by_real <= max(1e-3 * scale, 0.0)]
    if wrong:
        worst = min(wrong, key=lambda s: (s.by_fake - s.by_real, abs(s.real) + abs(s.fake)))
        yield Finding(
            seen=f"at {worst}: derivatives {worst.by_real:.3g} w.r.t. D(real), {worst.by_fake:.3g} w.r.t. D(fake)",
            expected=f"D(real) to rise against D(fake), about as much as the {scale:.3g} at two logits of 0",
            mend="check signs and roles; for a logistic loss use softplus(-D(real)) + softplus(D(fake)) on the logits",
        )
        return
    for side, half in (("D(real)", real_half(case)), ("D(fake)", fake_half(case))):
        wrong_end, far = (half[-80.0], half[-50.0]) if side == "D(real)" else (half[80.0], half[50.0])
        most = max(map(abs, half.values()))
        if most > 0 and min(abs(wrong_end), abs(far)) < 1e-6 * min(most, 1.0):
            yield Finding(
                seen=f"the derivative w.r.t. {side} vanishes where D is most wrong: {wrong_end:.3g} against {most:.3g}",
                expected="a gradient wherever D is wrong",
                mend="use softplus on the logit, without an epsilon or clamp inside a logarithm",
            )


@CHECKS.add
def g_learns_to_raise_the_logit_of_its_fakes(case: LossCase) -> Iterator[Finding]:
    """Wherever D recognises a fake, lowering g_loss must raise the fake's logit.

    D recognises a fake if its logit is negative and no higher than that of the real sample.
    """
    wrong = [s for s in case.g_slopes if -5 <= s.fake < 0 and s.fake <= s.real and s.by_fake >= 0]
    if wrong:
        yield Finding(
            seen=f"at {wrong[0]}: derivative {wrong[0].by_fake:.3g} w.r.t. D(fake)",
            expected="a negative one, so that g_loss falls as D(fake) rises",
            mend="check the sign of g_loss; G minimises it",
        )


@CHECKS.add
def g_keeps_a_gradient_at_one_end_at_least(case: LossCase) -> Iterator[Finding]:
    """G must keep a gradient where D is sure of a fake, or where D is fooled.

    A minimax G has none at the first end and a non-saturating G none at the second, but each has one at the other. A
    sigmoid on the logit, or an epsilon or clamp in the logarithm, leaves none at either end, so G stops learning once D
    has won.
    """
    at = {s.fake: abs(s.by_fake) for s in case.g_slopes if s.real == 0}
    most = max(at.values())
    if most > 0 and max(at[-80.0], at[80.0], at[-50.0], at[50.0]) < 1e-6 * most:
        yield Finding(
            seen=f"g_loss has slope {at[-50.0]:.2g} at D(fake) = -50 and {at[50.0]:.2g} at 50, but {most:.2g} between",
            expected="a gradient at one end or the other",
            mend="use softplus(-D(fake)) on the logit, without a sigmoid before it or an epsilon inside a logarithm",
        )


@CHECKS.add
def both_halves_are_of_one_game(case: LossCase) -> Iterator[Finding]:
    """If one half of d_loss is the logistic loss of its logit, the other half must be too.

    Label smoothing and weights are allowed. Writing -logsigmoid(1 - t) for -logsigmoid(-t) shifts one half by one: the
    equilibrium of D moves to a logit of 1/2, and the loss no longer matches its name.
    """
    real, fake = fit_logistic(real_half(case)), fit_logistic(fake_half(case))
    for whose, fit, plain, other in (("D(real)", real, 1.0, fake), ("D(fake)", fake, 0.0, real)):
        if fit is not None and abs(fit - plain) < 1e-3 and other is None:
            rest = "D(fake)" if whose == "D(real)" else "D(real)"
            yield Finding(
                seen=f"the {whose} half is logistic and the {rest} half is not (two logits of 0 cost D "
                f"{at(case.d_slopes, 0, 0).value:.4g}; 2 log 2 = 1.386)",
                expected="softplus(-D(real)) + softplus(D(fake)), which is -logsigmoid(D(real)) - logsigmoid(-D(fake))",
                mend="1 - sigmoid(t) is sigmoid(-t): write softplus(t) for -log(1 - sigmoid(t))",
            )


@CHECKS.add
def loss_is_what_it_claims_to_be(case: LossCase) -> Iterator[Finding]:
    """Readers of a table identify a loss by its name.

    The gradients with respect to the logits are compared with the closed form of the textbook loss (``like=``), up to
    one positive factor each for D and G. Constants are ignored, such as those that penalties add for a critic of slope
    1.
    """
    if not case.like:
        return
    tried = [departures(case, game) for game in FORMS[case.like]]
    for far in min(tried, key=len):
        yield Finding(
            seen=f"{far.objective} at {far.at}: derivative {far.have:.4g} w.r.t. {far.logit}",
            expected=f"{far.want:.4g}, as for {case.like}",
            mend=f"compare with the closed form of {case.like}, or give the loss another name",
        )


@CHECKS.add
def a_diverged_critic_shows_in_the_loss(case: LossCase) -> Iterator[Finding]:
    """A run whose D returns NaN has diverged, and the record reports this as a result.

    With nan_to_num, a nanmean or a filter, the run continues with broken weights to a meaningless score.
    """
    nan, fine_real, fine_fake = math.nan, carrying(0.3, REAL), carrying(-0.3, FAKE)
    bad_real, bad_fake = fine_real.clone(), fine_fake.clone()
    bad_real[2, 0] = bad_fake[2, 0] = nan
    for name, play, real, fake in (
        ("d_loss", case.loss.d_loss, bad_real, fine_fake),
        ("d_loss", case.loss.d_loss, fine_real, bad_fake),
        ("g_loss", case.loss.g_loss, fine_real, bad_fake),
    ):
        value = play(Told(), real, fake)
        if value.isfinite():
            yield Finding(
                seen=f"{name} = {scalar(value):.4g} although D is NaN for a {'real' if real is bad_real else 'fake'}",
                expected="a loss that is not finite",
                mend="remove nan_to_num, nanmean, isfinite masks and the like from the loss",
            )


@CHECKS.add
def after_d_step_hides_no_diverged_weight(case: LossCase) -> Iterator[Finding]:
    """Clipping turns an infinite weight into a healthy one.

    A diverged run would then continue as if nothing had happened.
    """
    after_d_step = LossTraits(case.loss).after_d_step
    if after_d_step is None:
        return
    for value in (math.nan, math.inf, -math.inf):
        layer = nn.Linear(2, 1)
        layer.weight.data[0, 0] = value
        after_d_step([layer])
        if layer.weight.isfinite().all():
            yield Finding(
                seen=f"a weight of {value} became {scalar(layer.weight[0, 0]):.3g}",
                expected="a weight that is still not finite",
                mend="add w * 0 to the clipped weight, which is zero, or NaN where it was not finite",
            )


CHECKS.extend(penalty.CHECKS)
