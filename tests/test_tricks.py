"""Tricks: each does what its paper says, on any combination, and every row, record and command names it."""

from __future__ import annotations

import gc
import json
import math
import re
import weakref
from dataclasses import replace
from functools import partial

import msgspec
import pytest
import torch
from marks import slow_but
from running import carry_out, job_in, plan_of
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils.parametrize import is_parametrized
from turns import batch_of, turn_of_g

from ganbench import GAN, DataSpec, Split, Trick, Unsupported, __version__, plugins
from ganbench.contracts.arch import count_parameters
from ganbench.contracts.executor import TrainingJob, runs_among
from ganbench.contracts.loss import LossTraits, Match
from ganbench.contracts.protocol import Recipe
from ganbench.contracts.trick import LossAround, Turn
from ganbench.errors import GanbenchError, PluginError
from ganbench.plugins.protocols import load_protocol
from ganbench.records.store import read
from ganbench.runs.players import build_players, build_trick
from ganbench.runs.reproduce import job_of
from ganbench.training.batches import Stream
from ganbench.training.trainer import Trainer
from ganbench.training.tricks import Shown
from ganbench_baselines.arch import cgan, dcgan, mlp
from ganbench_baselines.loss import hinge, lsgan, non_saturating, wgan_gp
from ganbench_baselines.trick import (
    diffaugment,
    ema,
    gradient_clipping,
    init,
    instance_noise,
    label_smoothing,
    minibatch_discrimination,
    minibatch_stddev,
    pacgan,
    spectral_norm,
    ttur,
    unrolled,
)

CPU = torch.device("cpu")
SPEC = DataSpec((1, 16, 16))
POINTS = DataSpec((2,), bounded=False)
NAMES = [source.name for source in plugins.of_kind("trick") if source.package == "ganbench"]


def build(data: DataSpec = SPEC, arch=dcgan, d_norm: str | None = "none") -> GAN:
    return arch.ganbench_arch(data, d_norm, 4, 8)


def linear_d(weight: torch.Tensor):
    return lambda x: x.flatten(1) @ weight


def turn_of(player: str = "D", progress: float = 0.0, **facts) -> Turn:
    nothing = dict.fromkeys(("batch", "fake", "gan", "optimizer_d", "optimizer_g", "d_objective"))
    return Turn(player, progress, **{**nothing, **facts})


def images(n: int = 6, channels: int = 1) -> torch.Tensor:
    return torch.rand(n, channels, 16, 16) * 2 - 1


# -- one by one ------------------------------------------------------------------------------------------------------


def test_label_smoothing_is_cross_entropy_with_target_nine_tenths_for_reals_only():
    D = linear_d(torch.randn(2).double())
    real, fake = torch.randn(5, 2).double(), torch.randn(5, 2).double()
    smoothed = label_smoothing.ganbench_trick("").loss(non_saturating.ganbench_loss())
    bce = binary_cross_entropy_with_logits
    expected = bce(D(real), torch.full((5,), 0.9, dtype=torch.float64)) + bce(D(fake), torch.zeros(5).double())
    assert smoothed.d_loss(D, real, fake).item() == pytest.approx(expected.item(), rel=1e-12)
    assert smoothed.g_loss(D, real, fake) == non_saturating.ganbench_loss().g_loss(D, real, fake)


def test_label_smoothing_of_least_squares_has_the_gradient_of_the_smoothed_target():
    weight = torch.randn(2, dtype=torch.float64, requires_grad=True)
    real, fake = torch.randn(5, 2).double(), torch.randn(5, 2).double()
    smoothed = label_smoothing.ganbench_trick("0.8").loss(lsgan.ganbench_loss())
    with_target = lsgan.LeastSquares(b=0.8)
    ours, theirs = (
        torch.autograd.grad(loss.d_loss(linear_d(weight), real, fake), weight)[0] for loss in (smoothed, with_target)
    )
    assert torch.allclose(ours, theirs, rtol=1e-12)


