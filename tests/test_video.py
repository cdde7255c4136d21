"""Video: moving digits, the clip classifier, VideoGAN with one critic and two, and the metrics of frames and motion."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor, nn

from ganbench.contracts.arch import GAN, count_parameters, normalisation
from ganbench.contracts.data import Batch, Dataset, DataSpec, Split
from ganbench.contracts.evaluation import Evaluation
from ganbench.contracts.extractor import extract
from ganbench.contracts.protocol import Recipe
from ganbench.errors import DataError, ProtocolError, Unsupported
from ganbench.evaluation.judge import Judge
from ganbench.evaluation.sampling import sample
from ganbench.testing.findings import ConformanceError
from ganbench.testing.metric import CHECKS as METRIC_CHECKS
from ganbench.testing.metric import MetricCase
from ganbench.testing.worlds import World
from ganbench.training.batches import Stream
from ganbench.training.trainer import Trainer
from ganbench_baselines.arch import video_layers, videogan, videogan_two_critic
from ganbench_baselines.dataset import digits, moving_digits
from ganbench_baselines.extractor import clips_cnn, digits_cnn, train_clips_cnn, train_cnn
from ganbench_baselines.loss import non_saturating, r1, rpgan_r1_r2
from ganbench_baselines.metric import frames, frechet, motion
from ganbench_baselines.protocol import moving_digits_64_v1, moving_digits_v1

CPU = torch.device("cpu")
SMALL, PAPER = DataSpec((1, 8, 16, 16), classes=10), DataSpec((3, 32, 64, 64))
ARCHS = {"videogan": videogan, "videogan-two-critic": videogan_two_critic}
every_arch = pytest.mark.parametrize("arch", ARCHS)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return moving_digits.ganbench_dataset(argument="", resolution=None)


@pytest.fixture(scope="module")
def cnn() -> clips_cnn.ClipsCNN:
    return clips_cnn.load()


@pytest.fixture(scope="module")
def published() -> dict:
    return json.loads(clips_cnn.WEIGHTS.with_suffix(".json").read_text())


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def first(split: Split, n: int) -> Split:
    return split[torch.arange(n)]


def build(arch: str = "videogan", data: DataSpec = SMALL, d_norm: str | None = None, width: int = 4, **settings: Any):
    return ARCHS[arch].ganbench_arch(data=data, d_norm=d_norm, width=width, z_dim=8, settings=settings)


def batch_for(gan: GAN, data: DataSpec = SMALL, n: int = 4) -> Batch:
    return Batch(torch.rand(n, *data.shape, generator=rng()) * 2 - 1, gan.sample_latent(n, rng()))


# --- moving digits ----------------------------------------------------------------------------------------------------


def test_moving_digits_are_labelled_clips_of_uint8_with_a_frame_rate(data):
    assert data.spec.shape == (1, 8, 16, 16)
    assert (data.spec.classes, data.spec.rate) == (10, 8.0)
    assert (len(data.train), len(data.test)) == (12_000, 3_000)
    assert data.train.x.dtype == torch.uint8
    assert int(data.train.x.max()) > 250


def test_moving_digits_are_the_same_bits_on_every_call_and_machine(data):
    assert data.fingerprint == "269f460a7300c910"


def test_moving_digits_come_with_any_number_of_frames_and_larger(monkeypatch):
    monkeypatch.setattr(moving_digits, "MOST", 40)
    long = moving_digits.ganbench_dataset(argument="12", resolution=32)
    assert long.train.x.shape == (40, 1, 12, 32, 32)
    assert long.test.x.shape == (10, 1, 12, 32, 32)


def test_moving_digits_of_many_pixels_are_fewer_so_that_they_fit_into_memory(monkeypatch):
    monkeypatch.setattr(moving_digits, "MOST_PIXELS", 10 * 8 * 16 * 16)
    assert len(moving_digits.ganbench_dataset(argument="", resolution=16).train) == 10


@pytest.mark.parametrize(("argument", "resolution"), [("one", None), ("1", None), ("65", None), ("-8", None), ("", 8)])
def test_moving_digits_refuse_what_they_cannot_show(argument, resolution):
    with pytest.raises(Unsupported) as caught:
        moving_digits.ganbench_dataset(argument=argument, resolution=resolution)
    assert caught.value.hint


def test_digits_keep_their_speed_and_stay_in_the_frame():
    place, velocity = moving_digits.paths(500, 16, 16, rng())
    assert place.min() >= 0
    assert place.max() <= 4
    speed = velocity.norm(dim=1)
    assert speed.min() > 0.3
    assert speed.max() < 0.66
    step = place.diff(dim=1)
    turning = (step.abs() - velocity.abs()[:, None]).abs() > 1e-5  # a step on which the digit meets a border is shorter
    assert (step.abs() <= velocity.abs()[:, None] + 1e-5).all()
    assert 0.02 < turning.double().mean() < 0.25
    assert (step.sign().amin(dim=1) < step.sign().amax(dim=1)).any(dim=1).double().mean() > 0.5  # they do bounce


def test_motion_is_the_stated_triangular_wave():
    place, velocity = moving_digits.paths(50, 16, 16, rng())
    t, span = torch.arange(16)[:, None], 4
    whole = (place[:, :1] + t * velocity[:, None]) % (2 * span)
    assert torch.equal(place, torch.where(whole > span, 2 * span - whole, whole))


def test_a_digit_between_pixels_is_interpolated_over_the_background():
    ink = torch.zeros(1, 1, 10, 10)
    ink[0, 0, 2, 3] = 255
    x = moving_digits.filmed(ink, torch.tensor([[[1.25, 2.5]]]), torch.full((1, 16, 16), 40.0))[0, 0, 0]
    cover = {(3, 5): 0.375, (3, 6): 0.375, (4, 5): 0.125, (4, 6): 0.125}
    for at in ((y, x) for y in range(16) for x in range(16)):
        assert x[at] == round(255 * cover.get(at, 0) + 40 * (1 - cover.get(at, 0)))


def test_train_clips_show_training_digits_and_test_clips_held_out_ones(monkeypatch):
    def load(side):
        return tuple(
            Split(torch.full((10, 1, side, side), ink, dtype=torch.uint8), torch.arange(10)) for ink in (250, 150)
        )

    monkeypatch.setattr(digits, "load", load)
    monkeypatch.setattr(moving_digits, "MOST", 100)
    shown = moving_digits.ganbench_dataset(argument="", resolution=16)
    assert (shown.train.x.amax(dim=(1, 2, 3, 4)) >= 250).all()
    assert (shown.test.x.amax(dim=(1, 2, 3, 4)) < 190).all()


def test_a_clip_is_labelled_by_the_digit_that_it_shows(data):
    _, logits = extract(digits_cnn.load(), frames.cut_out(data.test.x[:500]).flatten(0, 1), CPU)
    right = logits.argmax(dim=1).view(500, 8) == data.test.labels[:500, None]
    assert right.double().mean() > 0.98


def test_yardsticks_stand_still_lose_their_order_and_change_their_digit(data):
    like = first(data.test, 200)
    made = {name: make(like, 1).x for name, make in data.yardsticks.items()}
    assert set(made) == {"still", "shuffled frames", "changing digit"}
    assert all(x.shape == like.x.shape and x.dtype == torch.uint8 for x in made.values())
    assert int(made["still"].diff(dim=2).count_nonzero()) == 0
    trained = {clip.numpy().tobytes() for clip in data.train.x.flatten(1).sort(dim=1).values}
    assert all(clip.numpy().tobytes() in trained for clip in made["shuffled frames"].flatten(1).sort(dim=1).values)
    moved = motion.statistics(made["shuffled frames"])["residual"] > 2
    assert moved.double().mean() > 0.95
    again = data.yardsticks["changing digit"](like, 1).x
    assert torch.equal(again, made["changing digit"])
    assert not torch.equal(data.yardsticks["changing digit"](like, 2).x, again)


# --- clips-cnn --------------------------------------------------------------------------------------------------------


def test_published_file_speaks_of_the_weights_that_ship(cnn, published):
    assert published["weights"] == cnn.weights_hash
    assert published["gate"] == cnn.gate
    assert published["confusion"] == cnn.confusion.tolist()
    assert clips_cnn.WEIGHTS.stat().st_size < 300_000


def test_clips_of_held_out_digits_and_their_directions_are_told_as_published(cnn, published):
    clips, place, velocity = train_clips_cnn.once(digits.load(12)[1])
    confidence, assigned = train_cnn.judged(cnn, clips.x)
    assert train_cnn.share(assigned == clips.labels) == pytest.approx(published["held_out_accuracy"], abs=0.003)
    assert train_cnn.share(confidence >= cnn.gate) == pytest.approx(published["held_out_passed"], abs=0.01)
    told = train_cnn.share(train_clips_cnn.told_directions(cnn, clips, place, velocity))
    assert told == pytest.approx(published["held_out_directions"], abs=0.01)
    assert published["held_out_accuracy"] > 0.98
    assert published["held_out_directions"] > 0.95


def test_confusion_counts_each_held_out_digit_that_passed_once(cnn, published):
    passed = round(published["held_out_passed"] * published["held_out_n"])
    assert cnn.confusion.sum() == passed
    assert cnn.confusion.diag().sum() / passed > 0.98


def test_features_of_training_clips_are_standardised(cnn, data):
    features, _ = extract(cnn, data.train.x[:1500], CPU)
    assert features.shape == (1500, 48)
    assert features.mean(dim=0).abs().max() < 0.12
    assert (features.std(dim=0) - 1).abs().max() < 0.12


def test_features_tell_clips_that_stand_still_or_are_out_of_order_from_real_ones(cnn, data):
    def moments(x: Tensor):
        return frechet.moments([extract(cnn, x, CPU)[0]])

    like = first(data.test, 600)
    real = moments(like.x)
    floor = frechet.distance(real, moments(data.train.x[:600]))
    for make in data.yardsticks.values():
        assert frechet.distance(real, moments(make(like, 0).x)) > 4 * floor


def test_what_shows_no_single_digit_does_not_pass_the_gate(cnn, data, published):
    odd = train_clips_cnn.strangers(data, 300)
    for name in ("changing digit", "two digits at once", "uniform noise", "backgrounds", "blurred"):
        passed = train_cnn.share(train_cnn.judged(cnn, odd[name])[0] >= cnn.gate)
        assert passed == pytest.approx(published["strangers_passed"][name], abs=0.05)


@pytest.mark.parametrize(("argument", "resolution"), [("16", 16), ("8", 64), ("5", 24)])
def test_clips_of_other_sizes_and_lengths_are_read(cnn, monkeypatch, argument, resolution):
    monkeypatch.setattr(moving_digits, "MOST", 400)
    test = moving_digits.ganbench_dataset(argument=argument, resolution=resolution).test
    assert (train_cnn.judged(cnn, test.x)[1] == test.labels).double().mean() > 0.9


def test_a_grey_clip_in_three_channels_is_read_as_one_in_one(cnn, data):
    one, three = (cnn(x) for x in (data.test.x[:4], data.test.x[:4].expand(-1, 3, -1, -1, -1)))
    assert torch.allclose(one[0], three[0], atol=1e-4)


@pytest.mark.parametrize(
    "shape", [(2, 1, 16, 16), (2, 1, 3, 16, 16), (2, 1, 8, 16, 8)], ids=["image", "short", "oblong"]
)
def test_clips_cnn_refuses_what_it_would_judge_wrongly(cnn, shape):
    with pytest.raises(Unsupported, match="clips of 4 or more square"):
        cnn(torch.zeros(shape, dtype=torch.uint8))


def test_damaged_weights_of_clips_cnn_are_a_sentence(tmp_path):
    (tmp_path / "damaged").write_bytes(clips_cnn.WEIGHTS.read_bytes()[:5000])
    for name in ("damaged", "missing"):
        with pytest.raises(DataError, match=name):
            clips_cnn.load(tmp_path / name)


def test_lessons_hold_clips_in_order_shuffled_still_and_odd_with_their_true_motion():
    recipe = train_clips_cnn.Recipe()
    lesson = train_clips_cnn.lesson(digits.load(12)[0], recipe, rng())
    assert lesson.x.shape == (recipe.clips, 1, 8, 16, 16)
    still = slice(recipe.plain + recipe.broken // 2, recipe.plain + recipe.broken)
    assert int(lesson.x[still].diff(dim=2).count_nonzero()) == 0
    assert lesson.motion[still, 2:].abs().max() == 0
    turns = lesson.motion[:, 6]
    assert turns[recipe.plain : still.start].mean() > 5 * turns[: recipe.plain].mean()
    assert torch.allclose(lesson.classes.sum(dim=1), torch.ones(recipe.clips))
    assert lesson.classes[: recipe.plain].amax(dim=1).min() == 1
    assert torch.allclose(lesson.classes[-recipe.odd // 2 :], torch.tensor(0.1))


# --- the players ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 8, 16, 16), (1, 16, 64, 64), (3, 32, 64, 64), (3, 16, 16, 16), (1, 8, 24, 16)])
@every_arch
def test_players_are_built_for_clips_of_many_sizes(arch, shape):
    with torch.device("meta"):
        gan = build(arch, DataSpec(shape))
        z = torch.empty(2, 8)
        parts = gan.generator.parts(z)
        assert parts.x.shape == parts.foreground.shape == (2, *shape)
        assert parts.mask.shape == (2, 1, *shape[1:])
        assert parts.background.shape == (2, shape[0], *shape[2:])
        critics = gan.discriminator.values() if isinstance(gan.discriminator, nn.ModuleDict) else [gan.discriminator]
        for critic in critics:
            assert critic(parts.x if critic[0].weight.ndim == 5 else parts.x[:, :, 0]).shape == (2,)


def transposed(before: int, after: int, depth: int) -> int:
    """Parameters of a transposed convolution in the paper's code, bias included: ``depth`` x4x4, or 4x4 for 0."""
    return before * after * 16 * (depth or 1) + after


