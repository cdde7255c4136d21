"""mnist-cnn, the classifier that judges MNIST, and the parts of its training that it shares with digits-cnn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ganbench import DataError, Dataset, Split, Unsupported, extract
from ganbench_baselines.dataset import mnist_10k
from ganbench_baselines.extractor import digits_cnn, mnist_cnn, train_cnn, train_digits_cnn, train_mnist_cnn

CPU = torch.device("cpu")
SHARED = Path(__file__).parents[2] / "shared" / "data"
real_files = pytest.mark.skipif(not SHARED.is_dir(), reason="the real files are not on this machine")


@pytest.fixture(scope="module")
def cnn() -> mnist_cnn.MnistCNN:
    return mnist_cnn.load()


@pytest.fixture(scope="module")
def published() -> dict:
    return json.loads(mnist_cnn.WEIGHTS.with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def data() -> Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANBENCH_DATA", str(SHARED))
        return mnist_10k.ganbench_dataset(resolution=None)


def images(n: int, side: int = 28, channels: int = 1) -> torch.Tensor:
    """Noise in a frame, all different."""
    x = torch.randint(0, 256, (n, channels, side, side), generator=torch.Generator().manual_seed(n), dtype=torch.uint8)
    x[..., :4] = 0
    return x


# -- the published numbers ---------------------------------------------------------------------------------------------


def test_published_file_speaks_of_the_weights_that_ship(cnn, published) -> None:
    assert published["weights"] == cnn.weights_hash
    assert published["gate"] == cnn.gate
    assert published["confusion"] == cnn.confusion.tolist()
    assert mnist_cnn.WEIGHTS.stat().st_size <= 300_000


def test_published_training_is_the_one_that_the_script_does(published) -> None:
    recipe = train_mnist_cnn.RECIPE
    assert published["recipe"] == {name: getattr(recipe, name) for name in published["recipe"]}
    assert (published["held_out_n"], published["out_of_fold_n"]) == (2000, 8000)


@real_files
def test_accuracy_on_digits_never_trained_on_is_the_published_one(cnn, data, published) -> None:
    confidence, assigned = train_cnn.judged(cnn, data.test.x)
    correct = (assigned == data.test.labels).sum().item()
    assert correct / 2000 >= 0.98
    assert correct == pytest.approx(published["held_out_accuracy"] * 2000, abs=2)  # last bits differ between machines
    assert (confidence >= cnn.gate).sum().item() == pytest.approx(published["held_out_passed"] * 2000, abs=2)


@real_files
def test_gate_lets_digits_pass_and_stops_what_is_none(cnn, data, published) -> None:
    passed = train_cnn.shares_passed(cnn, train_digits_cnn.strangers(data.test), cnn.gate)
    assert train_cnn.share(train_cnn.judged(cnn, data.test.x)[0] >= cnn.gate) > 0.95
    # eigenvectors have either sign, so another machine may draw another Gaussian of the same shape
    assert passed == pytest.approx(published["strangers_passed"], abs=0.08)
    assert max(passed[name] for name in ("uniform noise", "untrained generator", "blank")) < 0.01


@real_files
def test_features_of_the_training_digits_have_mean_zero_and_variance_one(cnn, data) -> None:
    features, _ = extract(cnn, data.train.x, CPU)
    assert features.shape == (8000, 32)
    assert features.mean(dim=0).abs().max() < 1e-5
    assert (features.std(dim=0) - 1).abs().max() < 1e-5


@real_files
@pytest.mark.parametrize("resolution", [20, 32, 56])
def test_digits_of_another_size_are_resized(cnn, resolution, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(SHARED))
    test = mnist_10k.ganbench_dataset(resolution).test[torch.arange(500)]
    assert (train_cnn.judged(cnn, test.x)[1] == test.labels).double().mean() > 0.95


# -- the contract ------------------------------------------------------------------------------------------------------


def test_stacked_digits_are_read_channel_by_channel(cnn) -> None:
    triples = images(30, channels=3)
    features, logits = cnn(triples)
    assert features.shape == (30, 96)
    assert logits.shape == (30, 3, 10)
    for channel in range(3):
        alone, its_logits = cnn(triples[:, channel : channel + 1])
        assert torch.allclose(features[:, 32 * channel : 32 * (channel + 1)], alone, atol=1e-4)
        assert torch.allclose(logits[:, channel], its_logits, atol=1e-4)


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(2, 1, 28, 28),
        torch.zeros(2, 2, 28, 28, dtype=torch.uint8),
        torch.zeros(2, 1, 28, 14, dtype=torch.uint8),
        torch.zeros(2, 28, dtype=torch.uint8),
    ],
    ids=["float", "two channels", "oblong", "flat"],
)
def test_what_it_would_judge_wrongly_is_refused(cnn, x) -> None:
    with pytest.raises(Unsupported, match="square uint8 images"):
        cnn(x)


def test_nothing_in_the_extractor_is_trained_or_in_training_mode(cnn) -> None:
    assert not any(p.requires_grad for p in cnn.parameters())
    assert not any(module.training for module in cnn.modules())


def test_damaged_or_missing_weights_are_a_sentence(tmp_path) -> None:
    (tmp_path / "damaged").write_bytes(mnist_cnn.WEIGHTS.read_bytes()[:5000])
    for name in ("damaged", "missing"):
        with pytest.raises(DataError, match=name):
            mnist_cnn.load(tmp_path / name)


# -- the training ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [16, 28])
def test_outliers_have_the_size_of_the_digits_and_a_quarter_are_their_tiles(side) -> None:
    real = images(1, side)
    made = train_digits_cnn.outliers(real, 20, torch.Generator().manual_seed(0))
    assert made.shape == (20, 1, side, side)
    assert made.abs().max() <= 1
    signal = (real.float() / 127.5 - 1).flatten().sort().values
    for shuffled in made[15:]:
        assert torch.allclose(shuffled.flatten().sort().values, signal, atol=1e-6)


@pytest.mark.parametrize("side", [16, 28])
def test_augmented_digits_move_by_at_most_the_shift_in_pixels(side) -> None:
    dot = torch.full((200, 1, side, side), -1.0)
    dot[:, :, side // 2, side // 2] = 1
    recipe = train_digits_cnn.Recipe(rotate=0, scale=0, noise=0, shift=2)
    moved = train_digits_cnn.augment(dot, recipe, torch.Generator().manual_seed(0)) + 1
    place = (moved.sum(dim=(1, 2)) * torch.arange(side)).sum(dim=1) / moved.sum(dim=(1, 2, 3))
    distance = (place - side // 2).abs()
    assert distance.max() <= 2 + 1e-4
    assert distance.max() > 1.8


def test_no_digit_is_judged_by_a_network_that_was_trained_on_it(monkeypatch) -> None:
    split = Split(images(31), torch.arange(31) % 10)
    makers = set()

    def train(given, recipe, seed, build):
        makers.add(build)

    def look_up(trained_on, x):
        assert len(trained_on) + len(x) == 31
        assert not (trained_on.flatten(1)[:, None] == x.flatten(1)).all(dim=2).any()
        return x.flatten(1).double().mean(dim=1), x.flatten(1).long().sum(dim=1)

    monkeypatch.setattr(train_digits_cnn, "train", train)
    monkeypatch.setattr(train_digits_cnn, "standardised", lambda extractor, network, x: x)
    monkeypatch.setattr(train_digits_cnn, "judged", look_up)
    given = train_digits_cnn.out_of_fold(
        split, train_mnist_cnn.RECIPE, train_mnist_cnn.build, mnist_cnn.MnistCNN, train_mnist_cnn.FOLDS
    )
    assert torch.equal(given.assigned, split.x.flatten(1).long().sum(dim=1))  # back in the order of the split
    assert makers == {train_mnist_cnn.build}


def test_the_two_judges_of_digits_differ_in_the_size_of_their_images_alone() -> None:
    small, large = (
        torch.nn.Sequential(*module.Network(width=8).body) for module in (digits_cnn, mnist_cnn)
    )  # fmt: skip
    assert [type(layer) for layer in small] == [type(layer) for layer in large]
    assert (mnist_cnn.FEATURES, mnist_cnn.CLASSES) == (digits_cnn.FEATURES, digits_cnn.CLASSES)