def test_label_smoothing_asks_d_no_more_often_than_the_loss_does():
    asked = []

    def D(x):
        asked.append(len(x))
        return x.flatten(1).sum(1)

    label_smoothing.ganbench_trick("").loss(hinge.ganbench_loss()).d_loss(D, images(3), images(3))
    assert asked == [3, 3]


@pytest.mark.parametrize("name", ["wgan", "wgan-gp", "rpgan-r1-r2"])
def test_label_smoothing_declines_losses_without_a_target(name):
    with pytest.raises(Unsupported, match="no target to smooth"):
        label_smoothing.ganbench_trick("").loss(plugins.build(plugins.find("loss", name)))


@pytest.mark.parametrize("name", ["minimax", "non-saturating", "lsgan", "hinge", "dragan", "r1"])
def test_label_smoothing_takes_losses_with_a_target_and_keeps_their_traits(name):
    loss = plugins.build(plugins.find("loss", name))
    smoothed = label_smoothing.ganbench_trick("").loss(loss)
    assert vars(LossTraits(smoothed)) == vars(LossTraits(loss))


def test_gradient_clipping_scales_a_long_gradient_as_a_whole_and_leaves_a_short_one():
    params = [torch.zeros(3), torch.zeros(2), torch.zeros(1)]
    params[0].grad, params[1].grad = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 4.0])
    trick = gradient_clipping.ganbench_trick("2")
    trick.gradients(params, "D")
    assert torch.allclose(params[0].grad, torch.tensor([1.2, 0, 0]), rtol=1e-5)
    assert torch.allclose(params[1].grad, torch.tensor([0, 1.6]), rtol=1e-5)
    params[0].grad, params[1].grad = torch.tensor([0.3, 0.0, 0.0]), torch.tensor([0.0, 0.4])
    trick.gradients(params, "G")
    assert params[0].grad[0] == 0.3


@pytest.mark.parametrize("d_norm", ["none", "spectral"])
def test_orthogonal_initialisation_makes_every_weight_orthogonal_also_under_a_norm(d_norm):
    gan = init.ganbench_trick("").players(partial(build, d_norm=d_norm), SPEC)
    layers = [m for m in gan.modules() if isinstance(m, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))]
    assert len(layers) == 6
    for layer in layers:
        weight = dict(layer.named_parameters()).get("weight")
        weight = layer.parametrizations.weight.original if weight is None else weight
        matrix = weight.detach().flatten(1)
        small = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
        assert torch.allclose(small, torch.eye(len(small)), atol=1e-5)


@pytest.mark.parametrize(("scheme", "sd"), [("normal", 0.02), ("kaiming", math.sqrt(2 / 1.04 / 256))])
def test_initialisation_schemes_have_the_spread_of_their_papers(scheme, sd):
    gan = init.ganbench_trick(scheme).players(partial(build, arch=mlp), SPEC)
    weights = dict(gan.discriminator.named_parameters())["1.weight"]
    assert weights.shape == (1024, 256)
    assert weights.std().item() == pytest.approx(sd, rel=0.02)


def test_ttur_sets_the_rate_of_d_as_a_multiple_of_the_one_of_g():
    assert ttur.ganbench_trick("3").recipe(Recipe(lr=1e-3)) == {"d_lr": 3e-3}


def test_ema_sets_the_decay():
    assert ema.ganbench_trick("0.9").recipe(Recipe()) == {"ema": 0.9}


def test_instance_noise_begins_with_its_standard_deviation_and_ends_with_none():
    trick, seen = instance_noise.ganbench_trick("0.5"), []

    def D(x):
        seen.append(x)
        return x.flatten(1).sum(1)

    x = torch.zeros(4000, 2)
    for progress in (0.0, 0.5, 1.0):
        trick.match(Match(D, x, x), turn_of(progress=progress)).D(x)
    assert [x.std().item() for x in seen] == pytest.approx([0.5, 0.25, 0.0], abs=0.02)