def test_parameters_are_those_of_the_papers_code_without_what_changes_nothing():
    """main.lua at github.com/cvondrick/videogan: 16,245,383 in G and 11,057,858 in D."""
    widths = [512, 256, 128, 64]
    norms = 2 * sum(widths)

    def stream(depths: list[int]) -> int:
        pairs = zip([100, *widths], [*widths, 3], depths, strict=True)
        return sum(transposed(*pair) for pair in pairs) + norms

    background, foreground, mask = stream([0] * 5), stream([2, 4, 4, 4, 4]), transposed(64, 1, 4)
    official_g = background + foreground + mask
    d_layers = [(3, 64), (64, 128), (128, 256), (256, 512)]
    official_d = sum(64 * a * b + b for a, b in d_layers) + 2 * (128 + 256 + 512) + (32 * 512 * 2 + 2)
    assert (official_g, official_d) == (16_245_383, 11_057_858)

    with torch.device("meta"):
        two, one = (
            videogan.ganbench_arch(data=PAPER, d_norm=None, width=64, z_dim=100, settings={"background": background})
            for background in (True, False)
        )
    biases_under_batch_norm, second_logit = sum(widths), 32 * 512 + 1  # it has a softmax over two classes
    assert count_parameters([two.generator]) == official_g - 2 * biases_under_batch_norm
    assert count_parameters([one.generator]) == foreground - biases_under_batch_norm
    assert count_parameters([two.discriminator]) == official_d - (128 + 256 + 512) - second_logit


