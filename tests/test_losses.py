"""The built-in losses: value and gradient against closed forms, and the traps of published GAN code."""

from __future__ import annotations

import importlib
import math
import pickle
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, fields, is_dataclass, replace
from typing import Any

import pluggy
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.testing import assert_close

from ganbench.contracts.loss import LossTraits
from ganbench.plugins import hookspecs
from ganbench_baselines.loss import penalties

Fn = Callable[[Tensor, Tensor], Tensor]

NAMES = ["minimax", "non_saturating", "lsgan", "wgan", "wgan_gp", "hinge", "dragan", "r1", "rpgan_r1", "rpgan_r1_r2"]
PENALISED = ["wgan_gp", "dragan", "r1", "rpgan_r1", "rpgan_r1_r2"]
LOGISTIC = ["minimax", "non_saturating", "dragan", "r1", "rpgan_r1", "rpgan_r1_r2"]
SHAPES = {"points": (2,), "audio": (1, 16), "images": (3, 8, 8), "video": (3, 4, 4, 4)}

every_loss = pytest.mark.parametrize("name", NAMES)
every_penalty = pytest.mark.parametrize("name", PENALISED)
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def module(name: str) -> Any:
    return importlib.import_module(f"ganbench_baselines.loss.{name}")


def build(name: str, **overrides: float) -> Any:
    loss = module(name).ganbench_loss()
    return replace(loss, **overrides) if overrides else loss


def identity(x: Tensor) -> Tensor:
    """A critic whose logits are the samples: x[B, 1] -> logit[B]."""
    return x[:, 0]