def test_a_pack_is_m_samples_as_channels_and_d_has_m_times_the_inputs_only():
    gan, plain = pacgan.ganbench_trick("3").players(build, SPEC), build()
    x = images(6)
    match = pacgan.ganbench_trick("3").match(Match(gan.discriminator, x, -x), turn_of())
    assert torch.equal(match.real[1], x[3:6, 0])
    assert match.D(match.fake).shape == (2,)
    first = plain.discriminator[0].weight.numel()
    grown = count_parameters([gan.discriminator]) - count_parameters([plain.discriminator])
    assert grown == 2 * first
    assert count_parameters([gan.generator]) == count_parameters([plain.generator])


def test_packs_of_points_work_and_packs_that_do_not_fill_a_batch_are_declined():
    gan = pacgan.ganbench_trick("").players(partial(build, arch=mlp), POINTS)
    trick = pacgan.ganbench_trick("")
    assert gan.discriminator(trick.packed(torch.randn(8, 2))).shape == (4,)
    with pytest.raises(Unsupported, match="packs of 2 do not fit into a batch of 7"):
        trick.packed(torch.randn(7, 2))


def test_a_critic_that_knows_the_class_of_each_sample_gets_no_packs_of_several():
    with pytest.raises(Unsupported, match="packs samples of different classes"):
        pacgan.ganbench_trick("2").players(partial(build, arch=cgan), replace(SPEC, classes=10))


def test_a_shift_moves_each_sample_by_its_own_offset_and_fills_in_zeros():
    torch.manual_seed(0)
    x = images(40, channels=2) + 3
    shifted = diffaugment.translation(x)
    offsets = set()
    for before, after in zip(x, shifted, strict=True):
        found = [
            (dy, dx) for dy in range(-2, 3) for dx in range(-2, 3) if torch.equal(after, shift_by_hand(before, dy, dx))
        ]
        assert len(found) == 1
        offsets |= set(found)
    assert {dy for dy, _ in offsets} == {dx for _, dx in offsets} == set(range(-2, 3))


def shift_by_hand(image: torch.Tensor, dy: int, dx: int) -> torch.Tensor:
    moved = torch.zeros_like(image)
    for row in range(16):
        for column in range(16):
            if 0 <= row + dy < 16 and 0 <= column + dx < 16:
                moved[:, row, column] = image[:, row + dy, column + dx]
    return moved


def test_cutout_blanks_a_box_of_half_the_side_wherever_it_falls():
    torch.manual_seed(0)
    blank = diffaugment.cutout(torch.ones(300, 3, 16, 16)) == 0
    assert (blank[:, 0] == blank[:, 2]).all()
    for box in blank[:, 0]:
        rows, columns = box.any(1).nonzero().flatten(), box.any(0).nonzero().flatten()
        assert len(rows) <= 8
        assert len(columns) <= 8
        assert box.sum() == len(rows) * len(columns)
    assert blank.flatten(1).any(1).all()
    assert blank[:, 0].any(0).all()  # every pixel is hit now and then


def test_colour_changes_have_their_ranges_and_keep_the_place():
    torch.manual_seed(0)
    x = torch.zeros(4000, 3, 1, 1)
    brightness = diffaugment.color(x).flatten()
    assert brightness.min().item() == pytest.approx(-0.5, abs=0.01)
    assert brightness.max().item() == pytest.approx(0.5, abs=0.01)
    stripes = torch.stack([torch.full((4, 4), v) for v in (-1.0, 0.0, 1.0)]).expand(500, 3, 4, 4)
    changed = diffaugment.color(stripes)
    assert torch.allclose(changed.std((2, 3)), torch.zeros(500, 3), atol=1e-5)
    spread = changed[:, 2, 0, 0] - changed[:, 0, 0, 0]
    assert spread.min() >= 0
    assert 4 < spread.max() <= 2 * 2 * 1.5  # saturation up to 2, contrast up to 3/2


def test_all_augmentations_are_differentiable_and_differ_between_samples_and_calls():
    trick = diffaugment.ganbench_trick("")
    x = images(4, channels=3).requires_grad_()
    seen = []

    def D(x):
        seen.append(x)
        return x.flatten(1).sum(1)

    match = trick.match(Match(D, x, x), turn_of())
    match.D(x).sum().backward()
    match.D(x)
    assert x.grad.flatten(1).any(1).all()
    assert not torch.equal(seen[0], seen[1])
    alike = trick.match(Match(D, x, x), turn_of())
    alike.D(x[:1].expand(4, -1, -1, -1))
    assert not torch.equal(seen[2][0], seen[2][1])