def test_a_clip_is_foreground_under_the_mask_and_background_elsewhere():
    gan = build()
    nn.init.normal_(gan.generator.head.weight)
    x, f, m, b = gan.generator.parts(gan.sample_latent(4, rng()))
    assert 0 <= m.min() < 0.2
    assert 0.8 < m.max() <= 1
    assert torch.allclose(x, m * f + (1 - m) * b[:, :, None], atol=1e-6)


def test_without_foreground_nothing_moves():
    gan = build()
    nn.init.zeros_(gan.generator.head.weight)
    nn.init.constant_(gan.generator.head.bias, -100)
    x = gan.generator.eval()(gan.sample_latent(4, rng()))
    assert (x.diff(dim=2) == 0).all()
    assert x.std() > 0


@every_arch
def test_the_mean_of_the_mask_is_added_to_what_g_minimises(arch):
    gan = build(arch, sparsity=0.5)
    batch = batch_for(gan)
    fake = gan.fake(batch)
    terms = gan.g_objective(non_saturating.ganbench_loss(), batch, fake)
    assert set(terms) == {"g_loss", "mask"}
    assert torch.allclose(terms["mask"], 0.5 * fake.mask.mean())
    assert set(gan.d_objective(non_saturating.ganbench_loss(), batch, fake)) == {"d_loss"}


