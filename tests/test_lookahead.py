"""Unrolled GAN: finite where Adam has no derivative, within the clip, and without a trace in pools and buffers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from turns import batch_of, turn_of_g

from ganbench import GAN, DataSpec, Split
from ganbench.contracts.protocol import Recipe
from ganbench.training.batches import Stream
from ganbench.training.trainer import Trainer
from ganbench_baselines.arch import cyclegan, dcgan, mlp, sngan, stylegan2
from ganbench_baselines.loss import hinge, lsgan, non_saturating, r1, wgan, wgan_gp
from ganbench_baselines.trick import unrolled

CPU = torch.device("cpu")
POINTS, IMAGES = DataSpec((2,), bounded=False), DataSpec((1, 16, 16))


def data_of(spec: DataSpec) -> Split:
    rng = torch.Generator().manual_seed(0)
    if not spec.bounded:
        return Split(torch.randn(64, *spec.shape, generator=rng))
    return Split(torch.randint(256, (64, *spec.shape), generator=rng, dtype=torch.uint8))


def trainer_of(gan: GAN, loss, data: Split, k: int = 3, iterations: int = 4, batch: int = 8) -> Trainer:
    recipe = Recipe(lr=1e-3, **{"betas": (0.5, 0.9), **getattr(loss, "recipe", {})}, d_steps=1)
    trick = unrolled.ganbench_trick(str(k))
    return Trainer(gan, loss, Stream(data, batch, 1, CPU), recipe, iterations, 2, 3, [trick])


@pytest.mark.parametrize(
    ("arch", "spec", "loss"),
    [
        (mlp, POINTS, hinge.ganbench_loss()),
        (mlp, POINTS, wgan_gp.ganbench_loss()),
        (mlp, POINTS, wgan.ganbench_loss()),
        (sngan, IMAGES, r1.ganbench_loss()),
        (stylegan2, IMAGES, hinge.ganbench_loss()),
    ],
    ids=["mlp x hinge", "mlp x wgan-gp", "mlp x wgan", "sngan x r1", "stylegan2 x hinge"],
)
def test_weights_of_d_without_a_gradient_leave_those_of_g_finite(arch, spec, loss) -> None:
    torch.manual_seed(0)
    norm = getattr(loss, "d_norm", None)
    settings = [{}] if arch in (sngan, stylegan2) else []
    gan = arch.ganbench_arch(spec, norm, 4, 4, *settings)
    trainer = trainer_of(gan, loss, data_of(spec), k=2)
    losses = trainer.advance(4).losses
    assert all(torch.tensor(value).isfinite() for value in losses.values())
    assert all(p.isfinite().all() for p in gan.parameters())


class Deaf(nn.Module):
    """A critic of points that has a weight which nothing reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.heard, self.deaf = nn.Linear(2, 1), nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.heard(x).flatten() + 0 * self.deaf.sum()


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_a_weight_that_does_not_move_contributes_nothing(optimizer) -> None:
    def g_gradient(critic: nn.Module) -> Tensor:
        torch.manual_seed(0)
        gan = GAN(nn.Linear(2, 2), critic, 2)
        with torch.no_grad():
            for p in gan.discriminator.parameters():
                p.fill_(0.5)
        recipe = Recipe(lr=1e-2, optimizer=optimizer)
        trainer = Trainer(gan, non_saturating.ganbench_loss(), Stream(data_of(POINTS), 8, 1, CPU), recipe, 9, 2, 3)
        trainer.advance(1)
        batch = batch_of(trainer)
        fake = gan.fake(batch)
        terms = unrolled.ganbench_trick("3").g_objective(
            lambda: gan.g_objective(trainer.loss, batch, fake), turn_of_g(trainer, batch, fake)
        )
        return torch.autograd.grad(terms["g_loss"], gan.generator.weight)[0]

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heard = nn.Linear(2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.heard(x).flatten()

    with_it, without = g_gradient(Deaf()), g_gradient(Plain())
    assert with_it.isfinite().all()
    torch.testing.assert_close(with_it, without)


def test_the_clip_holds_in_the_look_ahead_and_a_clipped_weight_is_a_constant() -> None:
    torch.manual_seed(0)
    seen: list[Tensor] = []

    class Spy(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(self.weight)
            return super().forward(x)

    gan = GAN(nn.Linear(2, 2), nn.Sequential(Spy(2, 1), nn.Flatten(0)), 2)
    loss = wgan.ganbench_loss()
    trainer = trainer_of(gan, loss, data_of(POINTS), k=4, iterations=1)
    loss.after_d_step(gan.discriminators())
    batch = batch_of(trainer)
    fake = gan.fake(batch)
    seen.clear()
    trick = unrolled.ganbench_trick("4")
    terms = trick.g_objective(lambda: gan.g_objective(loss, batch, fake), turn_of_g(trainer, batch, fake))
    assert max(weight.abs().max().item() for weight in seen) <= loss.clip + 1e-9
    assert terms["g_loss"].isfinite()
    last = seen[-1]
    assert (last.abs() == loss.clip).all(), "RMSprop's first steps are longer than the clip is wide"
    (through_d,) = torch.autograd.grad(last.sum(), gan.generator.weight, retain_graph=True, allow_unused=True)
    assert through_d is None or not through_d.any()


@pytest.mark.parametrize("norm", [None, "spectral"])
def test_the_look_ahead_leaves_batch_statistics_and_power_iterations_as_they_were(norm) -> None:
    torch.manual_seed(0)
    gan = dcgan.ganbench_arch(IMAGES, norm, 4, 4)
    trainer = trainer_of(gan, non_saturating.ganbench_loss(), data_of(IMAGES), k=3)
    batch = batch_of(trainer)
    fake = gan.fake(batch).detach().requires_grad_()
    before = {name: buffer.clone() for name, buffer in gan.discriminator.named_buffers()}
    assert before
    turn = turn_of_g(trainer, batch, fake)
    unrolled.ganbench_trick("3").g_objective(lambda: {"g_loss": fake.sum()}, turn)
    for name, buffer in gan.discriminator.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_the_look_ahead_puts_nothing_into_an_image_pool_and_takes_nothing_out() -> None:
    torch.manual_seed(0)
    spec = DataSpec((1, 16, 16), source=(1, 16, 16))
    gan = cyclegan.ganbench_arch(spec, None, 2, {})
    x = data_of(IMAGES).x
    trainer = trainer_of(gan, lsgan.ganbench_loss(), Split(x, source=x.flip(0)), k=2, iterations=8, batch=4)
    trainer.advance(8)
    assert int(gan.pools["x"].filled) == 8 * 4
    batch = batch_of(trainer)
    fake = gan.fake(batch)
    pools = {name: value.clone() for name, value in gan.pools.state_dict().items()}
    shown: list[Tensor] = []
    gan.discriminator["x"].register_forward_pre_hook(lambda module, args: shown.append(args[0].detach()))
    unrolled.ganbench_trick("2").g_objective(lambda: {"g_loss": fake["x"].sum()}, turn_of_g(trainer, batch, fake))
    assert all(torch.equal(value, pools[name]) for name, value in gan.pools.state_dict().items())
    assert shown
    assert all(torch.equal(x, batch.real) or torch.equal(x, fake["x"].detach()) for x in shown)