def test_augmentations_are_chosen_by_name_and_points_are_declined():
    assert diffaugment.ganbench_trick("cutout+color").chosen == ("cutout", "color")
    with pytest.raises(Unsupported, match="no augmentation 'blur'"):
        diffaugment.ganbench_trick("blur")
    with pytest.raises(Unsupported, match="augments 2-D images"):
        diffaugment.ganbench_trick("").players(partial(build, arch=mlp), POINTS)


def test_minibatch_standard_deviation_is_the_mean_over_features_within_each_group():
    f = torch.randn(8, 5, dtype=torch.float64)
    out = minibatch_stddev.StandardDeviation(4)(f)
    groups = [[i for i in range(8) if i % 2 == which] for which in (0, 1)]
    for members in groups:
        expected = f[members].std(0, unbiased=False).mean()
        assert torch.allclose(out[members, 5], expected.expand(4), atol=1e-6)
    assert torch.equal(out[:, :5], f)
    assert minibatch_stddev.StandardDeviation(4)(f[:6]).shape == (6, 6)
    assert minibatch_stddev.StandardDeviation(4)(f[:1].repeat(4, 1))[:, 5].max() < 1.1e-4


def test_minibatch_discrimination_sums_closeness_to_the_others():
    torch.manual_seed(0)
    layer = minibatch_discrimination.Closeness(5, 3).double()
    f = torch.randn(4, 5, dtype=torch.float64)
    M = (f @ layer.T.flatten(1)).view(4, 3, -1)
    for i in range(4):
        for k in range(3):
            closeness = sum(math.exp(-(M[i, k] - M[j, k]).abs().sum().item()) for j in range(4) if j != i)
            assert layer(f)[i, 5 + k].item() == pytest.approx(closeness, rel=1e-9)
    assert torch.allclose(layer(f[:1].expand(4, -1))[:, 5:], torch.full((4, 3), 3.0, dtype=torch.float64))


@pytest.mark.parametrize("trick", [minibatch_stddev, minibatch_discrimination])
@pytest.mark.parametrize("d_norm", ["none", "spectral"])
def test_layers_over_the_minibatch_make_d_see_a_collapse_that_it_could_not_see(trick, d_norm):
    torch.manual_seed(0)
    gan = trick.ganbench_trick("").players(partial(build, d_norm=d_norm), SPEC).double().eval()
    x = images(8).double()
    apart = gan.discriminator(x)[0] - gan.discriminator(x[:1].expand(8, -1, -1, -1))[0]
    assert apart.abs() > 1e-6
    plain = build().double().eval()
    assert torch.allclose(plain.discriminator(x)[0], plain.discriminator(x[:1].expand(8, -1, -1, -1))[0], atol=1e-12)
    last = [m for m in gan.discriminator.modules() if isinstance(m, nn.Linear)][-1]
    assert is_parametrized(last) == (d_norm == "spectral")


def test_layers_over_the_minibatch_decline_a_d_without_a_linear_end():
    d = nn.Sequential(nn.Conv2d(1, 1, 16), nn.Flatten(0))
    with pytest.raises(Unsupported, match="ends in a linear layer"):
        minibatch_stddev.ganbench_trick("").players(lambda data: GAN(nn.Identity(), d, 4), SPEC)


# -- unrolled --------------------------------------------------------------------------------------------------------


def duel(optimizer: str, steps: int = 0, k: int = 3) -> tuple[Trainer, Trick]:
    """A small GAN in double precision, ``steps`` iterations on."""
    torch.manual_seed(3)
    g, d = nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0))
    gan = GAN(g, d, 2).double()
    gan.sample_latent = lambda n, rng: torch.randn(n, 2, generator=rng, dtype=torch.float64)
    stream = Stream(Split(torch.randn(40, 2, dtype=torch.float64)), 8, 1, CPU)
    trainer = Trainer(gan, non_saturating.ganbench_loss(), stream, Recipe(optimizer=optimizer, lr=1e-2), 10, 1, 2)
    trainer.advance(steps)
    return trainer, unrolled.ganbench_trick(str(k))