@every_arch
def test_one_stream_has_neither_mask_nor_background(arch):
    gan = build(arch, background=False)
    batch = batch_for(gan)
    fake = gan.fake(batch)
    assert fake.mask is None
    assert fake.background is None
    assert set(gan.g_objective(non_saturating.ganbench_loss(), batch, fake)) == {"g_loss"}
    assert not any("mask" in name or "background" in name for name, _ in gan.named_parameters())


def test_settings_are_kept_and_unknown_ones_refused():
    assert build(background=False).settings == videogan.Settings(background=False, sparsity=0.1)
    with pytest.raises(ProtocolError, match="backgrund"):
        build(backgrund=False)


def test_one_critic_sees_a_frame_of_each_clip_and_the_other_whole_clips():
    gan = build("videogan-two-critic")
    batch = batch_for(gan)
    shown = []
    for _ in range(20):
        frame, clip = gan.matches(batch, gan.fake(batch))
        assert clip.real is batch.real
        same = (batch.real == frame.real[:, :, None]).flatten(3).all(dim=3)[:, 0]
        assert (same.sum(dim=1) == 1).all()
        shown.append(same.double().argmax(dim=1))
    assert len(torch.stack(shown).unique()) == 8
    assert frame.fake.shape == (4, 1, 16, 16)