def samples(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def grad(y: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(y, inputs)


class Linear(nn.Module):
    """D(x) = <w, x> + b: the gradient at every sample is w."""

    def __init__(self, w: Tensor, b: float = 0.0) -> None:
        super().__init__()
        self.w = nn.Parameter(w)
        self.b = nn.Parameter(torch.tensor(b, dtype=w.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.w + self.b


class Quadratic(nn.Module):
    """D(x) = a/2 ‖x‖²: the gradient at a sample is a x, so its norm differs from sample to sample."""

    def __init__(self, a: float = 0.7) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.a / 2 * x.flatten(1).square().sum(1)


def smooth_critic(features: int, dtype: torch.dtype = torch.float64) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(features, 7),
        nn.Tanh(),
        nn.Linear(7, 5),
        nn.Softplus(),
        nn.Linear(5, 1),
        nn.Flatten(0),
    ).to(dtype)


class Recorder:
    """Records what a critic is shown."""

    def __init__(self, D: Callable[[Tensor], Tensor]) -> None:
        self.D, self.shown = D, []

    def __call__(self, x: Tensor) -> Tensor:
        self.shown.append(x)
        return self.D(x)

    @property
    def penalised(self) -> Tensor:
        """The only points at which D is differentiated."""
        (x,) = [x for x in self.shown if x.requires_grad]
        return x.detach()


# --- value and gradient, against the papers' formulas written out with sigmoids and logarithms --------------


def sigma(t: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-t))


@dataclass(frozen=True)
class Formula:
    """Terms of one pair of logits (r, f), their derivatives, and what the penalty adds for D(x) = x."""

    d: Fn
    d_by_r: Fn
    d_by_f: Fn
    g: Fn
    g_by_f: Fn
    penalty: float = 0.0
    penalty_by_a: float = 0.0


MINIMAX = Formula(
    d=lambda r, f: -torch.log(sigma(r)) - torch.log(1 - sigma(f)),
    d_by_r=lambda r, f: sigma(r) - 1,
    d_by_f=lambda r, f: sigma(f),
    g=lambda r, f: torch.log(1 - sigma(f)),
    g_by_f=lambda r, f: -sigma(f),
)
NON_SATURATING = replace(MINIMAX, g=lambda r, f: -torch.log(sigma(f)), g_by_f=lambda r, f: sigma(f) - 1)
WASSERSTEIN = Formula(
    d=lambda r, f: f - r,
    d_by_r=lambda r, f: -torch.ones_like(r),
    d_by_f=lambda r, f: torch.ones_like(f),
    g=lambda r, f: -f,
    g_by_f=lambda r, f: -torch.ones_like(f),
)
RELATIVISTIC = Formula(
    d=lambda r, f: -torch.log(sigma(r - f)),
    d_by_r=lambda r, f: sigma(r - f) - 1,
    d_by_f=lambda r, f: 1 - sigma(r - f),
    g=lambda r, f: -torch.log(sigma(f - r)),
    g_by_f=lambda r, f: sigma(f - r) - 1,
)
FORMULAS = {
    "minimax": MINIMAX,
    "non_saturating": NON_SATURATING,
    "lsgan": Formula(
        d=lambda r, f: (r - 1) ** 2 / 2 + f**2 / 2,
        d_by_r=lambda r, f: r - 1,
        d_by_f=lambda r, f: f,
        g=lambda r, f: (f - 1) ** 2 / 2,
        g_by_f=lambda r, f: f - 1,
    ),
    "wgan": WASSERSTEIN,
    "wgan_gp": WASSERSTEIN,  # a slope of 1 costs nothing
    "hinge": replace(
        WASSERSTEIN,
        d=lambda r, f: (1 - r) * (r < 1) + (1 + f) * (f > -1),
        d_by_r=lambda r, f: -(r < 1).double(),
        d_by_f=lambda r, f: (f > -1).double(),
    ),
    "dragan": NON_SATURATING,
    "r1": replace(NON_SATURATING, penalty=0.5, penalty_by_a=1.0),  # γ/2 a² at γ = 1
    "rpgan_r1": replace(RELATIVISTIC, penalty=0.5, penalty_by_a=1.0),
    "rpgan_r1_r2": replace(RELATIVISTIC, penalty=1.0, penalty_by_a=2.0),  # γ/2 a² twice
}

R = torch.tensor([1.7, -0.4, 0.3, 3.0, -2.2], dtype=torch.float64)
F = torch.tensor([-1.5, 0.8, -0.2, -3.1, 2.4], dtype=torch.float64)


@every_loss
def test_d_loss_has_the_value_and_gradient_of_the_papers_formula(name):
    formula = FORMULAS[name]
    D = Linear(torch.ones(1, dtype=torch.float64))
    value = build(name).d_loss(D, R[:, None], F[:, None])
    by_a, by_b = grad(value, D.w, D.b)

    d_by_r, d_by_f = formula.d_by_r(R, F), formula.d_by_f(R, F)
    assert_close(value, formula.d(R, F).mean() + formula.penalty)
    assert_close(by_a[0], (d_by_r * R + d_by_f * F).mean() + formula.penalty_by_a)
    assert_close(by_b, (d_by_r + d_by_f).mean())


@every_loss
def test_g_loss_has_the_value_and_gradient_of_the_papers_formula(name):
    formula = FORMULAS[name]
    fake = F[:, None].requires_grad_()
    value = build(name).g_loss(identity, R[:, None], fake)
    assert_close(value, formula.g(R, F).mean())
    assert_close(grad(value, fake)[0][:, 0], formula.g_by_f(R, F) / len(F))


@every_loss
def test_gradients_of_d_loss_agree_with_finite_differences(name):
    loss, D = build(name), smooth_critic(6)
    real, fake = samples(4, 2, 3), samples(4, 2, 3)
    names, params = zip(*D.named_parameters(), strict=True)

    def d_loss(*values: Tensor) -> Tensor:
        torch.manual_seed(1)  # the same interpolation for every difference
        return loss.d_loss(
            lambda x: torch.func.functional_call(D, dict(zip(names, values, strict=True)), x), real, fake
        )

    assert gradcheck(d_loss, params)


@every_loss
def test_gradients_of_g_loss_agree_with_finite_differences(name):
    loss, D, real = build(name), smooth_critic(6).requires_grad_(False), samples(4, 2, 3)
    assert gradcheck(lambda fake: loss.g_loss(D, real, fake), samples(4, 2, 3).requires_grad_())


def test_lsgan_with_minus_one_one_zero_targets_is_equation_8():
    loss = build("lsgan", a=-1.0, b=1.0, c=0.0)
    assert_close(loss.d_loss(identity, R[:, None], F[:, None]), ((R - 1) ** 2 / 2 + (F + 1) ** 2 / 2).mean())
    assert_close(loss.g_loss(identity, R[:, None], F[:, None]), (F**2 / 2).mean())


def test_minimax_is_zero_sum():
    loss, real = build("minimax"), samples(5, 1)
    sums = [loss.d_loss(identity, real, fake) + loss.g_loss(identity, real, fake) for fake in samples(2, 5, 1)]
    assert_close(sums[0], sums[1])


def test_minimax_g_saturates_where_d_is_sure_and_non_saturating_g_does_not():
    fake = torch.full((3, 1), -30.0, requires_grad=True)
    (saturated,) = grad(build("minimax").g_loss(identity, fake, fake), fake)
    (full,) = grad(build("non_saturating").g_loss(identity, fake, fake), fake)
    assert (saturated.abs() < 1e-12).all()
    assert_close(full, torch.full_like(full, -1 / 3))


@pytest.mark.parametrize("name", LOGISTIC)
@pytest.mark.parametrize("logit", [-1000.0, 1000.0])
def test_logistic_losses_stay_finite_and_keep_their_gradient_at_extreme_logits(name, logit):
    loss, zero = build(name), torch.zeros(2, 1)
    D = Linear(torch.ones(1))
    right = loss.d_loss(D, torch.full((2, 1), 1000.0), torch.full((2, 1), -1000.0))
    wrong = loss.d_loss(D, torch.full((2, 1), -1000.0), torch.full((2, 1), 1000.0))
    penalty = FORMULAS[name].penalty
    assert_close(right.item(), penalty)
    assert_close(wrong.item(), 2000.0 + penalty)
    assert_close(grad(wrong, D.w)[0].item(), 2000.0 + FORMULAS[name].penalty_by_a)

    fake = torch.full((2, 1), logit, requires_grad=True)
    value = loss.g_loss(identity, zero, fake)
    rejected = logit < 0
    expected = (-1000.0 if not rejected else 0.0) if name == "minimax" else (1000.0 if rejected else 0.0)
    assert_close(value.item(), expected)
    assert_close(grad(value, fake)[0].sum().item(), -1.0 if expected else 0.0)


# --- penalties ----------------------------------------------------------------------------------------------


@every_shape
@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_penalties_of_a_linear_critic_depend_on_its_slope_alone(shape, scale):
    w = samples(math.prod(shape))
    D = Linear(w * scale, b=0.5)
    slope = D.w.detach().norm()
    x = samples(4, *shape)
    with torch.no_grad():
        logistic = build("non_saturating").d_loss(D, x, x)
    one_centred, zero_centred = (slope - 1) ** 2, slope**2
    assert_close(build("wgan_gp", weight=3.0).d_loss(D, x, x), 3 * one_centred)
    assert_close(build("dragan", weight=3.0).d_loss(D, x, x), logistic + 3 * one_centred)
    assert_close(build("r1", gamma=3.0).d_loss(D, x, x), logistic + 1.5 * zero_centred)
    assert_close(build("rpgan_r1", gamma=3.0).d_loss(D, x, x), math.log(2) + 1.5 * zero_centred)
    assert_close(build("rpgan_r1_r2", gamma=3.0).d_loss(D, x, x), math.log(2) + 3 * zero_centred)


@every_shape
def test_gradients_of_a_linear_critics_penalties_are_the_analytic_ones(shape):
    D = Linear(samples(math.prod(shape)))
    w, x = D.w.detach(), samples(4, *shape)
    (by_w,) = grad(build("wgan_gp", weight=3.0).d_loss(D, x, x), D.w)
    assert_close(by_w, 3 * 2 * (w.norm() - 1) * w / w.norm())
    (by_w,) = grad(build("rpgan_r1_r2", gamma=3.0).d_loss(D, x, x), D.w)
    assert_close(by_w, 3 * 2 * w)


def test_wgan_gp_takes_a_norm_of_each_sample():
    D, x = Quadratic(), samples(4, 3, 2)
    slopes = 0.7 * x.flatten(1).norm(dim=1)  # real = fake, so every interpolation is x itself
    value = build("wgan_gp").d_loss(D, x, x)
    assert_close(value, 10 * (slopes - 1).square().mean())
    assert_close(grad(value, D.a)[0], 10 * (2 * (slopes - 1) * slopes / 0.7).mean())


def test_dragan_takes_a_norm_of_each_sample():
    D, x = Quadratic(), samples(4, 3, 2)
    slopes = 0.7 * x.flatten(1).norm(dim=1)
    value = build("dragan", reach=0.0).d_loss(D, x, x) - build("non_saturating").d_loss(D, x, x)
    assert_close(value, 10 * (slopes - 1).square().mean())
    assert_close(grad(value, D.a)[0], 10 * (2 * (slopes - 1) * slopes / 0.7).mean())


@pytest.mark.parametrize("name", ["r1", "rpgan_r1"])
def test_r1_penalises_each_real_sample_and_no_fake_one(name):
    D, real, fake = Quadratic(), samples(4, 3, 2), samples(4, 3, 2)
    squares = real.flatten(1).square().sum(1)
    value = build(name, gamma=3.0).d_loss(D, real, fake) - build(name, gamma=0.0).d_loss(D, real, fake)
    assert_close(value, 1.5 * 0.7**2 * squares.mean())
    assert_close(grad(value, D.a)[0], 1.5 * 2 * 0.7 * squares.mean())


def test_rpgan_with_r2_penalises_each_real_and_each_fake_sample():
    D, real, fake = Quadratic(), samples(4, 3, 2), 3 * samples(4, 3, 2)
    squares = real.flatten(1).square().sum(1) + fake.flatten(1).square().sum(1)
    value = build("rpgan_r1_r2", gamma=3.0).d_loss(D, real, fake)
    value = value - build("rpgan_r1_r2", gamma=0.0).d_loss(D, real, fake)
    assert_close(value, 1.5 * 0.7**2 * squares.mean())
    assert_close(grad(value, D.a)[0], 1.5 * 2 * 0.7 * squares.mean())


@every_penalty
def test_a_penalty_at_a_gradient_of_exactly_zero_is_finite_and_so_is_its_gradient(name):
    D = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1), nn.Flatten(0))
    nn.init.constant_(D[0].bias, -100.0)  # every unit is dead
    value = build(name).d_loss(D, torch.randn(5, 3), torch.randn(5, 3))
    gradients = grad(value, *D.parameters())
    assert value.isfinite()
    assert all(g.isfinite().all() for g in gradients)


