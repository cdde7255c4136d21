"""FID against both splits of the data: by torch-fidelity, with as many reals of each."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_fidelity import metric_fid

from ganbench import Dataset, DataSpec, Evaluation, Extractor, Split, Unsupported
from ganbench_baselines.metric import fid_splits, splits

METRIC = fid_splits.ganbench_metric()


class Same(Extractor):
    """Samples are their own features."""

    name, version = "same", "1"

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x.double(), None


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def judged(fake: Tensor, train: Tensor, test: Tensor) -> tuple[dict[str, float], list[str]]:
    """The scores, and the warnings."""
    spec = DataSpec((fake.shape[1],), bounded=False)
    data = Dataset("two splits", spec, Split(train), Split(test))
    given = Evaluation(test[:1], fake, spec, torch.Generator(), extractor=Same(), dataset=data)
    return dict(METRIC(given)), given.doubts


def torch_fidelitys(one: Tensor, other: Tensor) -> Any:
    statistics = [metric_fid.fid_features_to_statistics(x) for x in (one, other)]
    return pytest.approx(metric_fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"])


def test_each_distance_is_that_of_torch_fidelity() -> None:
    fake, train, test = 1.2 * normal(1100, 5, 0), normal(700, 5, 1) + 0.5, 2 * normal(700, 5, 2)
    found, doubts = judged(fake, train, test)
    assert found["fid_train"] == torch_fidelitys(train, fake)
    assert found["fid_test"] == torch_fidelitys(test, fake)
    assert found["fid_gap"] == found["fid_test"] - found["fid_train"] > 1
    assert doubts == []


@pytest.mark.parametrize("swapped", [False, True])
def test_of_the_larger_split_only_as_many_reals_are_used(swapped) -> None:
    fake, large, small = normal(400, 4, 0), normal(1500, 4, 1), normal(600, 4, 2)
    some = large[splits.chosen(large, 600)]
    found, _ = judged(fake, small, large) if swapped else judged(fake, large, small)
    names = ("fid_test", "fid_train") if swapped else ("fid_train", "fid_test")
    assert len(some) == 600
    assert found[names[0]] == torch_fidelitys(some, fake)
    assert found[names[1]] == torch_fidelitys(small, fake)


def test_the_gap_of_new_samples_is_about_zero_although_the_splits_differ_in_size() -> None:
    gaps = []
    for seed in range(0, 60, 3):
        fake, train, test = (normal(n, 10, seed + i) for i, n in enumerate((200, 2000, 100)))
        gaps.append(judged(fake, train, test)[0]["fid_gap"])
    assert abs(fmean(gaps)) < 0.1  # against 0.5 if all training samples were used
    assert min(gaps) < 0 < max(gaps)


def test_copies_of_training_samples_have_a_gap() -> None:
    train, test = normal(300, 10, 0), normal(300, 10, 1)
    found, _ = judged(train.flip(0), train, test)
    assert 0 <= found["fid_train"] < 1e-9
    assert found["fid_gap"] == pytest.approx(found["fid_test"])
    assert found["fid_test"] > 0.1


def test_more_features_than_samples_of_the_smaller_split_are_said() -> None:
    (said,) = judged(normal(90, 20, 0), normal(90, 20, 1), normal(20, 20, 2))[1]
    assert said.startswith("20 samples are no more than the 20 features")


def test_moments_of_the_splits_are_computed_once(monkeypatch) -> None:
    x = normal(50, 3, 0)
    data = Dataset("two splits", DataSpec((3,), bounded=False), Split(x), Split(x + 1))
    given = Evaluation(x, x, data.spec, torch.Generator(), extractor=Same(), dataset=data)
    first = METRIC(given)
    monkeypatch.setattr(splits, "extract", None)
    assert METRIC(given.for_metric(torch.Generator())) == first


def test_large_splits_are_limited(monkeypatch) -> None:
    fake, train, test = normal(100, 2, 0), normal(300, 2, 1), normal(200, 2, 2)
    monkeypatch.setattr(fid_splits, "MOST", 150)
    assert judged(fake, train, test)[0]["fid_test"] == torch_fidelitys(test[splits.chosen(test, 150)], fake)


@pytest.mark.parametrize(("lacking", "said"), [("dataset", "splits"), ("extractor", "extractor")])
def test_what_is_lacking_is_named(lacking, said) -> None:
    x = normal(20, 2, 0)
    data = Dataset("two splits", DataSpec((2,), bounded=False), Split(x), Split(x))
    given: dict[str, Any] = {"dataset": data, "extractor": Same(), lacking: None}
    with pytest.raises(Unsupported, match=said):
        METRIC(Evaluation(x, x, data.spec, torch.Generator(), **given))