@pytest.mark.parametrize(("d_norm", "built"), [(None, "batch"), ("none", "none"), ("spectral", "spectral")])
@every_arch
def test_critics_are_normalised_as_the_loss_wants(arch, d_norm, built):
    assert normalisation(build(arch, d_norm=d_norm).discriminators()) == built


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((1, 16, 16), "clips of video"), ((1, 6, 16, 16), "halved 2 times"), ((1, 8, 15, 15), "sides can be halved")],
)
@every_arch
def test_what_a_video_gan_cannot_make_is_declined_in_a_sentence(arch, shape, reason):
    with pytest.raises(Unsupported, match=reason):
        build(arch, DataSpec(shape))


@pytest.mark.parametrize("loss", [non_saturating, r1, rpgan_r1_r2])
@every_arch
def test_two_iterations_of_training_change_every_weight(arch, loss, data):
    objective = loss.ganbench_loss()
    gan = build(arch, d_norm=getattr(objective, "d_norm", None))
    # a relativistic loss knows no bias of the logit
    before = {name: value.clone() for name, value in gan.named_parameters() if value.ndim > 1}
    trainer = Trainer(gan, objective, Stream(data.train, 4, 0, CPU), Recipe(ema=0), 2, 0, 0)
    trainer.advance(2)
    assert not any(torch.equal(value, before[name]) for name, value in gan.named_parameters() if name in before)
    x = sample(trainer.averaged, first(data.test, 6), 0, CPU).x
    assert x.shape == (6, 1, 8, 16, 16)


# --- the metrics ------------------------------------------------------------------------------------------------------


def evaluation(data: Dataset, fake: Tensor, n: int = 300, **more: Any) -> Evaluation:
    like = first(data.test, n)
    return Evaluation(real=like.x, fake=fake, spec=data.spec, rng=rng(), oracle=data.oracle, **more)


@pytest.fixture(scope="module")
def scores(data) -> dict[str, dict[str, float]]:
    """Both metrics on real clips, a copy, and the yardsticks."""
    like = first(data.test, 300)
    fakes = {name: make(like, 0).x for name, make in data.yardsticks.items()}
    fakes |= {"copy": like.x, "real": data.train.x[:300], "one": data.train.x[data.train.labels == 3][:300]}
    found = {}
    for name, fake in fakes.items():
        seen = evaluation(data, fake)
        found[name] = {**motion.Motion()(seen), **frames.Frames()(seen)}
    return found


def test_real_clips_beat_the_yardstick_that_breaks_what_a_column_is_for(scores):
    real = scores["real"]
    assert 10 * real["speed_w1"] < scores["still"]["speed_w1"]
    assert 10 * real["residual_w1"] < scores["still"]["residual_w1"]
    assert 100 * real["residual_w1"] < scores["shuffled frames"]["residual_w1"]
    assert real["identity"] > 0.85
    assert scores["changing digit"]["identity"] < 0.01
    assert 10 * real["frame_fid"] < scores["one"]["frame_fid"]
    assert (real["frame_modes"], scores["one"]["frame_modes"]) == (10, 1)
    for name in ("still", "shuffled frames", "changing digit"):  # whose frames are as good as real ones
        assert scores[name]["frame_fid"] < 2 * real["frame_fid"]
        assert scores[name]["frame_hq"] == pytest.approx(real["frame_hq"], abs=0.05)