def test_the_one_centred_penalty_is_unbiased_at_tiny_and_zero_gradients():
    for slope in (0.0, 1e-7, 1e-3):
        D = Linear(torch.tensor([slope, 0.0], dtype=torch.float64))
        value = penalties.one_centred(D, samples(3, 2))
        (by_w,) = grad(value, D.w)
        assert_close(value.item(), (slope - 1) ** 2, rtol=1e-14, atol=0.0)
        assert_close(by_w[0].item(), 2 * (slope - 1) if slope else 0.0)


def test_the_gradient_of_a_dead_sample_does_not_spoil_that_of_the_others():
    D = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Flatten(0)).double()
    D[0].weight.data.fill_(2.0)
    D[0].bias.data.zero_()
    value = penalties.one_centred(D, torch.tensor([[1.0], [-1.0]], dtype=torch.float64))  # slopes 2 and 0
    assert_close(value.item(), ((2 - 1) ** 2 + (0 - 1) ** 2) / 2)
    assert_close(grad(value, D[0].weight)[0].item(), 2 * (2 - 1) / 2)


# --- what is drawn at random --------------------------------------------------------------------------------


def test_wgan_gp_draws_one_uniform_epsilon_for_each_sample():
    D = Recorder(smooth_critic(4, torch.float32))
    build("wgan_gp").d_loss(D, torch.ones(2000, 1, 2, 2), torch.zeros(2000, 1, 2, 2))
    x_hat = D.penalised.flatten(1)  # epsilon itself, as real is 1 and fake 0
    assert (x_hat == x_hat[:, :1]).all()
    epsilon = x_hat[:, 0].sort().values
    assert epsilon.min() >= 0
    assert epsilon.max() <= 1
    assert epsilon.unique().numel() > 1900
    assert (epsilon - torch.linspace(0, 1, 2000)).abs().max() < 0.05  # Kolmogorov-Smirnov, 1 % level: 0.036