def unrolled_loss(trainer: Trainer, trick: Trick, batch) -> torch.Tensor:
    fake = trainer.gan.fake(batch)
    turn = turn_of_g(trainer, batch, fake)
    terms = trick.g_objective(lambda: trainer.gan.g_objective(trainer.loss, batch, fake), turn)
    return terms["g_loss"]


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_unrolling_gives_the_loss_against_d_as_it_would_be_and_does_not_move_d(optimizer):
    trainer, trick = duel(optimizer, steps=3)
    batch = batch_of(trainer)
    before = trainer.fingerprint()
    looked_ahead = unrolled_loss(trainer, trick, batch)
    assert trainer.fingerprint() == before
    fake = trainer.gan.fake(batch).detach()
    for _ in range(3):
        trainer.optim_d.zero_grad()
        trainer.gan.d_objective(trainer.loss, batch, fake)["d_loss"].backward()
        trainer.optim_d.step()
    real = trainer.gan.g_objective(trainer.loss, batch, fake)["g_loss"]
    assert looked_ahead.item() == pytest.approx(real.item(), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_the_gradient_of_an_unrolled_loss_runs_through_the_optimiser_of_d(optimizer):
    trainer, trick = duel(optimizer, steps=3)
    batch = batch_of(trainer)
    weight = trainer.gan.generator[0].weight
    (ours,) = torch.autograd.grad(unrolled_loss(trainer, trick, batch), weight)
    (short,) = torch.autograd.grad(
        trainer.gan.g_objective(trainer.loss, batch, trainer.gan.fake(batch))["g_loss"], weight
    )
    numeric = torch.zeros_like(weight)
    for i in range(weight.numel()):
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                weight.view(-1)[i] += sign * 1e-6
            ends.append(unrolled_loss(trainer, trick, batch).item())
            with torch.no_grad():
                weight.view(-1)[i] -= sign * 1e-6
        numeric.view(-1)[i] = (ends[0] - ends[1]) / 2e-6
    assert torch.allclose(ours, numeric, rtol=1e-4, atol=1e-7)
    assert not torch.allclose(ours, short, rtol=1e-2)


def test_unrolling_works_from_the_first_step_when_the_optimiser_has_no_state_yet():
    trainer, trick = duel("adam", steps=0)
    assert unrolled_loss(trainer, trick, batch_of(trainer)).isfinite()


# -- in training -----------------------------------------------------------------------------------------------------


class Recorder(Trick):
    """Notes what it is called with; changes nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def match(self, match, turn):
        self.calls.append(("match", turn.player, round(turn.progress, 3), match.fake.requires_grad))
        return match

    def gradients(self, params, player):
        self.calls.append(("gradients", player, len(params)))


def trainer_with(*tricks: Trick, updates: int = 4) -> Trainer:
    torch.manual_seed(7)
    stream = Stream(Split((images(30) * 100).byte()), 8, 3, CPU)
    return Trainer(build(), wgan_gp.ganbench_loss(), stream, Recipe(d_steps=2), updates, 1, 2, tricks)


def test_a_trick_is_asked_in_both_players_turns_with_the_share_of_the_budget_spent():
    recorder = Recorder()
    trainer_with(recorder).advance(4)
    assert recorder.calls[:6] == [
        ("match", "D", 0.0, False),
        ("gradients", "D", 6),
        ("match", "D", 0.25, False),
        ("gradients", "D", 6),
        ("match", "G", 0.5, True),
        ("gradients", "G", 8),
    ]


def test_a_trick_that_overrides_nothing_leaves_every_bit_as_it_was():
    plain, tricked = trainer_with(), trainer_with(Trick(), Recorder())
    plain.advance(4)
    tricked.advance(4)
    assert plain.fingerprint() == tricked.fingerprint()


class Watching(Trick):
    """Notes which turns are still in memory."""

    def __init__(self) -> None:
        self.turns: list[weakref.ref] = []

    def g_objective(self, objective, turn):
        self.turns.append(weakref.ref(turn))
        return objective()


def test_a_turn_with_its_fakes_is_gone_as_soon_as_it_is_over():
    watching = Watching()
    trainer = trainer_with(watching, updates=8)
    gc.disable()  # what only its cycles hold would wait for the collector, with a batch of activations each
    try:
        trainer.advance(8)
        assert [turn() for turn in watching.turns] == [None] * 4
    finally:
        gc.enable()


def test_a_loss_around_another_keeps_all_traits_and_both_sides():
    around = LossAround(wgan_gp.ganbench_loss())
    assert (around.d_steps, around.d_norm, around.recipe["betas"]) == (5, "none", (0.0, 0.9))
    D, x = linear_d(torch.ones(4)), torch.ones(2, 4)
    assert Shown(around, [], turn_of()).g_loss(D, x, x).item() == -4


# -- jobs, records, tables -------------------------------------------------------------------------------------------


def job_with(tmp_path, *tricks: str, arch="dcgan", loss="non-saturating", **options) -> TrainingJob:
    return job_in(tmp_path / "runs", arch, loss, tricks=tricks, **options)


@pytest.mark.parametrize("arch", slow_but(["dcgan"], ["dcgan", "mlp"]))
@pytest.mark.parametrize("name", NAMES)
def test_every_built_in_trick_trains_on_every_body_to_the_end(tmp_path, name, arch):
    record = carry_out(job_with(tmp_path, name, arch=arch, loss="r1" if name == "spectral-norm" else "hinge"))
    assert (record.status, record.reason) == ("ok", "")
    assert [trick.name for trick in record.tricks] == [name]


def test_all_twelve_tricks_named_by_the_project_are_there():
    assert set(NAMES) == {
        *("label-smoothing", "gradient-clipping", "init", "ttur", "ema", "spectral-norm", "minibatch-discrimination"),
        *("minibatch-stddev", "pacgan", "diffaugment", "instance-noise", "unrolled"),
    }


def test_a_trick_changes_the_bits_and_a_repetition_has_them_again(tmp_path):
    plain = carry_out(job_with(tmp_path / "plain"))
    job = job_with(tmp_path, "diffaugment", "pacgan:4")
    record = carry_out(job)
    assert record.bits.weights != plain.bits.weights
    again = carry_out(job_of(record, load_protocol("smoke-v1"), tmp_path / "again", "cpu"))
    assert again.bits == record.bits


def test_tricks_stand_in_entry_folder_and_record_in_one_order(tmp_path):
    job, other = job_with(tmp_path, "pacgan:4", "ema:0.9"), job_with(tmp_path, "ema:0.9", "pacgan:4")
    assert job == other
    assert job.entry == "dcgan+non-saturating+ema:0.9+pacgan:4"
    assert "dcgan+non-saturating+ema~0.9+pacgan~4" in job.folder
    record = carry_out(job)
    assert record.entry == job.entry
    assert record.recipe["ema"] == 0.9
    assert record.recipe_from["ema"] == "trick ema:0.9"
    assert all(trick.package == "ganbench" and trick.source for trick in read(job.record_file).tricks)
    assert "~" in record.file_name
    assert ":" not in record.file_name


def test_what_the_user_sets_has_the_last_word_over_a_trick(tmp_path):
    from ganbench.runs.changes import parse_changes

    job = job_with(tmp_path, "ttur:2", changes=parse_changes(["d_lr=0.5"]))
    assert (
        build_players(job, plugins.build(plugins.find("dataset", "digits"), argument="", resolution=16)).recipe.d_lr
        == 0.5
    )


def test_the_record_says_which_normalisation_a_trick_brought(tmp_path):
    assert carry_out(job_with(tmp_path, "spectral-norm")).d_norm == "spectral"


def test_two_tricks_that_want_different_normalisations_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(spectral_norm.SpectralNorm, "d_norm", "spectral")
    monkeypatch.setattr(ttur.TTUR, "d_norm", "none")
    with pytest.raises(Unsupported, match=r"D with (spectral and with none|none and with spectral) normalisation"):
        carry_out(job_with(tmp_path, "spectral-norm", "ttur"))


def test_a_run_whose_trick_was_edited_is_not_gone_on_with(tmp_path):
    job = job_with(tmp_path, "ema")
    record = carry_out(job)
    edited = msgspec.structs.replace(record.tricks[0], source="0" * 12)
    from ganbench.records.store import write

    write(msgspec.structs.replace(record, tricks=(edited,)), job.record_file)
    (again,) = runs_among(plan_of(tmp_path / "runs", "dcgan", "non-saturating", tricks=["ema"]).changed)
    assert again.tricks == ("ganbench:ema",)


TRICK = """
    from ganbench import Trick, hookimpl

    class Plugin(Trick):
        def gradients(self, params, player):
            for p in params:
                p.grad.sign_()

    @hookimpl
    def ganbench_trick():
        return Plugin()
"""


def test_a_third_partys_trick_runs_and_stands_in_the_table_with_a_rank_of_its_own(ganbench_command, install, quick):
    install("acme-tricks", "trick", "signs", TRICK)
    done = ganbench_command(
        "run", "--arch", "dcgan", "--loss", "hinge", "--trick", "signs", "--protocol", quick, "--json"
    )
    assert done.returncode == 0, done.stderr
    (row,) = [row for row in json.loads(done.stdout)["rows"] if row["kind"] != "yardstick"]
    assert (row["kind"], row["name"]) == ("entry", "dcgan+hinge+signs")
    assert [(trick["name"], trick["package"]) for trick in row["tricks"]] == [("signs", "acme-tricks")]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("pacgan:1", "'1' is not a number of 2 or more"),
        ("pacgan:2.5", "'2.5' is not a whole number"),
        ("ema:x", "'x' is not a number from 0 to 0.999999"),
        ("ema:nan", "'nan' is not a number from 0 to 0.999999"),
        ("instance-noise:inf", "'inf' is not a number of 0 or more"),
        ("init:nice", "there is no scheme 'nice'"),
        ("spectral-norm:2", f"spectral-norm (ganbench {__version__}) takes no argument"),
    ],
)
def test_an_argument_that_makes_no_sense_is_told(text, sentence):
    with pytest.raises(GanbenchError) as caught:
        build_trick(text)
    assert sentence in caught.value.message


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("pacgam", "no trick called 'pacgam' - did you mean 'pacgan'?"),
        ("all", "--trick all: tricks are applied together"),
        ("label-smoothing", "the trick label-smoothing has no meaning for wgan-gp"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence_with_exit_code_2(ganbench_here, quick, text, sentence):
    done = ganbench_here("run", "--arch", "dcgan", "--loss", "wgan-gp", "--trick", text, "--protocol", quick)
    assert done.returncode == 2
    assert sentence in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_plugin_that_returns_something_else_than_a_trick_is_named(monkeypatch, tmp_path):
    job = job_with(tmp_path, "ema")
    monkeypatch.setattr(ema, "EMA", lambda decay: {"decay": decay})
    with pytest.raises(PluginError, match=rf"ema \(ganbench {re.escape(__version__)}\) returned a dict"):
        build_players(job, plugins.build(plugins.find("dataset", "digits"), argument="", resolution=16))


def test_a_packed_spec_differs_in_its_channels_alone():
    asked = []

    def spy(data):
        asked.append(data)
        return build(data)

    pacgan.ganbench_trick("2").players(spy, SPEC)
    assert asked == [SPEC, replace(SPEC, shape=(2, 16, 16))]


@pytest.mark.parametrize(("side", "limit"), [(16, 2), (12, 2), (8, 1), (32, 4)])
def test_diffaugment_shifts_by_up_to_an_eighth_of_the_side_rounded(side, limit) -> None:
    by = diffaugment.shifts(side, torch.linspace(0, 1 - 1e-6, 1000))
    assert by.unique().tolist() == list(range(-limit, limit + 1))
    counts = torch.bincount(by + limit).float()
    assert counts.min() > 0.9 * counts.max()