def test_a_copy_of_the_reals_scores_zero_in_every_distance(scores):
    assert all(scores["copy"][name] == pytest.approx(0, abs=1e-9) for name in (*motion.Motion.columns, "frame_fid"))


def test_statistics_of_motion_are_those_of_the_path_that_was_drawn():
    n = 60
    place, _ = moving_digits.paths(n, 8, 16, rng())
    x = moving_digits.filmed(torch.full((n, 1, 12, 12), 255.0), place, moving_digits.backgrounds(n, 16, rng()))
    found = motion.statistics(x)
    true = 100 / 16 * (place[:, 2:] - place[:, :-2]).norm(dim=2).mean(dim=1).double() / 2
    assert torch.allclose(found["speed"], true, rtol=0.1)
    assert found["residual"].max() < 0.6  # percent of 16 pixels: a tenth of a pixel
    assert found["flicker"].max() == 0


def test_straight_and_bouncing_paths_leave_no_residual_and_a_random_walk_does():
    t = torch.arange(8, dtype=torch.float64)
    straight = torch.stack([20 + 3 * t, 60 - 2 * t], dim=1)
    bouncing = torch.stack([(t - 2.5).abs() * 3, 30 + t], dim=1)
    walk = torch.randn(8, 2, generator=rng(), dtype=torch.float64)
    left = motion.residuals(torch.stack([straight, bouncing, walk, torch.zeros(8, 2, dtype=torch.float64)]))
    assert left[[0, 1, 3]].max() < 1e-6
    assert left[2] > 0.3


def test_the_residual_is_the_root_mean_square_in_both_directions():
    zigzag = torch.tensor([1.0, -1.0] * 4, dtype=torch.float64)
    t = torch.arange(8, dtype=torch.float64)
    (left,) = motion.residuals(torch.stack([zigzag, t], dim=1)[None])
    (waves,) = (motion.steady(8),)
    explained = (waves @ zigzag).square().max()
    assert left == pytest.approx(math.sqrt((8 - explained) / 8))


def test_flicker_looks_at_the_ground_alone():
    x = torch.full((3, 1, 4, 16, 16), 20, dtype=torch.uint8)
    x[0, 0, :, 6:9, 6:9] = torch.tensor([200, 250, 200, 250], dtype=torch.uint8)[:, None, None]
    x[1, 0, 1::2] += 10
    x[2] = 200
    x[2, 0, 1::2] += 30
    assert motion.statistics(x)["flicker"].tolist() == [0, 10, 30]


@pytest.mark.parametrize("m", [50, 73])
def test_wasserstein_distance_is_scipys(m):
    one = torch.randn(50, generator=rng(), dtype=torch.float64)
    other = 2 * torch.rand(m, generator=rng(), dtype=torch.float64)
    assert motion.wasserstein(one, other) == pytest.approx(wasserstein_distance(one.numpy(), other.numpy()), rel=1e-12)


def test_frames_of_real_clips_are_recognised_wherever_the_digit_is(data):
    x, labels = data.test.x[:1000], data.test.labels[:1000]
    _, logits = extract(digits_cnn.load(), frames.cut_out(x).flatten(0, 1), CPU)
    right = logits.argmax(dim=1) == labels.repeat_interleave(8)
    passed = logits.softmax(dim=1).amax(dim=1) >= digits_cnn.DigitsCNN.gate
    assert right.double().mean() == pytest.approx(0.996, abs=0.004)  # as the metric says of itself
    assert passed.double().mean() == pytest.approx(0.96, abs=0.015)


def test_a_digit_that_moves_by_whole_pixels_is_cut_out_the_same():
    x = torch.zeros(1, 1, 5, 16, 16, dtype=torch.uint8)
    digit = digits.load(12)[0].x[3, 0]
    for t in range(5):
        x[0, 0, t, t : t + 12, 4 - t : 16 - t] = digit
    cut = frames.cut_out(x)[0, :, 0].int()
    assert (cut - cut[:1]).abs().max() <= 1
    assert cut.max() > 200


def test_identity_is_kept_by_clips_that_are_mostly_sure_of_one_digit():
    clips = torch.tensor([[3, 3, 3, 3], [3, -1, 3, -1], [3, -1, -1, -1], [3, 3, 4, 3], [-1, -1, -1, -1]])
    assert frames.keeps_identity(clips).tolist() == [True, True, False, False, False]