@every_shape
def test_wgan_gp_interpolates_between_the_members_of_a_pair(shape):
    real, fake = samples(6, *shape), samples(6, *shape)
    D = Recorder(smooth_critic(math.prod(shape)))
    build("wgan_gp").d_loss(D, real, fake)
    x_hat, real, fake = (x.flatten(1) for x in (D.penalised, real, fake))
    epsilon = ((x_hat - fake) / (real - fake)).mean(1, keepdim=True)
    assert_close(x_hat, epsilon * real + (1 - epsilon) * fake)


def test_dragan_perturbs_reals_by_at_most_half_a_standard_deviation_of_the_batch():
    real = samples(200, 1, 20, 20) * torch.linspace(0.1, 3, 200, dtype=torch.float64)[:, None, None, None]
    D = Recorder(smooth_critic(400))
    build("dragan").d_loss(D, real, torch.full_like(real, 1e6))
    share = ((D.penalised - real) / (0.5 * real.std())).flatten(1)  # alpha of the sample times u of the element
    assert share.min() >= 0
    assert share.max() <= 1
    alpha = share.max(1).values  # 400 elements: u comes close to 1
    assert (alpha.sort().values - torch.linspace(0, 1, 200, dtype=torch.float64)).abs().max() < 0.12
    u = share / alpha[:, None]
    assert_close(u.mean(1), torch.full((200,), 0.5, dtype=torch.float64), atol=0.08, rtol=0)
    assert u[0].unique().numel() > 390


