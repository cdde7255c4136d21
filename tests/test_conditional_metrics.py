"""Metrics of conditional generation: against their judges, and against fakes whose labels are known to be wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from statistics import fmean
from typing import Any

import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.metrics import accuracy_score
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from ganbench import plugins
from ganbench.contracts.arch import GAN
from ganbench.contracts.data import Dataset, DataSpec, Split, quantise
from ganbench.contracts.evaluation import Evaluation
from ganbench.contracts.extractor import Extractor
from ganbench.contracts.metric import Metric
from ganbench.errors import Unsupported
from ganbench.evaluation.sampling import draw_reference
from ganbench.evaluation.yardsticks import YARDSTICKS
from ganbench_baselines.dataset.digits import ganbench_dataset
from ganbench_baselines.extractor.digits_cnn import load
from ganbench_baselines.metric import cas, intra_fid, label_accuracy

METRICS = {"intra-fid": intra_fid, "label-accuracy": label_accuracy, "cas": cas}
KINDS = 10
every_metric = pytest.mark.parametrize("name", METRICS)


@cache
def digits(resolution: int = 8) -> Dataset:
    return ganbench_dataset(resolution)


@cache
def classifier() -> Extractor:
    return load()


def evaluation(fake: Split, real: Split | None = None, seed: int = 0, **more: Any) -> Evaluation:
    """Fakes against the training digits at 8x8, in the features of the digit classifier."""
    real = real or digits().train
    given: dict[str, Any] = {"extractor": classifier(), "dataset": digits(), "spec": digits().spec} | more
    rng = torch.Generator().manual_seed(seed)
    return Evaluation(real=real.x, fake=fake.x, rng=rng, real_labels=real.labels, fake_labels=fake.labels, **given)


def score(name: str, fake: Split, real: Split | None = None, **more: Any) -> dict[str, float]:
    metric: Metric = METRICS[name].ganbench_metric()
    return dict(metric(evaluation(fake, real, **more)))


def yardstick(name: str, n: int = 600) -> Split:
    reference = draw_reference(digits(), "train", n, 5)
    return YARDSTICKS[name](digits(), reference, "train", 3)[1]


def shuffled(split: Split) -> Split:
    assert split.labels is not None
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(1))
    return replace(split, labels=split.labels[order])


# -- every metric ------------------------------------------------------------------------------------------------------


@every_metric
def test_a_run_of_an_arch_that_takes_no_labels_is_refused(name):
    assert "labels" in METRICS[name].ganbench_metric().needs
    assert not GAN.conditional
    (source,) = [source for source in plugins.of_kind("metric") if source.name == name]
    assert plugins.build(source).columns == METRICS[name].ganbench_metric().columns


@every_metric
def test_fakes_without_labels_are_declined(name):
    with pytest.raises(Unsupported, match="labels"):
        score(name, replace(digits().test, labels=None))


@every_metric
def test_the_same_fakes_score_the_same_and_torchs_generator_stays_where_it_was(name):
    before = torch.get_rng_state()
    one, other = (score(name, yardstick("class gaussians", 200)) for _ in range(2))
    assert one == other
    assert torch.equal(torch.get_rng_state(), before)


@every_metric
def test_shuffled_labels_cost_a_generator_its_score(name):
    columns = METRICS[name].ganbench_metric().columns
    right = score(name, yardstick("training data"))
    wrong = score(name, shuffled(yardstick("training data")))
    for column, goal in columns.items():
        if goal != "info":
            sign = 1 if goal == "max" else -1
            assert sign * (right[column] - wrong[column]) > 0.6


# -- intra-FID ---------------------------------------------------------------------------------------------------------


class Same(Extractor):
    """Samples are their own features, and their own logits."""

    name, version = "same", "1"

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return x, x


def clouds(seed: int, n: int = 400, d: int = 6, kinds: int = 4) -> Split:
    """Gaussians of four classes, each of its own mean and covariance."""
    rng = torch.Generator().manual_seed(seed)
    fixed = torch.Generator().manual_seed(0)
    centre, mixing = 3 * torch.randn(kinds, d, generator=fixed), torch.randn(kinds, d, d, generator=fixed)
    labels = torch.arange(n) % kinds
    x = centre[labels] + (mixing[labels] @ torch.randn(n, d, 1, generator=rng)).squeeze(2)
    return Split(x.double(), labels)


def score_clouds(fake: Split, real: Split, name: str = "intra-fid", extractor: Extractor | None = None) -> dict:
    return score(name, fake, real, extractor=extractor or Same(), spec=DataSpec((6,), 4, bounded=False), dataset=None)


def by_definition(real: Tensor, fake: Tensor) -> float:
    """|μ_r - μ_f|² + tr(Σ_r + Σ_f - 2 (Σ_r Σ_f)^½), the root taken by scipy."""
    covariances = torch.cov(real.T), torch.cov(fake.T)
    root = torch.from_numpy(sqrtm((covariances[0] @ covariances[1]).numpy()).real)
    gap = (real.mean(0) - fake.mean(0)).square().sum()
    return float(gap + torch.trace(covariances[0] + covariances[1] - 2 * root))


def test_intra_fid_is_the_mean_of_what_scipy_and_torch_fidelity_find_in_each_class():
    real, fake = clouds(1), clouds(2)
    classes = [(real.x[real.labels == k], fake.x[fake.labels == k]) for k in range(4)]
    plain = [by_definition(*pair) for pair in classes]
    theirs = [
        fid_statistics_to_metric(*map(fid_features_to_statistics, pair), False)["frechet_inception_distance"]
        for pair in classes
    ]
    found = score_clouds(fake, real)
    assert found["intra_fid"] == pytest.approx(fmean(plain), rel=1e-6)
    assert found["intra_fid"] == pytest.approx(fmean(theirs), rel=1e-6)
    assert found["intra_fid_worst"] == pytest.approx(max(plain), rel=1e-6)


def test_intra_fid_of_the_very_same_samples_is_nothing_whatever_their_order():
    real = clouds(1)
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(0))
    assert score_clouds(real[order], real)["intra_fid_worst"] == pytest.approx(0, abs=1e-9)


def test_one_class_made_of_another_is_what_intra_fid_worst_shows():
    real, fake = clouds(1), clouds(2)
    swapped = replace(fake, x=torch.where((fake.labels == 3)[:, None], fake.x.roll(-1, 0), fake.x))  # 3 looks like 0
    right, wrong = score_clouds(fake, real), score_clouds(swapped, real)
    assert wrong["intra_fid_worst"] > 10 * right["intra_fid_worst"]
    rest = replace(fake, x=fake.x[fake.labels != 3], labels=fake.labels[fake.labels != 3])
    others = score_clouds(rest, replace(real, x=real.x[real.labels != 3], labels=real.labels[real.labels != 3]))
    assert wrong["intra_fid"] == pytest.approx((3 * others["intra_fid"] + wrong["intra_fid_worst"]) / 4)


@pytest.mark.parametrize("side", ["real", "fake"])
def test_a_class_of_one_sample_leaves_the_score_absent_and_is_named(side):
    whole, few = clouds(1), clouds(2)[torch.tensor([0, 1, 2, 3, 4, 5, 6, 8, 9, 10])]  # of class 3 only number 3
    found = score_clouds(*((few, whole) if side == "fake" else (whole, few)))
    assert found["intra_fid"].reason.startswith("class 3 has")


# -- label accuracy ----------------------------------------------------------------------------------------------------


def test_label_accuracy_is_sklearns_on_the_classifiers_opinion():
    fake, real = yardstick("class gaussians"), digits().test
    found = score("label-accuracy", fake, real)
    for column, split in (("label_accuracy", fake), ("label_accuracy_real", real)):
        assert split.labels is not None
        with torch.inference_mode():
            said = classifier()(split.x)[1].argmax(1)
        assert found[column] == pytest.approx(accuracy_score(split.labels.numpy(), said.numpy()))


def test_random_labels_are_right_one_time_in_ten_and_real_ones_nearly_always():
    fake = yardstick("training data", 1438)
    assert score("label-accuracy", fake)["label_accuracy"] > 0.99
    rng = torch.Generator().manual_seed(2)
    guessed = replace(fake, labels=torch.randint(KINDS, (1438,), generator=rng))
    assert score("label-accuracy", guessed)["label_accuracy"] == pytest.approx(0.1, abs=0.03)


def test_one_wrong_class_costs_its_share():
    fake = yardstick("training data", 1438)
    assert fake.labels is not None
    wrong = replace(fake, labels=torch.where(fake.labels == 7, 1, fake.labels))
    lost = score("label-accuracy", fake)["label_accuracy"] - score("label-accuracy", wrong)["label_accuracy"]
    assert lost == pytest.approx((fake.labels == 7).double().mean().item(), abs=1e-9)


class Parts(Same):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x.reshape(len(x), 2, -1)


class Silent(Same):
    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x, None


@pytest.mark.parametrize(
    ("extractor", "reason"), [(Parts(), "the extractor assigns 2"), (Silent(), "does not classify")]
)
def test_a_classifier_that_cannot_say_is_named(extractor, reason):
    with pytest.raises(Unsupported, match=reason):
        score_clouds(clouds(2), clouds(1), "label-accuracy", extractor)


def test_logits_that_are_not_finite_are_no_opinion():
    with pytest.raises(ValueError, match="finite"):
        label_accuracy.recognised(torch.tensor([[math.nan, 0.0]]), torch.tensor([0]))


# -- classification accuracy score -------------------------------------------------------------------------------------


def test_what_real_samples_teach_is_what_the_real_recipe_teaches():
    found = score("cas", yardstick("training data", 1438))
    assert found["cas_real"] > 0.97
    assert found["cas"] == pytest.approx(found["cas_real"], abs=0.015)
    assert found["cas_gain"] == found["cas_both"] - found["cas_real"]
    assert abs(found["cas_gain"]) < 0.015


def test_noise_teaches_nothing_and_adds_nothing():
    found = score("cas", yardstick("noise"))
    assert found["cas"] < 0.25
    assert found["cas_both"] > 0.8
    assert found["cas_gain"] < 0.01


def test_a_class_that_is_never_shown_is_never_recognised():
    fake = yardstick("training data")
    assert fake.labels is not None
    seven = replace(fake, labels=torch.where(fake.labels == 7, 1, fake.labels))
    share = (digits().test.labels == 7).double().mean().item()
    assert score("cas", seven)["cas"] < 1 - share


def test_few_real_samples_gain_from_more_of_their_kind():
    train = digits().train
    few = replace(digits(), train=train[torch.arange(60)])
    more = train[torch.arange(60, 1438)]
    found = score("cas", more, dataset=few)
    assert found["cas_real"] < 0.9
    assert found["cas_gain"] > 0.05


def test_as_many_real_samples_are_taken_as_there_are_fakes_always_the_same_ones():
    train = digits().train
    one, other = cas.some_of(train, 200), cas.some_of(train, 200)
    assert len(one) == 200
    assert torch.equal(one.x, other.x)
    assert len(cas.some_of(train, 5000)) == len(train)
    assert score("cas", yardstick("noise", 100))["cas_real"] < score("cas", yardstick("noise", 600))["cas_real"]


def test_the_real_recipe_is_carried_out_once_for_all_that_share_the_data(monkeypatch):
    fake, trained, made = yardstick("noise", 90), cas.trained, []

    def counted(*given: Any) -> Any:
        made.append(len(given[0]))
        return trained(*given)

    monkeypatch.setattr(cas, "trained", counted)
    one, other = score("cas", fake), score("cas", fake, seed=1)
    assert one["cas_real"] == other["cas_real"]
    assert made == [90] * cas.TRAININGS + [90, 180] * 2


def test_the_networks_follow_from_the_metrics_own_generator():
    fake = yardstick("class gaussians", 200)
    scores = [score("cas", fake, seed=seed)["cas"] for seed in range(4)]
    assert len(set(scores)) > 1
    assert fmean(scores) == pytest.approx(scores[0], abs=0.1)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 12), (1, 28, 28), (3, 64, 64)])
def test_the_classifier_is_made_for_any_image_of_eight_pixels_or_more(shape):
    network = cas.classifier(shape, KINDS)
    assert network(torch.zeros(2, *shape)).shape == (2, KINDS)
    last = list(network.children())[-1]
    assert isinstance(last, torch.nn.Linear)
    assert last.in_features % 16 == 0
    assert last.in_features >= 16 * 4 * 4


def test_coloured_fakes_are_scored_as_stored():
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(120) % 3
    colour = torch.nn.functional.one_hot(labels, 3).view(-1, 3, 1, 1) - 0.5
    x = quantise(colour + 0.3 * torch.randn(120, 3, 9, 9, generator=rng), torch.empty(0, dtype=torch.uint8))
    data = Dataset("colours", DataSpec((3, 9, 9), 3), Split(x, labels), Split(x.flip(0), labels.flip(0)))
    assert score("cas", data.train, data.train, dataset=data, spec=data.spec)["cas"] > 0.95


@pytest.mark.parametrize("what", ["points", "small", "unlabelled", "nothing"])
def test_data_that_the_classifier_cannot_learn_are_declined(what):
    data: Dataset | None = digits()
    assert data is not None
    if what == "points":
        data = replace(data, spec=DataSpec((2,), KINDS, bounded=False))
    elif what == "small":
        data = replace(data, spec=DataSpec((1, 7, 8), KINDS))
    else:
        data = replace(data, test=replace(data.test, labels=None)) if what == "unlabelled" else None
    with pytest.raises(Unsupported, match="needs"):
        score("cas", yardstick("noise", 50), dataset=data)