def test_columns_of_frames_name_digits_cnn_and_those_of_motion_name_nothing(data, cnn):
    metrics = {"frames": frames.Frames(), "motion": motion.Motion()}
    judge = Judge(data, first(data.test, 100), metrics, cnn, CPU)
    named = set(judge.score(first(data.train, 100), 0).scores)
    tag = digits_cnn.load().tag
    assert named == {f"{name}@{tag}" for name in frames.Frames.columns} | set(motion.Motion.columns)


@pytest.mark.parametrize("metric", [motion.Motion(), frames.Frames()], ids=["motion", "frames"])
def test_what_is_no_video_is_declined(metric, data):
    images = torch.zeros(20, 1, 16, 16, dtype=torch.uint8)
    floats = torch.zeros(20, 1, 8, 16, 16)
    for x in (images, floats):
        with pytest.raises(Unsupported, match="clips"):
            metric(Evaluation(real=x, fake=x, spec=DataSpec(tuple(x.shape[1:])), rng=rng(), oracle=data.oracle))


def test_frames_declines_clips_of_unknown_digits_and_of_none(data):
    seen = evaluation(data, data.train.x[:100], n=100)
    with pytest.raises(Unsupported, match="ten modes"):
        frames.Frames()(replace(seen, oracle=None))
    with pytest.raises(Unsupported, match="does not recognise"):
        frames.Frames()(replace(seen, real=255 - seen.real))


def test_shares_are_relative_to_those_of_the_reals():
    true, false = torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)
    half = torch.tensor([True, False, True, False])
    assert frames.relative(half, true) == 0.5
    assert frames.relative(torch.cat([half, false]), half) == 0.5
    assert frames.relative(true, half) == 1


@pytest.mark.parametrize("metric", [motion.Motion(), frames.Frames()], ids=["motion", "frames"])
def test_metrics_of_video_keep_the_contract_in_a_world_of_moving_digits(metric, data, cnn):
    n = 100
    real, other = first(data.test, n), first(data.train, n)
    noise = (256 * torch.rand(real.x.shape, generator=rng())).to(torch.uint8)
    few = {name: data.train[(data.train.labels < most).nonzero().flatten()[:n]] for name, most in
           {"one_class": 1, "half": 5}.items()}  # fmt: skip
    fakes = {name: (split.x, split.labels) for name, split in {"other": other, **few}.items()}
    fakes |= {"noise": (noise, real.labels), "repeated": (real.x[:1].expand_as(real.x), real.labels)}
    for name, share in {"quarter_noise": n // 4, "half_noise": n // 2}.items():
        fakes[name] = (torch.cat([noise[:share], other.x[share:]]), other.labels)
    world = World("moving digits", data.spec, cnn, data.oracle, (real.x, real.labels), fakes)
    found = METRIC_CHECKS.run(MetricCase(metric, (world,)), ())
    if found:
        raise ConformanceError(type(metric).__name__, found)


# --- the protocols ----------------------------------------------------------------------------------------------------


def test_the_larger_protocol_is_built_and_trained_for_two_iterations(monkeypatch):
    rules = moving_digits_64_v1.ganbench_protocol()
    monkeypatch.setattr(moving_digits, "MOST", 8)
    frames_ = rules.dataset_ref.argument
    large = moving_digits.ganbench_dataset(argument=frames_, resolution=rules.resolution)
    assert large.spec.shape == (1, 16, 64, 64)
    trainer = Trainer(build(data=large.spec, width=2), non_saturating.ganbench_loss(),
                      Stream(large.train, 2, 0, CPU), Recipe(), 2, 0, 0)  # fmt: skip
    trainer.advance(2)
    assert trainer.done


def test_both_protocols_name_yardsticks_that_there_are(data):
    core = {"real data", "training data", "class gaussians", "gaussian fit", "one class", "noise"}
    for module in (moving_digits_v1, moving_digits_64_v1):
        rules = module.ganbench_protocol()
        assert set(rules.evaluation.yardsticks) <= core | set(data.yardsticks)
        assert len(rules.seeds) == 3


def test_the_paper_sized_plan_doubles_two_frames_of_4_by_4_four_times():
    assert video_layers.clip_plan(PAPER) == (3, (2, 4, 4), 4)
    assert video_layers.clip_plan(SMALL) == (1, (2, 4, 4), 2)
    assert video_layers.clip_plan(DataSpec((1, 16, 64, 64))) == (1, (1, 4, 4), 4)