def test_dragans_standard_deviation_is_that_of_the_population():
    real, D = torch.tensor([[1.0], [-1.0]]), Recorder(identity)
    for _ in range(100):
        build("dragan").d_loss(D, real, real)
    offsets = torch.cat([x.detach() - real for x in D.shown if x.requires_grad])
    assert 0.4 < offsets.max() <= 0.5


@every_loss
def test_random_draws_come_from_torchs_default_generator(name):
    loss, D = build(name), smooth_critic(6)
    real, fake = samples(4, 6), samples(4, 6)
    before = torch.get_rng_state()
    first = loss.d_loss(D, real, fake)
    untouched = torch.equal(before, torch.get_rng_state())
    second = loss.d_loss(D, real, fake)
    torch.set_rng_state(before)
    assert loss.d_loss(D, real, fake) == first
    if name in ("wgan_gp", "dragan"):
        assert second != first
    else:
        assert untouched


# --- samples, batches and gradients stay apart --------------------------------------------------------------


@every_loss
def test_the_loss_of_a_batch_is_the_mean_of_the_losses_of_its_pairs(name):
    loss = build("dragan", reach=0.0) if name == "dragan" else build(name)
    D, real, fake = smooth_critic(6), samples(5, 6), samples(5, 6)
    if name == "wgan_gp":
        real = fake  # the interpolation is then the same in any batch
    pairs = [(real[i : i + 1], fake[i : i + 1]) for i in range(5)]
    assert_close(loss.d_loss(D, real, fake), torch.stack([loss.d_loss(D, *pair) for pair in pairs]).mean())
    assert_close(loss.g_loss(D, real, fake), torch.stack([loss.g_loss(D, *pair) for pair in pairs]).mean())


