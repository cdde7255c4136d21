"""Memorisation: planted copies are found, and new samples of the data are not."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.distance import cdist
from scipy.stats import binomtest
from torch import Tensor

from ganbench import Absent, Dataset, DataSpec, Evaluation, Extractor, Memo, Split, Unsupported
from ganbench.contracts.features import FeatureStore
from ganbench_baselines.dataset import digits
from ganbench_baselines.extractor import digits_cnn
from ganbench_baselines.metric import memorisation, neighbours

METRIC = memorisation.ganbench_metric()
KEPT = Memo()  # what is known of the digits


class Same(Extractor):
    """Samples are their own features."""

    name, version = "same", "1"

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x.double(), None


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scored(fake: Tensor, train: Tensor, held: Tensor, judge: Extractor | None = None) -> tuple[dict, list[str]]:
    """The scores, and the warnings."""
    spec = DataSpec(tuple(train.shape[1:]), bounded=train.dtype == torch.uint8)
    data = Dataset("planted", spec, Split(train), Split(held))
    store = FeatureStore(held, fake, judge or Same(), torch.device("cpu"), KEPT if judge else None)
    given = Evaluation(held, fake, spec, torch.Generator(), extractor=store.extractor, dataset=data, shared=store)
    return dict(METRIC(given)), given.doubts


def clouds(*numbers: int, d: int = 8) -> list[Tensor]:
    """Samples of one Gaussian in ``d`` dimensions, far from the origin."""
    return [normal(n, d, seed) + 100 for seed, n in enumerate(numbers)]


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_all_scores_equal_those_from_the_distances_of_scipy(monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "ROWS", 70)  # so that there are many tiles
    monkeypatch.setattr(neighbours, "COLUMNS", 90)
    train, held, fake = clouds(800, 300, 400)
    fake[:40] = train[100:140] + 0.05 * normal(40, 8, 9)
    found, _ = scored(fake, train, held)
    of_fakes, of_held, within = cdist(fake, train), cdist(held, train), cdist(train, train)
    np.fill_diagonal(within, np.inf)
    nearest = of_fakes.argmin(1)
    authentic = of_fakes.min(1) > within.min(1)[nearest]
    near, usual = (np.sort(d, axis=1)[:, 0] / np.sort(d, axis=1)[:, 4] for d in (of_fakes, of_held))
    assert found["auth_pct"] == pytest.approx(100 * authentic.mean(), abs=1e-9)
    lower = np.sort(of_fakes.min(1))[(400 - 1) // 2]  # torch's median is the lower of two
    assert found["nn_ratio"] == pytest.approx(lower / np.sort(of_held.min(1))[(300 - 1) // 2], rel=1e-9)
    assert found["near_duplicates"] == (near <= usual.min()).mean() >= 0.1


def test_a_fake_is_authentic_if_its_neighbour_has_a_closer_one() -> None:
    train = torch.tensor([0.0, 1, 10, 14, 30, 31]).double()[:, None]
    held = torch.linspace(0, 31, 101).double()[:, None]
    found, _ = scored(torch.tensor([[2.5], [12.0], [33.0], [11.0]]).double(), train, held)
    assert found["auth_pct"] == 50  # 2.5 and 33 are, as 1 and 31 have others at distance 1; 11 and 12 are not


def test_the_threshold_is_the_tenth_smallest_of_ten_thousand_ratios(monkeypatch) -> None:
    train, held, fake = clouds(300, 2500, 2000, d=2)
    seen = []
    monkeypatch.setattr(memorisation, "_near_duplicates", lambda evaluation, ratio, known: seen.append(known) or 0.0)
    scored(fake, train, held)
    (ratio,) = seen
    monkeypatch.undo()
    evaluation = Evaluation(held, fake, DataSpec((2,)), torch.Generator())
    assert memorisation._near_duplicates(evaluation, ratio[:2], ratio) == 1  # 2501 / 1000 is 2
    assert memorisation._near_duplicates(evaluation, ratio[2:3], ratio) == 0


# -- alarms ------------------------------------------------------------------------------------------------------------


def test_exact_copies_are_counted_and_said() -> None:
    train, held, fake = clouds(1500, 500, 1000)
    fake[::5] = train[:200]
    found, doubts = scored(fake, train, held)
    assert 0.2 <= found["near_duplicates"] < 0.22
    (said,) = doubts
    assert said.startswith(f"{round(1000 * found['near_duplicates'])} of 1000 samples are near copies of training")


def test_copies_of_a_sample_that_the_data_repeat_are_found() -> None:
    train, held, fake = clouds(1500, 500, 1000)
    train[:9] = train[:1]
    fake[:300] = train[0]
    assert scored(fake, train, held)[0]["near_duplicates"] >= 0.3


def test_new_samples_of_the_data_do_not_alarm() -> None:
    shares = []
    for seed in range(30):
        train, held, fake = (normal(n, 6, 10 * seed + i) for i, n in enumerate((500, 400, 500)))
        found, doubts = scored(fake, train, held)
        assert doubts == []
        shares.append(found["near_duplicates"])
    assert binomtest(round(500 * sum(shares)), 30 * 500, 1 / 401).pvalue > 0.001  # the stated rate
    assert 0.8 < found["nn_ratio"] < 1.2


@pytest.mark.parametrize("kind", ["few modes", "middle", "noise"])
def test_bad_samples_that_are_not_copies_do_not_alarm(kind) -> None:
    train, held, fake = clouds(3000, 400, 1000)
    fake = {"few modes": 100.3 + 0.1 * (fake - 100), "middle": 100 + 0.5 * (fake - 100), "noise": 3 * fake - 200}[kind]
    found, doubts = scored(fake, train, held)
    assert doubts == []
    assert found["near_duplicates"] < 0.02
    assert (found["nn_ratio"] < 0.9) == (kind != "noise")  # while the distance alone would call them copies


def test_held_out_samples_that_are_copies_raise_the_expected_number() -> None:
    train, held, fake = clouds(1500, 500, 1000)
    held[:50], fake[:100] = train[:50], train[50:150]
    found, doubts = scored(fake, train, held)
    assert found["near_duplicates"] == pytest.approx(0.1, abs=0.01)
    assert doubts == []


# -- digits ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits.ganbench_dataset(resolution=16)


def on_digits(data: Dataset, fake: Tensor) -> tuple[dict, list[str]]:
    return scored(fake, data.train.x, data.test.x, digits_cnn.load())


def jpeg(x: Tensor) -> Tensor:
    """The images ``[N, 1, H, W]`` after compression at quality 75."""

    def one(image: Tensor) -> Tensor:
        file = io.BytesIO()
        Image.fromarray(image[0].numpy()).save(file, "jpeg", quality=75)
        return torch.from_numpy(np.array(Image.open(file)))[None]

    return torch.stack([one(image) for image in x])


def noisy(x: Tensor) -> Tensor:
    noise = 4 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    return (x + noise).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize(
    ("change", "least"), [(torch.clone, 1.0), (jpeg, 0.95), (noisy, 0.95)], ids=["exact", "jpeg", "noise"]
)
def test_planted_copies_of_digits_are_found(data, change, least) -> None:
    train, held, fake = data.train.x, data.test.x, data.test.x.clone()
    fake[:100] = change(train[:100])
    found, doubts = on_digits(data, fake)
    assert found["near_duplicates"] >= least * 100 / len(held)
    assert "near copies of training samples" in doubts[0]


def test_half_of_the_held_out_digits_do_not_alarm_against_the_others(data) -> None:
    held = data.test.x
    found, doubts = scored(held[::2], data.train.x, held[1::2], digits_cnn.load())
    assert doubts == []
    assert found["near_duplicates"] < 0.03


# -- what cannot be scored ---------------------------------------------------------------------------------------------


def test_too_few_held_out_samples_leave_near_duplicates_out() -> None:
    train, held, fake = clouds(50, 99, 50)
    few, enough = (scored(fake, train, held[:n])[0] for n in (98, 99))
    assert few["near_duplicates"] == Absent("98 held-out samples are too few to tell what is unusually close: needs 99")
    assert few["auth_pct"] == enough["auth_pct"] > 0
    assert 0 <= enough["near_duplicates"] < 0.1


def test_held_out_samples_that_are_all_copies_leave_the_ratio_out() -> None:
    train, _, fake = clouds(200, 1, 50)
    assert isinstance(scored(fake, train, train[:150])[0]["nn_ratio"], Absent)


@pytest.mark.parametrize(("train", "held"), [(5, 100), (100, 0)])
def test_splits_without_enough_samples_are_declined(train, held) -> None:
    with pytest.raises(Unsupported, match="6 training samples"):
        scored(*clouds(20), *clouds(train, held))


@pytest.mark.parametrize(("lacking", "said"), [("dataset", "splits"), ("extractor", "extractor")])
def test_what_is_lacking_is_named(lacking, said) -> None:
    x = normal(20, 2, 0)
    data = Dataset("planted", DataSpec((2,), bounded=False), Split(x), Split(x))
    given: dict[str, Any] = {"dataset": data, "extractor": Same(), lacking: None}
    with pytest.raises(Unsupported, match=said):
        METRIC(Evaluation(x, x, data.spec, torch.Generator(), **given))


def test_training_samples_that_are_left_out_are_said(monkeypatch) -> None:
    monkeypatch.setattr(memorisation, "MOST", 100)
    train, held, fake = clouds(150, 120, 50)
    assert "compared with 100 of 150 training samples" in scored(fake, train, held)[1][0]
