"""The built-in feature extractors: what they return, what they refuse, and whether their published numbers are true."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torch_fidelity
from fidelity_images import Images
from PIL import Image
from random_inception import random_inception_weights
from torch import Tensor
from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc
from torch_fidelity.utils import create_feature_extractor

from ganbench.contracts.data import Dataset, DataSpec, Split, stratified_split
from ganbench.contracts.evaluation import Evaluation
from ganbench.contracts.extractor import extract, stream
from ganbench.device.determinism import configured
from ganbench.errors import DataError, Unsupported
from ganbench_baselines.dataset import cifar10, digits, stacked_digits
from ganbench_baselines.dataset import folder as folder_of_images
from ganbench_baselines.extractor import digits_cnn, digits_cnn_fidelity, inception, raw, train_cnn, train_digits_cnn
from ganbench_baselines.metric import fid, inception_score, kid, precision_recall
from ganbench_baselines.metric.frechet import distance, moments

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits.ganbench_dataset(resolution=16)


@pytest.fixture(scope="module")
def cnn() -> digits_cnn.DigitsCNN:
    return digits_cnn.load()


@pytest.fixture(scope="module")
def published() -> dict:
    return json.loads(digits_cnn.WEIGHTS.with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def strangers(data) -> dict[str, Tensor]:
    return train_digits_cnn.strangers(data.test)


def frechet(one: Tensor, other: Tensor) -> float:
    statistics = [metric_fid.fid_features_to_statistics(x) for x in (one, other)]
    return metric_fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


def features_of(extractor, x: Tensor) -> Tensor:
    return extract(extractor, x, CPU)[0]


# --- digits-cnn: the published numbers ------------------------------------------------------------------------


def test_published_file_speaks_of_the_weights_that_ship(cnn, published):
    assert published["weights"] == cnn.weights_hash
    assert published["gate"] == cnn.gate
    assert published["confusion"] == cnn.confusion.tolist()
    assert digits_cnn.WEIGHTS.stat().st_size <= 300_000


def test_accuracy_on_digits_never_trained_on_is_the_published_one(cnn, data, published):
    confidence, assigned = train_cnn.judged(cnn, data.test.x)
    correct = (assigned == data.test.labels).sum().item()
    assert correct / 359 >= 0.98
    assert correct == round(published["held_out_accuracy"] * 359)
    assert (confidence >= cnn.gate).sum().item() == round(published["held_out_passed"] * 359)


def test_gate_lets_digits_pass_and_stops_what_is_none(cnn, data, strangers, published):
    passed = train_cnn.shares_passed(cnn, strangers, cnn.gate)
    assert train_cnn.share(train_cnn.judged(cnn, data.test.x)[0] >= cnn.gate) > 0.95
    # eigenvectors have either sign, so another machine may draw another Gaussian of the same shape
    assert passed == pytest.approx(published["strangers_passed"], abs=0.08)
    assert max(passed[name] for name in ("uniform noise", "untrained generator", "negatives", "blank")) < 0.01
    assert passed["even blends of two classes"] < 0.1


def test_confusion_counts_digits_of_every_class_that_passed_the_gate(cnn, data, published):
    counts = cnn.confusion
    assert counts.shape == (10, 10)
    by_class = data.part("all").labels.bincount()
    assert (counts.sum(dim=1) <= by_class).all()
    assert (counts.sum(dim=1) > 0.9 * by_class).all()
    passed = published["out_of_fold_passed"] * 1438 + published["held_out_passed"] * 359
    assert counts.sum().item() == pytest.approx(passed, abs=0.2)
    assert counts.diag().sum() / counts.sum() > 0.99


def test_features_of_the_training_digits_have_mean_zero_and_variance_one(cnn, data):
    features = features_of(cnn, data.train.x)
    assert features.dtype == torch.float64
    assert features.shape == (1438, 32)
    assert features.mean(dim=0).abs().max() < 1e-5
    assert (features.std(dim=0) - 1).abs().max() < 1e-5


def test_frechet_distance_puts_things_in_the_order_of_their_badness(cnn, data, strangers):
    everything = data.part("all")
    real = features_of(cnn, everything.x)
    one, other = stratified_split(everything.labels, 0.5, seed=1)
    floor = frechet(real[one], real[other])
    gaussian = frechet(real, features_of(cnn, strangers["pixel Gaussian"]))
    one_digit = frechet(real, real[everything.labels == 1])
    noise = frechet(real, features_of(cnn, strangers["uniform noise"]))
    assert floor < 0.3
    assert 5 * floor < gaussian < one_digit / 3
    assert noise > 3 * gaussian


# --- digits-cnn: the contract ---------------------------------------------------------------------------------


def test_stacked_digits_are_read_channel_by_channel(cnn):
    some = stacked_digits.ganbench_dataset(resolution=16).test[torch.arange(300)]
    triples, labels = some.x, some.labels
    features, logits = cnn(triples)
    assert features.shape == (300, 96)
    assert logits.shape == (300, 3, 10)
    for channel in range(3):
        alone, its_logits = cnn(triples[:, channel : channel + 1])
        assert torch.allclose(features[:, 32 * channel : 32 * (channel + 1)], alone, atol=1e-4)
        assert torch.allclose(logits[:, channel], its_logits, atol=1e-4)
    assert ((logits.argmax(dim=2) * torch.tensor([100, 10, 1])).sum(dim=1) == labels).double().mean() > 0.95


@pytest.mark.parametrize("resolution", [8, 12, 28, 64])
def test_digits_of_another_size_are_resized(cnn, resolution):
    test = digits.load(resolution)[1]
    assert (train_cnn.judged(cnn, test.x)[1] == test.labels).double().mean() > 0.97


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(2, 1, 16, 16),
        torch.zeros(2, 2, 16, 16, dtype=torch.uint8),
        torch.zeros(2, 1, 16, 8, dtype=torch.uint8),
        torch.zeros(2, 16, dtype=torch.uint8),
    ],
    ids=["float", "two channels", "oblong", "flat"],
)
def test_digits_cnn_refuses_what_it_would_judge_wrongly(cnn, x):
    with pytest.raises(Unsupported, match="square uint8 images"):
        cnn(x)


def test_same_batch_gives_the_same_bits_and_another_batch_size_the_same_to_float32(cnn, data):
    once, again = (extract(cnn, data.test.x, CPU)[0] for _ in range(2))
    assert torch.equal(once, again)
    assert torch.allclose(extract(cnn, data.test.x, CPU, batch=7)[0], once, rtol=0, atol=1e-4)


def test_weights_hash_is_stable_and_changes_with_any_weight_and_with_the_version(cnn):
    other = digits_cnn.load()
    assert other.weights_hash == cnn.weights_hash
    other.confusion_counts[3, 5] += 1
    with_other_counts = other.weights_hash
    other.std[0] *= 1.0001
    with_other_std = other.weights_hash
    other.version = "2"
    assert len({cnn.weights_hash, with_other_counts, with_other_std, other.weights_hash}) == 4
    assert cnn.tag == f"digits-cnn:{cnn.weights_hash}"


def test_nothing_in_the_extractor_is_trained_or_in_training_mode(cnn):
    assert not any(p.requires_grad for p in cnn.parameters())
    assert not any(module.training for module in cnn.modules())


def test_damaged_or_missing_weights_are_a_sentence(tmp_path):
    (tmp_path / "damaged").write_bytes(digits_cnn.WEIGHTS.read_bytes()[:5000])
    for name in ("damaged", "missing"):
        with pytest.raises(DataError, match=name):
            digits_cnn.load(tmp_path / name)


# --- digits-cnn: torch-fidelity as the judge ------------------------------------------------------------------


def test_calculate_metrics_equals_its_functions_on_the_features_of_extract(cnn, data, strangers):
    real, fake = data.test.x, torch.cat([data.train.x[:200], strangers["pixel Gaussian"][:159]])
    settings = {"kid_subsets": 5, "kid_subset_size": 100, "verbose": False}
    found = torch_fidelity.calculate_metrics(
        input1=Images(fake), input2=Images(real), feature_extractor="digits-cnn", cuda=False, cache=False,
        save_cpu_ram=True, batch_size=500, fid=True, isc=True, kid=True, prc=True, isc_splits=1, **settings,
    )  # fmt: skip
    fakes, logits = (part.float() for part in extract(cnn, fake, CPU))
    reals = features_of(cnn, real).float()
    expected = {
        "frechet_inception_distance": frechet(fakes, reals),
        **metric_isc.isc_features_to_metric(logits, splits=1, shuffle=True, rng_seed=2020),
        **metric_kid.kid_features_to_metric(fakes, reals, **settings),
        **metric_prc.prc_features_to_metric(fakes, reals, **settings),
    }
    assert found == pytest.approx(expected, rel=1e-6, nan_ok=True)
    assert found["frechet_inception_distance"] == pytest.approx(frechet(fakes.double(), reals.double()), rel=1e-3)


def test_torch_fidelity_knows_the_extractor_once_its_adapter_is_imported():
    assert (
        type(create_feature_extractor("digits-cnn", ["features"], cuda=False))
        is digits_cnn_fidelity.DigitsCNNForFidelity
    )


def test_torch_fidelity_gets_features_of_stacked_digits_but_no_set_of_classes():
    stacked = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    assert create_feature_extractor("digits-cnn", ["features"], cuda=False)(stacked)[0].shape == (2, 96)
    with pytest.raises(Unsupported, match="stacked"):
        create_feature_extractor("digits-cnn", ["features", "logits"], cuda=False)(stacked)


# --- digits-cnn: the training script --------------------------------------------------------------------------


def test_no_digit_is_judged_by_a_network_that_was_trained_on_it(monkeypatch, data):
    def remember(extractor, network, x):
        return x

    def look_up(trained_on, x):
        seen = {row.numpy().tobytes() for row in trained_on}
        assert len(trained_on) + len(x) == 1438
        assert seen.isdisjoint(row.numpy().tobytes() for row in x)
        return x.flatten(1).double().mean(dim=1), x.flatten(1).long().sum(dim=1)

    monkeypatch.setattr(train_digits_cnn, "train", lambda split, recipe, seed, build: None)
    monkeypatch.setattr(train_digits_cnn, "standardised", remember)
    monkeypatch.setattr(train_digits_cnn, "judged", look_up)
    given = train_digits_cnn.out_of_fold(data.train, train_digits_cnn.Recipe())
    assert torch.equal(given.assigned, data.train.x.flatten(1).long().sum(dim=1))  # back in the order of the split
    assert torch.equal(given.confidence, data.train.x.flatten(1).double().mean(dim=1))


def test_training_is_reproducible_and_learns(data):
    recipe = train_digits_cnn.Recipe(epochs=6, average=0.5)
    some = Split(data.train.x[:640], data.train.labels[:640])
    networks = [train_digits_cnn.train(some, recipe, seed=3) for _ in range(2)]
    one, again = (train_cnn.standardised(digits_cnn.DigitsCNN(), network, some.x) for network in networks)
    assert one.weights_hash == again.weights_hash
    assert (train_cnn.judged(one, some.x)[1] == some.labels).double().mean() > 0.5


def test_gate_is_the_strictest_that_enough_digits_pass():
    confidence = torch.tensor([0.85] * 30 + [0.92] * 970)
    assert train_cnn.choose_gate(confidence) == 0.8
    assert train_cnn.choose_gate(confidence[10:]) == 0.9


def test_confusion_has_the_true_class_in_its_rows():
    given = train_cnn.Answers(torch.tensor([3, 3, 9]), torch.ones(3), torch.tensor([3, 5, 9]))
    counts = train_cnn.confusion(10, 0.5, given)
    assert counts[3, 5] == counts[3, 3] == counts[9, 9] == 1
    assert counts.sum() == 3


# --- inception ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def random_inception(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random-inception.pth"
    torch.save(random_inception_weights(), path)
    return path


@pytest.fixture(scope="module")
def network(random_inception) -> inception.Inception:
    return inception.ganbench_extractor(argument=str(random_inception))


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Path:
    """Where torch hub keeps its files: an empty folder, on a machine without network access."""

    def offline(*_):
        raise URLError("no route to host")

    monkeypatch.delenv("GANBENCH_INCEPTION", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    return tmp_path / "hub" / "checkpoints"


def photos(n: int, channels: int = 3) -> Tensor:
    rng = torch.Generator().manual_seed(5)
    return torch.randint(256, (n, channels, 12, 12), generator=rng, dtype=torch.uint8)


def test_inception_gives_the_features_and_unbiased_logits_of_torch_fidelity(network, random_inception):
    judge = create_feature_extractor(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        cuda=False,
        verbose=False,
        feature_extractor_weights_path=str(random_inception),
    )
    x = photos(3)
    features, logits = network(x)
    with torch.inference_mode():
        expected, expected_logits = judge(x)
    assert features.shape == (3, 2048)
    assert expected.std(dim=0).mean() > 1e-3 * expected.abs().mean()  # the judge tells these images apart
    for ours, theirs in ((features, expected), (logits, expected_logits)):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-4 * theirs.std().item())


@pytest.fixture(scope="module")
def judged(network, random_inception, tmp_path_factory) -> tuple[Evaluation, dict[str, float]]:
    """Two folders of PNG files as we read and evaluate them, and torch-fidelity's scores of them; few, for speed."""
    usual, bright, dark = photos(18).split(6)
    real, fake = torch.cat([usual, 255 - bright // 4]), torch.cat([usual.clamp(4, 251) - 3, dark // 4])
    read = []
    for name, x in (("real", real), ("fake", fake)):
        folder = tmp_path_factory.mktemp(name)
        for number, image in enumerate(x):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{number:02}.png")
        read.append(
            (str(folder), folder_of_images.ganbench_dataset(argument=str(folder), resolution=None).part("all").x)
        )
    (reals, real), (fakes, fake) = read
    found = torch_fidelity.calculate_metrics(
        input1=fakes, input2=reals, feature_extractor="inception-v3-compat", cuda=False, cache=False,
        feature_extractor_weights_path=str(random_inception), save_cpu_ram=True, verbose=False,
        fid=True, isc=True, kid=True, prc=True, isc_splits=1, kid_subsets=1, kid_subset_size=12,
    )  # fmt: skip
    return Evaluation(real, fake, DataSpec((3, 12, 12)), torch.Generator(), extractor=network), found


@pytest.mark.parametrize(
    ("metric", "column", "theirs"),
    [
        (fid, "fid", "frechet_inception_distance"),
        (inception_score, "is", "inception_score_mean"),
        (kid, "kid", "kernel_inception_distance_mean"),
        (precision_recall, "precision", "precision"),
        (precision_recall, "recall", "recall"),
    ],
)
def test_scores_of_png_files_under_inception_are_torch_fidelitys(judged, metric, column, theirs):
    given, found = judged
    rounding = 1e-6 if column == "kid" else 0  # torch-fidelity adds up the values of the kernel, about 1, in float32
    # of 2,048 eigenvalues, 12 images leave 2,037 at 0, and torch-fidelity adds up the roots of their rounding errors
    share = 1e-5 if column == "fid" else 1e-6
    assert metric.ganbench_metric()(given)[column] == pytest.approx(found[theirs], rel=share, abs=rounding)
    assert found[theirs] > 1e-3
    assert column not in ("precision", "recall") or found[theirs] < 1


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.skipif("GANBENCH_INCEPTION" not in os.environ, reason="GANBENCH_INCEPTION names no official weights")
def test_the_inception_score_of_cifar_10_is_the_one_that_torch_fidelity_publishes():
    weights, _ = inception.find_weights("")
    network = inception.Inception(inception.read_weights(weights, official=True))
    try:
        train = cifar10.ganbench_dataset(resolution=None).train.x
    except DataError as error:
        pytest.skip(f"CIFAR-10 is not here: {error}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with configured(torch.get_num_threads()):
        given = Evaluation(
            train, train, DataSpec((3, 32, 32)), torch.Generator(), extractor=network.to(device), device=device
        )
        found = inception_score.ganbench_metric()(given)["is"]
    assert found == pytest.approx(11.23678, rel=1e-4)


def test_fid_of_the_first_64_features_of_inception_is_torch_fidelitys(random_inception):
    judge = create_feature_extractor(
        "inception-v3-compat", ["64"], cuda=False, verbose=False, feature_extractor_weights_path=str(random_inception)
    )
    with torch.inference_mode():
        real, fake = (judge(x)[0].double() for x in (photos(24), photos(48)[24:] // 2))
    assert distance(moments([real]), moments([fake])) == pytest.approx(frechet(real, fake), rel=1e-6)


def test_features_stream_as_they_are_extracted_and_are_checked_on_the_way(cnn, data):
    whole, logits = extract(cnn, data.test.x, CPU, batch=100)
    parts = list(stream(cnn, data.test.x, CPU, batch=100))
    assert [len(f) for f, _ in parts] == [100, 100, 100, 59]
    assert torch.equal(torch.cat([f for f, _ in parts]), whole)
    assert torch.equal(torch.cat([g for _, g in parts]), logits)
    assert whole.dtype == logits.dtype == torch.float64
    broken = digits_cnn.load()
    broken.mean[3] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        next(stream(broken, data.test.x, CPU))


def test_inception_repeats_one_channel_three_times(network):
    gray = photos(2, channels=1)
    assert torch.equal(network(gray)[0], network(gray.repeat(1, 3, 1, 1))[0])


def test_inception_works_in_small_batches_and_keeps_their_order(network, monkeypatch):
    x = photos(3)
    whole = network(x)[0]
    monkeypatch.setattr(inception, "MINI_BATCH", 1)
    assert torch.allclose(network(x)[0], whole, rtol=0, atol=1e-4 * whole.std().item())


def test_inception_carries_the_hash_of_the_weights_it_was_given(network, random_inception):
    state = inception.read_weights(random_inception, official=False)
    assert inception.Inception(state).weights_hash == network.weights_hash
    state["fc.bias"][0] += 1
    assert inception.Inception(state).weights_hash != network.weights_hash


@pytest.mark.parametrize(
    "x", [torch.zeros(1, 3, 8, 8), torch.zeros(1, 2, 8, 8, dtype=torch.uint8), torch.zeros(1, 3, dtype=torch.uint8)]
)
def test_inception_refuses_what_is_no_image(network, x):
    with pytest.raises(Unsupported, match="uint8 images"):
        network(x)


def test_inception_path_comes_before_the_variable_and_that_before_the_cache(hub, monkeypatch, tmp_path):
    for name in ("named", "variable"):
        (tmp_path / name).touch()
    hub.mkdir(parents=True)
    (hub / inception.FILE).touch()
    assert inception.find_weights("") == (hub / inception.FILE, True)
    monkeypatch.setenv("GANBENCH_INCEPTION", str(tmp_path / "variable"))
    assert inception.find_weights("") == (tmp_path / "variable", False)
    assert inception.find_weights(str(tmp_path / "named")) == (tmp_path / "named", False)


def test_inception_is_fetched_into_torch_hubs_cache_under_its_hash(hub, monkeypatch):
    calls = []

    def download(url, target, hash_prefix, progress):
        calls.append((url, hash_prefix))
        Path(target).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    assert inception.find_weights("") == (hub / "weights-inception-2015-12-05-6726825d.pth", True)
    assert calls == [(inception.URL_INCEPTION_V3, "6726825d")]


def test_inception_without_network_says_what_to_fetch_and_where_to_put_it(hub):
    with pytest.raises(DataError, match=r"cannot be downloaded.*no route to host") as caught:
        inception.ganbench_extractor(argument="")
    for part in (inception.URL_INCEPTION_V3, str(hub), "inception:PATH", "GANBENCH_INCEPTION"):
        assert part in caught.value.hint


def test_inception_does_not_take_another_file_for_the_official_one(hub):
    hub.mkdir(parents=True)
    (hub / inception.FILE).write_bytes(b"half a download")
    with pytest.raises(DataError, match=r"sha256 begins with [0-9a-f]{8}, not 6726825d"):
        inception.ganbench_extractor(argument="")


def test_inception_names_a_path_that_does_not_exist(hub, monkeypatch):
    with pytest.raises(DataError, match=r"nowhere\.pth"):
        inception.ganbench_extractor(argument="nowhere.pth")
    monkeypatch.setenv("GANBENCH_INCEPTION", "elsewhere.pth")
    with pytest.raises(DataError, match=r"elsewhere\.pth") as caught:
        inception.ganbench_extractor(argument="")
    assert "GANBENCH_INCEPTION" in caught.value.hint


class Boom:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_inception_never_runs_code_from_a_weights_file(tmp_path):
    torch.save({"fc.bias": Boom(tmp_path / "proof")}, tmp_path / "evil.pth")
    with pytest.raises(DataError, match="cannot be read as weights"):
        inception.ganbench_extractor(argument=str(tmp_path / "evil.pth"))
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 and then nothing"])
def test_inception_calls_a_corrupt_file_corrupt(tmp_path, content):
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.pth' cannot be read as weights"):
        inception.ganbench_extractor(argument=str(tmp_path / "bad.pth"))


@pytest.mark.parametrize("state", [{"layer.weight": torch.zeros(2)}, [torch.zeros(2)]], ids=["other", "list"])
def test_inception_refuses_the_weights_of_another_network(tmp_path, state):
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"other\.pth' holds weights of another network"):
        inception.ganbench_extractor(argument=str(tmp_path / "other.pth"))


# --- raw ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [torch.randn(4, 2), torch.arange(48, dtype=torch.uint8).reshape(4, 3, 2, 2)])
def test_raw_features_are_the_data_themselves(x):
    features, logits = extract(raw.ganbench_extractor(), x, CPU)
    assert features.dtype == torch.float64
    assert torch.equal(features.reshape(x.shape).to(x.dtype), x)
    assert logits is None
