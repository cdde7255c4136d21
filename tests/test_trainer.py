"""The training loop: the budget is the budget, the same run gives the same bits, and looking does not touch."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from ganbench import GAN, Batch, DataSpec, Lazy, Split
from ganbench.contracts.data import to_signal
from ganbench.contracts.protocol import Recipe
from ganbench.errors import Diverged, PluginError
from ganbench.evaluation.sampling import sample
from ganbench.training.batches import Stream
from ganbench.training.trainer import Trainer
from ganbench_baselines.arch import dcgan
from ganbench_baselines.loss.wgan_gp import ganbench_loss as wgan_gp

CPU = torch.device("cpu")
SPEC = DataSpec((1, 16, 16))


@pytest.fixture(scope="module")
def images() -> Split:
    return Split(torch.randint(0, 256, (50, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8))


class Counting:
    """A loss that counts what it is shown."""

    d_steps = 3

    def __init__(self) -> None:
        self.real_seen: list[torch.Tensor] = []
        self.d_calls = self.g_calls = 0

    def d_loss(self, D, real, fake):
        self.d_calls += 1
        self.real_seen.append(real)
        assert not fake.requires_grad
        return D(fake).mean() - D(real).mean()

    def g_loss(self, D, real, fake):
        self.g_calls += 1
        return -D(fake).mean()


def tiny() -> GAN:
    generator = nn.Sequential(nn.Linear(4, 256), nn.Tanh(), nn.Unflatten(1, (1, 16, 16)))
    return GAN(generator, nn.Sequential(nn.Flatten(), nn.Linear(256, 1), nn.Flatten(0)), 4)


def trainer_of(images: Split, loss=None, gan: GAN | None = None, updates: int = 20, **recipe) -> Trainer:
    torch.manual_seed(7)
    gan = gan or dcgan.ganbench_arch(SPEC, "none", 4, 8)
    settings = Recipe(**{"lr": 1e-3, "betas": (0.0, 0.9), "d_steps": 5, **recipe})
    return Trainer(gan, loss or wgan_gp(), Stream(images, 8, 3, CPU), settings, updates, 1, 2)


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return [*trainer.gan.state_dict().values(), *trainer.averaged.state_dict().values()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("d_steps", [1, 3, 5, 7])
def test_every_combination_sees_exactly_the_images_of_the_budget(images, d_steps) -> None:
    loss = Counting()
    trainer = trainer_of(images, loss, tiny(), updates=20, d_steps=d_steps)
    trainer.advance(1000)
    assert loss.d_calls == 20
    assert trainer.images == 160 == sum(len(batch) for batch in loss.real_seen)
    assert loss.g_calls == math.ceil(20 / d_steps) == trainer.step


def test_every_d_update_gets_a_fresh_real_batch(images) -> None:
    loss = Counting()
    trainer_of(images, loss, tiny(), updates=6, d_steps=3).advance(6)
    first, second, third = loss.real_seen[:3]
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)


def test_the_same_run_gives_the_same_bits(images) -> None:
    one, other = trainer_of(images), trainer_of(images)
    one.advance(20)
    torch.rand(100)  # whatever the program draws elsewhere does not matter
    other.advance(20)
    assert same(weights(one), weights(other))


def test_the_bits_do_not_depend_on_where_the_windows_end(images) -> None:
    one, other = trainer_of(images), trainer_of(images)
    one.advance(20)
    for until in (5, 10, 15, 20):
        other.advance(until)
    assert same(weights(one), weights(other))


def test_looking_between_windows_changes_no_weight(images) -> None:
    undisturbed, watched = trainer_of(images), trainer_of(images)
    undisturbed.advance(20)
    for until in (5, 10, 15, 20):
        watched.advance(until)
        sample(watched.averaged, images, until, CPU)
        sample(watched.gan, images, until, CPU)
        torch.manual_seed(until)
    assert same(weights(undisturbed), weights(watched))


def test_a_run_stopped_and_resumed_from_disk_gives_the_same_bits(images, tmp_path) -> None:
    whole, first, second = trainer_of(images), trainer_of(images), trainer_of(images)
    whole.advance(20)
    first.advance(10)
    torch.save(first.state(), tmp_path / "c.pt")
    second.restore(torch.load(tmp_path / "c.pt", weights_only=True))
    second.advance(20)
    assert same(weights(whole), weights(second))
    assert whole.images == second.images


def test_a_state_without_the_optimisers_moments_would_not_resume_to_the_same_bits(images) -> None:
    whole, first, second = trainer_of(images), trainer_of(images), trainer_of(images)
    whole.advance(20)
    first.advance(10)
    state = copy.deepcopy(first.state())
    state["optim_d"]["state"] = {}
    second.restore(state)
    second.advance(20)
    assert not same(weights(whole), weights(second))


def test_training_leaves_the_programs_own_random_numbers_alone(images) -> None:
    trainer = trainer_of(images)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trainer.advance(10)
    assert torch.equal(torch.rand(3), expected)


def test_a_loss_that_is_not_a_number_ends_the_run_at_once_and_is_named(images) -> None:
    class Exploding(Counting):
        def d_loss(self, D, real, fake):
            value = super().d_loss(D, real, fake)
            return value * math.nan if self.d_calls > 4 else value

    loss = Exploding()
    trainer = trainer_of(images, loss, tiny(), updates=20, d_steps=1)
    trainer.advance(2)
    with pytest.raises(Diverged, match=r"^d_loss is not finite at iteration 5$"):
        trainer.advance(20)
    assert loss.d_calls == 5


def test_a_weight_that_is_not_finite_ends_the_run_at_once_and_is_named(images) -> None:
    class Breaking(Counting):
        """Its losses stay finite; a gradient of G does not."""

        def g_loss(self, D, real, fake):
            value = super().g_loss(D, real, fake)
            if self.g_calls == 3:
                fake.register_hook(lambda gradient: gradient * math.inf)
            return value

    trainer = trainer_of(images, Breaking(), tiny(), updates=20, d_steps=1)
    with pytest.raises(Diverged, match=r"^weight generator\.0\.weight is not finite at iteration 3$"):
        trainer.advance(20)


def test_a_loss_that_forgot_its_mean_is_refused(images) -> None:
    class Vector(Counting):
        def d_loss(self, D, real, fake):
            return D(fake) - D(real)

    with pytest.raises(PluginError, match=r"d_loss returned a tensor of shape \(8,\)"):
        trainer_of(images, Vector(), tiny()).advance(1)


def test_a_loss_that_never_reaches_g_is_refused(images) -> None:
    class Detached(Counting):
        def g_loss(self, D, real, fake):
            return -D(fake.detach()).mean()

    with pytest.raises(PluginError, match="no gradient of g_loss reaches the player being updated"):
        trainer_of(images, Detached(), tiny()).advance(5)


def test_the_fingerprint_tells_weights_and_averages_apart_and_nothing_else(images) -> None:
    one, other = trainer_of(images), trainer_of(images)
    assert one.fingerprint() == other.fingerprint()
    one.advance(5)
    assert one.fingerprint() != other.fingerprint()
    other.advance(5)
    assert one.fingerprint() == other.fingerprint()
    with torch.no_grad():
        next(iter(other.averaged.generator.parameters())).view(-1)[0] += 1e-3
    assert one.fingerprint() != other.fingerprint()


def test_the_averaged_generator_follows_the_warmed_up_average(images) -> None:
    trainer = trainer_of(images, Counting(), tiny(), updates=9, d_steps=3, ema=0.9)
    expected = trainer.gan.generator[0].weight.detach().clone()
    for t in range(3):
        trainer.advance(3 * (t + 1))
        decay = min(0.9, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * trainer.gan.generator[0].weight.detach()
    assert torch.allclose(trainer.averaged.generator[0].weight, expected, atol=1e-7)
    assert not torch.equal(trainer.averaged.generator[0].weight, trainer.gan.generator[0].weight)


def test_without_averaging_the_generator_itself_is_judged(images) -> None:
    trainer = trainer_of(images, ema=0.0)
    trainer.advance(20)
    assert same(
        list(trainer.averaged.generator.state_dict().values()), list(trainer.gan.generator.state_dict().values())
    )


def test_the_learning_rate_decays_to_zero_over_the_share_that_the_recipe_names(images) -> None:
    trainer = trainer_of(images, updates=20, lr_decay=0.5, d_steps=1)
    rates = []
    for until in range(1, 21):
        trainer.advance(until)
        rates.append(trainer.optim_g.param_groups[0]["lr"] / 1e-3)
    assert rates[:11] == pytest.approx([1.0] * 11, rel=1e-6)
    assert rates[15] == pytest.approx(0.5)
    assert rates[19] == pytest.approx(0.1)


def test_a_fault_after_a_resumption_is_dated_from_the_beginning_of_the_run(images) -> None:
    first, second = trainer_of(images, d_steps=1), trainer_of(images, d_steps=1)
    first.advance(7)
    second.restore(first.state())
    with torch.no_grad():
        next(second.gan.discriminator.parameters()).fill_(math.nan)
    with pytest.raises(Diverged, match="iteration 8"):
        second.advance(20)


def test_a_lazy_term_comes_every_kth_iteration_with_k_times_the_weight(images) -> None:
    class WithPenalty(GAN):
        def g_extra(self, batch: Batch, fake):
            return {"penalty": Lazy(4, lambda: self.generator[0].weight.sum() * 0 + 1.0)}

    gan = tiny()
    gan.__class__ = WithPenalty
    trainer = trainer_of(images, Counting(), gan, updates=8, d_steps=1)
    assert trainer.cycle == 1
    assert trainer.advance(1).losses["penalty"] == 4.0
    assert trainer.cycle == 4
    assert "penalty" not in trainer.advance(4).losses
    assert trainer.advance(8).losses["penalty"] == pytest.approx(1.0)  # a window's mean is the term's mean strength


def test_data_order_is_shared_by_losses_with_different_numbers_of_d_steps(images) -> None:
    one, other = Counting(), Counting()
    trainer_of(images, one, tiny(), updates=6, d_steps=1).advance(6)
    trainer_of(images, other, tiny(), updates=6, d_steps=3).advance(6)
    assert same(one.real_seen, other.real_seen)


def test_sampling_is_done_in_eval_mode_and_moves_no_batch_norm_statistic(images) -> None:
    gan = dcgan.ganbench_arch(SPEC, "none", 4, 8)
    before = copy.deepcopy(gan.state_dict())
    first = sample(gan, images, 0, CPU).x
    assert gan.generator.training
    assert all(torch.equal(before[name], value) for name, value in gan.state_dict().items())
    few = sample(gan, images[torch.arange(10)], 0, CPU).x
    apart = (first[:10].int() - few.int()).abs().max()  # batches of two sizes: a CPU may round a pixel otherwise
    assert apart <= 1, "in train mode a sample would depend on its batch"


def test_uint8_images_are_normalised_to_the_range_of_tanh(images) -> None:
    x = to_signal(torch.tensor([0, 255], dtype=torch.uint8))
    assert x.tolist() == [-1.0, 1.0]
