"""What tricks show to the loss they show to D's other terms, too; weights and scales that belong to somebody."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganbench import GAN, Batch, DataSpec, Match, Split, Trick, Turn, Unsupported
from ganbench.contracts.loss import LossTraits
from ganbench.contracts.protocol import Recipe
from ganbench.training.batches import Stream
from ganbench.training.precision import InFloat32
from ganbench.training.trainer import Trainer
from ganbench.training.tricks import Shown
from ganbench_baselines.arch import acgan, cyclegan, r3gan, sngan, sngan_projection, stylegan2
from ganbench_baselines.loss import hinge, lsgan, non_saturating, r1, wgan_gp
from ganbench_baselines.trick import diffaugment, init, minibatch_discrimination, minibatch_stddev

CPU = torch.device("cpu")
DIGITS = DataSpec((1, 16, 16), classes=10)


class Marked(Trick):
    """Shows D every sample plus 1000, and so leaves a mark on whatever D sees."""

    def match(self, match: Match, turn: Turn) -> Match:
        return match._replace(D=lambda x: match.D(x + 1000))


def train_marked(gan: GAN, seen: list[Tensor], iterations: int = 2) -> None:
    convolutions = (m for m in gan.discriminator.modules() if type(m).__name__ in ("Conv2d", "EqualisedConv"))
    next(convolutions).register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    x = torch.randint(256, (40, 1, 16, 16), dtype=torch.uint8)
    stream = Stream(Split(x, torch.arange(40) % 10), 4, 1, CPU)
    Trainer(gan, non_saturating.ganbench_loss(), stream, Recipe(lr=1e-3), iterations, 2, 3, [Marked()]).advance(99)


@pytest.mark.parametrize("arch", [acgan, stylegan2])
def test_everything_that_d_sees_in_training_is_as_the_tricks_show_it(arch) -> None:
    torch.manual_seed(0)
    gan, seen = arch.ganbench_arch(DIGITS, None, 4, 4, {}), []
    train_marked(gan, seen)
    assert len(seen) >= 7
    assert all(x.min() > 500 for x in seen)


def test_stylegan2s_r1_is_taken_at_the_reals_themselves_through_the_augmentation() -> None:
    torch.manual_seed(0)
    gan = stylegan2.ganbench_arch(DIGITS, None, 4, 4, {"r1_gamma": 2.0})

    class Linear(nn.Module):
        shape = (1, 16, 16)

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(256))

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1) @ self.weight

    gan.discriminator = Linear()
    halved = Batch(torch.randn(4, 1, 16, 16), torch.randn(4, 4), view=lambda m: m._replace(D=lambda x: m.D(x / 2)))
    value = gan.d_extra(halved, torch.randn(4, 1, 16, 16))["r1"].compute()
    torch.testing.assert_close(value, gan.discriminator.weight.square().sum() / 4)


@pytest.mark.parametrize(("side", "box"), [(16, 8), (15, 8), (17, 9), (9, 5), (7, 4)])
def test_the_cutout_of_an_odd_side_is_the_papers(side, box) -> None:
    """int(side * 0.5 + 0.5) pixels (Zhao et al. 2020, the authors' code)."""
    torch.manual_seed(0)
    x = diffaugment.cutout(torch.ones(400, 1, side, side))
    gone = (x == 0).squeeze(1)
    assert int(gone.any(2).sum(1).max()) == box
    assert int(gone.any(1).sum(1).max()) == box


# -- initial weights ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", [stylegan2, r3gan, sngan_projection])
def test_initial_weights_that_belong_to_the_architecture_are_not_drawn_anew(arch) -> None:
    trick = init.ganbench_trick("")
    with pytest.raises(Unsupported, match="initial weights are part of it"):
        trick.players(lambda data: arch.ganbench_arch(data, None, 4, 4, {}), DIGITS)


def test_an_architecture_without_a_layer_to_fill_is_refused() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(256))

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1) @ self.weight

    with pytest.raises(Unsupported, match="finds no linear or convolutional layer"):
        init.ganbench_trick("").players(lambda data: GAN(Own(), Own(), 4), DIGITS)


@pytest.mark.parametrize("scheme", ["orthogonal", "xavier", "kaiming", "normal"])
def test_spectral_normalisation_knows_the_new_weights_at_the_first_step(scheme) -> None:
    torch.manual_seed(0)
    gan = init.ganbench_trick(scheme).players(lambda data: sngan.ganbench_arch(data, "spectral", 8, 8, {}), DIGITS)
    layers = [m for m in gan.discriminator.modules() if nn.utils.parametrize.is_parametrized(m, "weight")]
    assert layers
    for layer in layers:
        layer.eval()  # as it is, without another power iteration
        sigma = torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
        assert sigma == pytest.approx(1, abs=0.02)


def test_spectral_normalisation_of_stale_vectors_would_be_off() -> None:
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(64, 64))
    nn.init.xavier_uniform_(layer.parametrizations.weight.original.data)
    assert abs(torch.linalg.matrix_norm(layer.eval().weight, 2).item() - 1) > 0.1


# -- who may be combined -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trick", [minibatch_discrimination, minibatch_stddev])
@pytest.mark.parametrize("loss", [wgan_gp, r1])
def test_a_d_that_compares_samples_is_refused_under_a_penalty_of_each_sample(trick, loss) -> None:
    with pytest.raises(Unsupported, match="looks at each sample by itself"):
        trick.ganbench_trick("").loss(loss.ganbench_loss())
    plain = hinge.ganbench_loss()
    assert trick.ganbench_trick("").loss(plain) is plain


# -- scale -------------------------------------------------------------------------------------------------------------


def test_the_cycle_weight_has_the_papers_balance_under_every_loss() -> None:
    """Zhu et al. 2017, equation 3: E (D - 1)² + 10 cycle. With ½ E (D - 1)² that is 5."""
    torch.manual_seed(0)
    spec = DataSpec((1, 16, 16), source=(1, 16, 16))
    gan = cyclegan.ganbench_arch(spec, None, 2, {})
    batch = Batch(torch.rand(2, 1, 16, 16), torch.zeros(2, 1), source=torch.rand(2, 1, 16, 16))
    fake = gan.fake(batch)
    cycle = gan.g_extra(batch, fake)["cycle"]
    torch.testing.assert_close(gan.g_objective(lsgan.ganbench_loss(), batch, fake)["cycle"], cycle / 2)
    torch.testing.assert_close(gan.g_objective(non_saturating.ganbench_loss(), batch, fake)["cycle"], cycle)


def test_a_losss_scale_survives_whatever_is_wrapped_around_it() -> None:
    loss = lsgan.ganbench_loss()
    turn = Turn("G", 0.0, None, None, None, None, None, None)
    assert LossTraits(Shown(InFloat32(loss), [], turn)).scale == 0.5
    assert LossTraits(hinge.ganbench_loss()).scale == 1.0


# -- resampling --------------------------------------------------------------------------------------------------------


def test_r3gan_resamples_with_zeros_beyond_the_border() -> None:
    ones = torch.ones(4)
    torch.testing.assert_close(r3gan.doubling(4) @ ones, torch.tensor([0.75, 1, 1, 1, 1, 1, 1, 0.75]))
    torch.testing.assert_close(r3gan.halving(8) @ torch.ones(8), torch.tensor([0.875, 1, 1, 0.875]))
