"""Unpaired translation: its datasets, CycleGAN, and what tells a right translation from one that can be undone."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from painted import rows
from PIL import Image
from scipy import ndimage
from taped import TapeRecorder
from torch import nn

from ganbench import Batch, DataError, DataSpec, Split, Unsupported
from ganbench.contracts.arch import count_parameters
from ganbench.contracts.data import to_signal
from ganbench.contracts.protocol import Recipe
from ganbench.errors import ProtocolError
from ganbench.evaluation.judge import Judge, Verdict
from ganbench.evaluation.sampling import sample
from ganbench.testing import check_dataset
from ganbench.training.batches import Stream
from ganbench.training.trainer import Trainer
from ganbench_baselines.arch import cyclegan
from ganbench_baselines.dataset import digits, digits_edges, folder_pair
from ganbench_baselines.metric import translation
from ganbench_baselines.protocol import digits_edges_64_v1, digits_edges_v1
from ganbench_baselines.trick import pacgan

CPU = torch.device("cpu")
SMALL = DataSpec((1, 16, 16), source=(1, 16, 16))
PHOTOS = DataSpec((3, 256, 256), source=(3, 256, 256))
LOSSES = ("minimax", "non_saturating", "lsgan", "wgan", "wgan_gp", "hinge", "dragan", "r1", "rpgan_r1_r2")


@pytest.fixture(scope="module")
def data():
    return digits_edges.ganbench_dataset(resolution=None)


def build(data: DataSpec = SMALL, d_norm: str | None = None, width: int = 2, **settings: Any) -> cyclegan.CycleGAN:
    torch.manual_seed(0)
    return cyclegan.ganbench_arch(data, d_norm, width, settings)


def batch(n: int = 4, data: DataSpec = SMALL) -> Batch:
    rng = torch.Generator().manual_seed(1)
    real, source = (torch.rand(n, *shape, generator=rng) * 2 - 1 for shape in (data.shape, data.source))
    return Batch(real, torch.zeros(n, 1), source=source)


# --- digits and edges ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", [16, 64])
def test_edges_are_the_length_of_scipys_sobel_gradient(resolution):
    x = digits.load(resolution)[1].x[:20]
    for plane, edges in zip(x[:, 0].double().numpy(), digits_edges.edges(x)[:, 0].numpy(), strict=True):
        length = np.hypot(*(ndimage.sobel(plane, axis, mode="nearest") for axis in (0, 1))) / 8
        assert np.abs(edges - np.clip(length * resolution / 8, 0, 255)).max() <= 0.5 + 1e-3


def test_no_training_digit_is_in_both_domains_or_held_out(data):
    train, test = digits.load(16)
    drawn = [rows(digits_edges.edges(data.train.x)), rows(data.train.source)]
    held = [rows(data.selection.source), rows(data.test.source)]
    parts = [*drawn, *held]
    assert all(one.isdisjoint(other) for i, one in enumerate(parts) for other in parts[:i])
    assert set().union(*parts) == rows(digits_edges.edges(torch.cat([train.x, test.x])))
    assert (len(data.train), len(data.train.source), len(data.selection)) == (629, 630, 179)
    assert not data.train.paired


def test_held_out_edges_belong_to_their_digits(data):
    for split in (data.selection, data.test):
        assert split.paired
        assert torch.equal(split.source, digits_edges.edges(split.x))
    assert torch.equal(data.test.x, digits.load(16)[1].x)


def test_every_split_has_all_digits_in_equal_shares(data):
    for split in (data.train, data.selection, data.test):
        share = split.labels.bincount(minlength=10) / len(split)
        assert (share - 0.1).abs().max() < 0.02


def test_digits_and_edges_are_the_same_bits_on_every_call(data):
    assert data.fingerprint == digits_edges.ganbench_dataset(resolution=16).fingerprint == "c1aba3eec124df8f"
    assert digits_edges.ganbench_dataset(resolution=64).spec.source == (1, 64, 64)


def test_edges_are_about_as_bright_at_every_resolution(data):
    larger = digits_edges.ganbench_dataset(resolution=64)
    assert larger.test.source.double().mean() == pytest.approx(data.test.source.double().mean().item(), rel=0.2)


# --- what a translator has to beat --------------------------------------------------------------------------------


def verdict_on(data, fakes: Split, **more: Any) -> Verdict:
    judge = Judge(data, data.test, {"translation": translation.ganbench_metric()}, None, CPU)
    return judge.score(fakes, 0, **more)


def judged(data, fakes: Split, **more: Any) -> dict[str, float]:
    return verdict_on(data, fakes, **more).scores


def test_the_yardsticks_do_nothing_and_look_at_nothing(data):
    same, mean = (data.yardsticks[name](data.test, 0) for name in ("identity", "mean image"))
    assert torch.equal(same.x, data.test.source)
    assert torch.equal(same.source, data.test.x)
    for made, domain in ((mean.x, data.train.x), (mean.source, data.train.source)):
        assert len(rows(made)) == 1
        assert (made[0].double() - domain.double().mean(0)).abs().max() <= 0.5 + 1e-3


def test_the_task_is_not_done_by_doing_nothing(data):
    score = {name: judged(data, replaced(made(data.test, 0))) for name, made in data.yardsticks.items()}
    for way in ("paired_error", "paired_error_back"):
        assert 0.2 < score["mean image"][way] < score["identity"][way]


def replaced(made: Split) -> Split:
    return Split(made.x, None, made.source, paired=True)


# --- two folders --------------------------------------------------------------------------------------------------


def paint(folder: Path, names: list[str], side: int = 8, colour: bool = True) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(len(folder.name))
    for name in names:
        shape = (side, side, 3) if colour else (side, side)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / name)
    return folder


def numbered(n: int, prefix: str = "") -> list[str]:
    return [f"{prefix}{i:02}.png" for i in range(n)]


def read(folder: Path) -> dict[bytes, str]:
    """What stands in a folder: pixels -> name."""
    return {np.asarray(Image.open(f).convert("RGB")).transpose(2, 0, 1).tobytes(): f.name for f in folder.iterdir()}


def test_files_of_one_name_are_held_out_as_pairs(tmp_path):
    a, b = paint(tmp_path / "a", numbered(40)), paint(tmp_path / "bb", [*numbered(40), *numbered(5, "more")])
    data = folder_pair.ganbench_dataset(argument=f"{a},{b}", resolution=None)
    name_a, name_b = read(a), read(b)
    held = set()
    for split in (data.selection, data.test):
        assert split.paired
        names = [name_b[x.numpy().tobytes()] for x in split.x]
        assert names == [name_a[s.numpy().tobytes()] for s in split.source]
        held |= set(names)
    assert (len(data.test), len(data.selection), len(held)) == (8, 4, 12)
    assert not data.train.paired
    assert {name_b[x] for x in rows(data.train.x)} == set(name_b.values()) - held
    assert {name_a[x] for x in rows(data.train.source)} == set(name_a.values()) - held
    check_dataset(lambda: folder_pair.ganbench_dataset(argument=f"{a},{b}", resolution=None))


def test_folders_without_common_names_are_not_paired(tmp_path):
    a, b = paint(tmp_path / "a", numbered(10)), paint(tmp_path / "bb", numbered(20, "other"))
    data = folder_pair.ganbench_dataset(argument=f"{a},{b}", resolution=None)
    assert not data.test.paired
    assert data.selection is None
    assert (len(data.train.source), len(data.test.source)) == (8, 2)
    assert (len(data.train), len(data.test)) == (16, 4)
    verdict = verdict_on(data, data.yardsticks["identity"](data.test, 0))
    assert "the data are not paired" in verdict.absent["paired_error"]


def test_gray_images_beside_coloured_ones_get_three_channels(tmp_path):
    a, b = paint(tmp_path / "a", numbered(10), colour=False), paint(tmp_path / "bb", numbered(10))
    data = folder_pair.ganbench_dataset(argument=f"{a},{b}", resolution=None)
    assert data.spec.shape == data.spec.source == (3, 8, 8)
    assert torch.equal(data.train.source[:, 0], data.train.source[:, 2])


def test_two_sizes_need_a_resolution(tmp_path):
    a, b = paint(tmp_path / "a", numbered(10)), paint(tmp_path / "bb", numbered(10), side=12)
    with pytest.raises(DataError, match=r"'.*a' have 8 pixels a side, those in '.*bb' 12") as error:
        folder_pair.ganbench_dataset(argument=f"{a},{b}", resolution=None)
    assert "resolution" in error.value.hint
    assert folder_pair.ganbench_dataset(argument=f"{a},{b}", resolution=10).spec.source == (3, 10, 10)


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("", "names 0"),
        ("{full}", "names 1"),
        ("{full},", "names 1"),
        ("{full},{full},{full}", "names 3"),
        ("{full},{root}/nowhere", "nowhere' does not exist"),
        ("{full}/00.png,{full}", "00.png' is not a folder"),
        ("{empty},{full}", "empty' holds no images"),
        ("{full},{few}", "too few of the 3 images"),
    ],
)
def test_folders_that_make_no_pair_are_refused_in_a_sentence(tmp_path, argument, sentence):
    full, few = paint(tmp_path / "full", numbered(10)), paint(tmp_path / "few", numbered(3))
    empty = paint(tmp_path / "empty", [])
    with pytest.raises(DataError, match=sentence) as error:
        folder_pair.ganbench_dataset(
            argument=argument.format(full=full, few=few, empty=empty, root=tmp_path), resolution=None
        )
    assert error.value.hint


# --- CycleGAN: the networks ---------------------------------------------------------------------------------------


def test_parameter_counts_are_those_of_the_official_code():
    """Its training log prints them: 11.378 M for each G (ResNet, 9 blocks) and 2.765 M for each D (70x70), and 28.286 M
    in all. Its first version printed 11388675 for G: instance norm had gains and biases, 10,496 of them."""
    with torch.device("meta"):
        gan = build(PHOTOS, width=64)
    assert [count_parameters([g]) for g in gan.generator.values()] == [11_378_179] * 2
    assert [count_parameters([d]) for d in gan.discriminator.values()] == [2_764_737] * 2
    gains = sum(2 * m.num_features for m in gan.generator["there"].modules() if isinstance(m, nn.InstanceNorm2d))
    assert count_parameters([gan.generator["there"]]) + gains == 11_388_675


@pytest.mark.parametrize(("side", "blocks"), [(256, 9), (128, 6), (64, 4), (32, 3), (16, 2)])
def test_smaller_images_get_fewer_residual_blocks(side, blocks):
    with torch.device("meta"):
        gan = build(DataSpec((1, side, side), source=(1, side, side)))
    assert sum(isinstance(m, cyclegan.ResidualBlock) for m in gan.generator["back"].modules()) == blocks


@pytest.mark.parametrize(("halvings", "pixels"), [(0, 7), (1, 16), (2, 34), (3, 70)])
def test_a_logit_of_the_map_depends_on_a_patch_of_the_stated_size(halvings, pixels):
    network = cyclegan.patch_discriminator(1, 2, halvings, "none")
    for p in network.parameters():
        nn.init.uniform_(p, 0.1, 1.0)
    x = torch.rand(1, 1, 100, 100, requires_grad=True)
    logits = network[:-1](x)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    seen = x.grad[0, 0].ne(0)
    assert seen.any(0).sum() == seen.any(1).sum() == pixels


def test_reflection_is_torchs():
    x = torch.rand(2, 3, 5, 7)
    for reach in (1, 3):
        assert torch.equal(cyclegan.Reflection(reach)(x), nn.ReflectionPad2d(reach)(x))


def test_translations_keep_the_shape_of_an_oblong_and_the_channels_of_their_domain():
    wide = DataSpec((3, 16, 24), source=(1, 16, 24))
    gan, given = build(wide), batch(2, wide)
    assert gan.sample(given).shape == (2, 3, 16, 24)
    assert gan.sample_back(given).shape == (2, 1, 16, 24)


@pytest.mark.parametrize(
    ("data", "settings", "sentence"),
    [
        (DataSpec((1, 16, 16)), {}, "have only one"),
        (DataSpec((2,), source=(2,)), {}, "images of one size"),
        (DataSpec((1, 16, 16), source=(1, 32, 32)), {}, "images of one size"),
        (DataSpec((1, 8, 8), source=(1, 8, 8)), {}, "12 pixels"),
        (DataSpec((1, 17, 17), source=(1, 17, 17)), {}, "halved"),
        (SMALL, {"d_halvings": 3}, "3 times"),
        (DataSpec((3, 16, 16), source=(1, 16, 16)), {"identity": 5.0}, "as many channels in both domains"),
    ],
)
def test_data_that_do_not_fit_are_declined_in_a_sentence(data, settings, sentence):
    with pytest.raises(Unsupported, match=sentence) as error:
        build(data, **settings)
    assert error.value.message


@pytest.mark.parametrize(("settings", "sentence"), [({"cycles": 1}, "no such setting"), ({"cycle": -1}, ">= 0")])
def test_settings_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(ProtocolError, match=sentence):
        build(**settings)


def test_a_trick_for_one_discriminator_finds_two_and_declines():
    with pytest.raises(Unsupported, match="one discriminator"):
        pacgan.ganbench_trick("2").players(build, SMALL)


# --- CycleGAN: the game -------------------------------------------------------------------------------------------


class Probe:
    """A loss that says what it was played on: d_loss is E D(real) - E D(fake)."""

    def d_loss(self, D, real, fake):
        return D(real).mean() - D(fake).mean()

    def g_loss(self, D, real, fake):
        return -D(fake).mean()


def test_d_minimises_half_of_the_loss_on_both_matches():
    gan, given = build(), batch()
    fake = gan.fake(given)
    d_x, d_source = gan.discriminator["x"], gan.discriminator["source"]
    expected = d_x(given.real).mean() - d_x(fake["x"]).mean() + d_source(given.source).mean()
    expected = (expected - d_source(fake["source"]).mean()) / 2
    assert gan.d_objective(Probe(), given, fake)["d_loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_g_minimises_both_losses_the_cycles_and_the_identities_by_their_weights():
    gan, given = build(cycle=3.0, identity=0.5), batch()
    there, back = gan.generator["there"], gan.generator["back"]
    x, s = given.real, given.source
    distance = nn.functional.l1_loss
    terms = gan.g_objective(Probe(), given, gan.fake(given))
    assert terms["cycle"].item() == pytest.approx(
        3 * (distance(back(there(s)), s) + distance(there(back(x)), x)).item(), rel=1e-5
    )
    assert terms["identity"].item() == pytest.approx(
        0.5 * (distance(there(x), x) + distance(back(s), s)).item(), rel=1e-5
    )
    assert set(terms) == {"g_loss", "cycle", "identity"}
    assert set(build(cycle=0).g_objective(Probe(), given, gan.fake(given))) == {"g_loss"}


def test_the_loss_sees_one_logit_a_sample_the_mean_over_patches():
    gan, given = build(d_norm="none", d_halvings=1), batch()
    match = gan.matches(given, gan.fake(given))[0]
    patches = gan.discriminator["x"][:-1](given.real)
    assert patches.shape == (4, 1, 6, 6)
    assert torch.allclose(match.D(given.real), patches.mean((1, 2, 3)))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_plays_on_it(loss, data):
    trainer = trainer_of(loss, data, updates=2)
    before = {name: p.detach().clone() for name, p in trainer.gan.named_parameters()}
    losses = trainer.advance(trainer.d_updates).losses
    assert trainer.step == 2
    assert set(losses) == {"d_loss", "g_loss", "cycle"}
    moved = {name.rpartition(".")[0] for name, p in trainer.gan.named_parameters() if not torch.equal(p, before[name])}
    for player, which in (
        ("generator", "there"),
        ("generator", "back"),
        ("discriminator", "x"),
        ("discriminator", "source"),
    ):
        assert any(name.startswith(f"{player}.{which}") for name in moved)


def trainer_of(loss: str, data, updates: int, recorder: TapeRecorder | None = None) -> Trainer:
    objective = import_module(f"ganbench_baselines.loss.{loss}").ganbench_loss()
    steps = getattr(objective, "d_steps", 1)
    gan = build(d_norm=getattr(objective, "d_norm", None))
    recipe = Recipe(lr=1e-3, d_steps=steps, lr_decay=gan.recipe["lr_decay"])
    return Trainer(gan, objective, Stream(data.train, 4, 0, CPU), recipe, updates * steps, 1, 2, recorder=recorder)


def test_recorded_iterations_give_the_same_bits(data):
    played, recorded = (trainer_of("lsgan", data, 30, recorder) for recorder in (None, TapeRecorder()))
    for trainer in (played, recorded):
        trainer.advance(30)
    assert played.fingerprint() == recorded.fingerprint()
    assert recorded.mode == "graph"
    assert played.gan.pools["x"].filled == cyclegan.POOL


# --- the image pool -----------------------------------------------------------------------------------------------


def fakes(first: int, n: int) -> torch.Tensor:
    """Images that are all of one number, which counts up."""
    return torch.arange(first, first + n, dtype=torch.float32).view(-1, 1, 1, 1)


def shown_by(pool: nn.Module, batches: int, n: int) -> list[tuple[list[int], list[int]]]:
    """(given, shown) of each batch."""
    torch.manual_seed(0)
    given = [fakes(1 + n * i, n) for i in range(batches)]
    return [(x.flatten().int().tolist(), pool(x).flatten().int().tolist()) for x in given]


def test_a_pool_shows_what_comes_until_it_is_full():
    pool = cyclegan.ImagePool(10, (1, 1, 1))
    assert all(given == shown for given, shown in shown_by(pool, 3, 4))
    assert pool.images.flatten().tolist() == list(range(1, 11))
    assert pool.filled == 10


@pytest.mark.parametrize("n", [1, 4, 10])
def test_a_full_pool_shows_half_of_the_fakes_and_each_of_the_others_once_later(n):
    pool = cyclegan.ImagePool(10, (1, 1, 1))
    played = shown_by(pool, 4000 // n, n)
    at_once = [x for given, shown in played for x, y in zip(given, shown, strict=True) if x == y]
    later = [(x, y, given[0]) for given, shown in played for x, y in zip(given, shown, strict=True) if x != y]
    assert len(at_once) / 4000 == pytest.approx(0.5, abs=0.04)
    assert all(y < first for _, y, first in later)
    put_by = [y for _, y, _ in later if y > 10]
    assert len(set(put_by)) == len(put_by)
    assert not set(put_by) & set(at_once)
    assert np.mean([x - y for x, y, _ in later]) == pytest.approx(20, rel=0.2)  # 10 slots, one in two takes one


def test_a_batch_larger_than_the_pool_passes():
    pool = cyclegan.ImagePool(3, (1, 1, 1))
    for given, shown in shown_by(pool, 50, 8):
        assert given[3:] == shown[3:]
    assert pool.filled == 3


def test_the_pool_holds_no_gradient_and_the_rest_keeps_its_own():
    pool = cyclegan.ImagePool(4, (1, 1, 1))
    x = fakes(1, 4).requires_grad_()
    pool(x).sum().backward()
    assert x.grad.sum() == 4
    assert not pool.images.requires_grad


# --- the metric ---------------------------------------------------------------------------------------------------


def test_fakes_are_laid_out_like_the_reals_there_and_back(data):
    gan = build()
    made = sample(gan, data.test, 0, CPU)
    with torch.no_grad():
        there = gan.generator["there"](to_signal(data.test.source))
        back = gan.generator["back"](to_signal(data.test.x))
    for images, expected in ((made.x, there), (made.source, back)):
        assert (to_signal(images) - expected).abs().max() < 1 / 127
    assert torch.equal(made.labels, data.test.labels)


def test_errors_are_mean_absolute_differences_and_cycles_go_through_the_fakes(data):
    """A translator that halves everything, and adds 2 grey levels on the way there, 5 on the way back."""

    def translate(like: Split) -> Split:
        there, back = (images.int() // 2 for images in (like.source, like.x))
        return Split((there + 2).to(torch.uint8), like.labels, (back + 5).to(torch.uint8), paired=True)

    def gap(one: torch.Tensor, other: torch.Tensor) -> float:
        return (one.double() - other.double()).abs().mean().item() / 127.5

    x, s = data.test.x, data.test.source
    there, back = s // 2 + 2, x // 2 + 5
    assert judged(data, translate(data.test), remake=translate) == pytest.approx(
        {
            "paired_error": gap(there, x),
            "paired_error_back": gap(back, s),
            "cycle_error": (gap(back // 2 + 2, x) + gap(there // 2 + 5, s)) / 2,
        },
        rel=1e-6,
    )


def test_a_translation_that_can_be_undone_need_not_be_right(data):
    """What the cycle error cannot see: doing nothing, and giving each edge map somebody else's digit."""

    def nothing(like: Split) -> Split:
        return Split(like.source, like.labels, like.x, paired=True)

    scores = judged(data, nothing(data.test), remake=nothing)
    assert scores["cycle_error"] == 0
    assert scores["paired_error"] > 0.4
    assert translation.ganbench_metric().columns["cycle_error"] == "info"