@every_loss
def test_only_a_relativistic_loss_cares_which_fake_meets_which_real_sample(name):
    loss, D, real, fake = build(name), smooth_critic(6), samples(5, 6), samples(5, 6)
    if name in ("wgan_gp", "dragan"):
        loss = replace(loss, weight=0.0)
    other = fake.roll(1, 0)
    same_d = torch.isclose(loss.d_loss(D, real, fake), loss.d_loss(D, real, other))
    same_g = torch.isclose(loss.g_loss(D, real, fake), loss.g_loss(D, real, other))
    assert (same_d.item(), same_g.item()) == ((False, False) if name in ("rpgan_r1", "rpgan_r1_r2") else (True, True))


@every_loss
@every_shape
def test_d_loss_leaves_gradients_in_ds_parameters_and_nowhere_else(name, shape):
    D = smooth_critic(math.prod(shape), torch.float32)
    real, fake = torch.randn(3, *shape), torch.randn(3, *shape)
    kept = real.clone(), fake.clone()
    value = build(name).d_loss(D, real, fake)
    assert value.shape == ()
    value.backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in list(D.parameters())[:-1])
    assert all(x.grad is None and not x.requires_grad for x in (real, fake))
    assert torch.equal(real, kept[0])
    assert torch.equal(fake, kept[1])


@every_loss
@every_shape
def test_g_loss_reaches_the_fakes_while_d_is_frozen(name, shape):
    D = smooth_critic(math.prod(shape), torch.float32).requires_grad_(False)
    real, fake = torch.randn(3, *shape), torch.randn(3, *shape, requires_grad=True)
    value = build(name).g_loss(D, real, fake)
    assert value.shape == ()
    value.backward()
    assert (fake.grad.flatten(1).norm(dim=1) > 0).all()
    assert real.grad is None
    assert all(p.grad is None for p in D.parameters())


@pytest.mark.parametrize(
    ("name", "calls"), [("wgan_gp", 3), ("dragan", 3), ("r1", 2), ("rpgan_r1", 2), ("rpgan_r1_r2", 2)]
)
def test_logits_serve_the_game_and_the_penalty_at_once(name, calls):
    D = Recorder(smooth_critic(6))
    build(name).d_loss(D, samples(3, 6), samples(3, 6))
    assert len(D.shown) == calls


# --- divergence stays visible -------------------------------------------------------------------------------


@every_loss
def test_a_nan_in_samples_or_weights_reaches_the_loss(name):
    loss, fine = build(name), torch.randn(4, 6)
    bad = fine.clone()
    bad[2, 3] = math.nan
    D = smooth_critic(6, torch.float32)
    assert loss.d_loss(D, bad, fine).isnan()
    assert loss.d_loss(D, fine, bad).isnan()
    assert loss.g_loss(D, fine, bad).isnan()
    D[1].weight.data[0, 0] = math.nan
    assert loss.d_loss(D, fine, fine).isnan()
    assert loss.g_loss(D, fine, fine).isnan()


@every_penalty
def test_a_nan_in_ds_gradient_alone_reaches_the_loss(name):
    def D(x: Tensor) -> Tensor:  # 0 at 0, where its derivative comes out as 0 times infinity
        return torch.where(x > 0, x.sqrt(), 0).sum(1)

    at_zero = torch.zeros(3, 2)
    assert D(at_zero).isfinite().all()
    assert build(name).d_loss(D, at_zero, at_zero).isnan()


@every_penalty
def test_an_exploding_gradient_of_d_is_not_hidden_by_the_penalty(name):
    D = Linear(torch.tensor([3e38, 3e38]))
    assert not build(name).d_loss(D, torch.zeros(3, 2), torch.zeros(3, 2)).isfinite()


# --- weight clipping ----------------------------------------------------------------------------------------


def test_wgan_clips_every_parameter_of_every_discriminator_in_place():
    players = [
        nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Sequential(nn.Linear(5, 1))),
        nn.Linear(3, 2),
    ]
    before = {p: p.detach().clone() for D in players for p in D.parameters()}
    places = [p.data_ptr() for p in before]
    build("wgan", clip=0.2).after_d_step(players)
    assert [p.data_ptr() for p in before] == places
    assert any((old.abs() > 0.2).any() for old in before.values())
    for p, old in before.items():
        assert torch.equal(p.detach(), old.clamp(-0.2, 0.2))
        assert p.requires_grad
        assert p.is_leaf