def test_the_truth_has_no_error(data):
    verdict = verdict_on(data, data.test)
    assert verdict.scores == {"paired_error": 0, "paired_error_back": 0}
    assert verdict.absent == {"cycle_error": "nothing translates these samples back"}


def test_fewer_sources_than_reals_are_taken_again_from_the_first(data):
    real = Split(data.test.x[:30], source=data.test.source[:12])
    fake = Split(data.test.x[:30], source=data.test.source[torch.arange(30) % 12])
    judge = Judge(data, real, {"translation": translation.ganbench_metric()}, None, torch.device("cpu"))
    again = judge.score(fake, 0, remake=lambda like: Split(like.x, source=like.source))
    assert again.scores == {"cycle_error": 0}


@pytest.mark.parametrize(
    ("of", "sentence"),
    [
        (lambda test: (test, Split(test.x)), "translated back"),
        (lambda test: (Split(test.x), Split(test.x)), "two domains"),
        (lambda test: (Split(test.x, source=test.source), Split(test.x, source=test.source)), 'reference = "test"'),
    ],
)
def test_what_cannot_be_told_right_or_wrong_is_absent(data, of, sentence):
    real, fake = of(data.test)
    assert sentence in verdict_on(data, fake, real=real).absent["paired_error"]


# --- the protocols ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [digits_edges_v1, digits_edges_64_v1])
def test_protocols_rank_by_the_truth_and_beside_both_yardsticks(module):
    rules = module.ganbench_protocol().evaluation
    assert rules.headline == "paired_error"
    assert rules.yardsticks == ("identity", "mean image")
    assert rules.reference == "test"


def test_the_larger_configuration_trains_at_an_eighth_of_its_width():
    rules = digits_edges_64_v1.ganbench_protocol()
    data = digits_edges.ganbench_dataset(resolution=rules.resolution)
    gan = build(data.spec, width=rules.training.width // 8)
    objective = import_module("ganbench_baselines.loss.lsgan").ganbench_loss()
    stream = Stream(data.train, rules.training.batch, 0, CPU)
    trainer = Trainer(gan, objective, stream, Recipe(lr=rules.training.lr), 2, 1, 2)
    assert all(np.isfinite(value) for value in trainer.advance(2).losses.values())
    assert sample(trainer.averaged, data.test[torch.arange(2)], 0, CPU).x.shape == (2, 1, 64, 64)