def test_wgan_clips_to_a_hundredth_unless_told_otherwise():
    D = nn.Linear(100, 1)
    build("wgan").after_d_step([D])
    assert_close(D.weight.abs().max().item(), 0.01)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_clipping_does_not_make_a_diverged_weight_healthy(value):
    D = nn.Linear(2, 1)
    D.weight.data[0, 0] = value
    build("wgan").after_d_step([D])
    assert D.weight.isfinite().tolist() == [[False, True]]


# --- the contract -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "d_steps", "d_norm", "recipe"),
    [
        ("minimax", 1, None, {"betas": (0.5, 0.999)}),
        ("non_saturating", 1, None, {"betas": (0.5, 0.999)}),
        ("lsgan", 1, None, {"betas": (0.5, 0.999)}),
        ("wgan", 5, None, {"optimizer": "rmsprop"}),
        ("wgan_gp", 5, "none", {"betas": (0.0, 0.9)}),
        ("hinge", 1, "spectral", {"betas": (0.5, 0.999)}),
        ("dragan", 1, "none", {"betas": (0.5, 0.999)}),
        ("r1", 1, "none", {"betas": (0.0, 0.99)}),
        ("rpgan_r1", 1, "none", {"betas": (0.0, 0.99)}),
        ("rpgan_r1_r2", 1, "none", {"betas": (0.0, 0.99)}),
    ],
)
def test_a_loss_states_the_steps_norm_and_momenta_of_its_paper(name, d_steps, d_norm, recipe):
    traits = LossTraits(build(name))
    assert (traits.d_steps, traits.d_norm, traits.recipe) == (d_steps, d_norm, recipe)
    assert (traits.after_d_step is not None) == (name == "wgan")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("lsgan", {"a": 0.0, "b": 1.0, "c": 1.0}),
        ("wgan", {"clip": 0.01}),
        ("wgan_gp", {"weight": 10.0}),
        ("dragan", {"weight": 10.0, "reach": 0.5}),
        ("r1", {"gamma": 1.0}),
        ("rpgan_r1", {"gamma": 1.0}),
        ("rpgan_r1_r2", {"gamma": 1.0}),
    ],
)
def test_hyper_parameters_are_frozen_fields_with_the_papers_values(name, settings):
    loss = build(name)
    assert {f.name: getattr(loss, f.name) for f in fields(loss)} == settings
    with pytest.raises(FrozenInstanceError):
        setattr(loss, next(iter(settings)), 0.0)


@every_penalty
def test_the_penalty_scales_with_its_weight(name):
    D, real, fake = smooth_critic(6), samples(4, 6), samples(4, 6)
    field = fields(build(name))[0].name

    def d_loss(strength: float) -> Tensor:
        torch.manual_seed(1)
        return build(name, **{field: strength}).d_loss(D, real, fake)

    assert d_loss(1.0) > d_loss(0.0)
    assert_close(d_loss(7.0) - d_loss(0.0), 7 * (d_loss(1.0) - d_loss(0.0)))


@every_loss
def test_a_loss_survives_pickling_with_its_settings(name):
    loss = build(name)
    if is_dataclass(loss):
        loss = replace(loss, **{field.name: 0.25 for field in fields(loss)})
    twin = pickle.loads(pickle.dumps(loss))
    assert type(twin) is type(loss)
    assert vars(twin) == vars(loss)


@every_loss
def test_a_loss_module_implements_its_hook_and_no_unknown_one(name):
    manager = pluggy.PluginManager("ganbench")
    manager.add_hookspecs(hookspecs)
    manager.register(module(name))
    manager.check_pending()
    (loss,) = manager.hook.ganbench_loss()
    assert type(loss) is type(build(name))


@every_loss
def test_the_first_line_of_a_loss_names_its_paper(name):
    assert re.search(r"\([A-Z].*, (19|20)\d\d\)", module(name).__doc__.splitlines()[0])
