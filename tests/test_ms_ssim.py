"""MS-SSIM of pairs: each similarity by pytorch-msssim, and the pairs themselves."""

from __future__ import annotations

import pytest
import pytorch_msssim
import torch
from torch import Tensor

from ganbench import DataSpec, Evaluation, Unsupported, to_signal
from ganbench_baselines.metric import ms_ssim

METRIC = ms_ssim.ganbench_metric()


def images(n: int, seed: int, side: int = 16, channels: int = 1) -> Tensor:
    """Blurred noise, so that images have structure at more than one scale."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, channels, -(-side // 4), -(-side // 4), generator=rng)
    x = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    return (255 * (0.8 * x + 0.2 * torch.rand(x.shape, generator=rng))).to(torch.uint8)


def judged(real: Tensor, fake: Tensor, seed: int = 0, **labels: Tensor | None) -> dict[str, float]:
    rng = torch.Generator().manual_seed(seed)
    return dict(METRIC(Evaluation(real, fake, DataSpec(tuple(real.shape[1:])), rng, **labels)))


@pytest.mark.parametrize("scales", [1, 2, 3, 4, 5])
def test_the_similarity_is_that_of_another_implementation_at_any_number_of_scales(scales, monkeypatch) -> None:
    one = images(3, 0, 176, channels=3)
    other = (0.7 * one + 0.3 * images(3, 1, 176, channels=3)).to(torch.uint8)
    weights = [weight / sum(ms_ssim.WEIGHTS[:scales]) for weight in ms_ssim.WEIGHTS[:scales]]
    monkeypatch.setattr(ms_ssim, "WEIGHTS", ms_ssim.WEIGHTS[:scales])
    ours = ms_ssim.similarity(to_signal(one), to_signal(other))
    theirs = pytorch_msssim.ms_ssim(one.double(), other.double(), 255, size_average=False, weights=weights)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)
    assert 0.1 < theirs.min() < theirs.max() < 0.95


@pytest.mark.parametrize("side", [11, 16, 21])
def test_small_images_have_the_similarity_at_one_scale(side) -> None:
    one, other = images(5, 0, side), images(5, 1, side)
    theirs = pytorch_msssim.ssim(one.double(), other.double(), 255, size_average=False, nonnegative_ssim=True)
    torch.testing.assert_close(ms_ssim.similarity(to_signal(one), to_signal(other)), theirs, rtol=0, atol=1e-5)


def test_there_are_as_many_scales_as_the_window_fits_into() -> None:
    sides = {1: [8, 11, 21], 2: [22, 28, 32, 43], 3: [44, 64, 87], 4: [88, 128, 175], 5: [176, 1024]}
    assert {
        scales: [side for side in all_ if ms_ssim.scales(side) == scales] for scales, all_ in sides.items()
    } == sides


def test_equal_images_are_similar_and_opposite_ones_are_not() -> None:
    x = images(4, 0)
    torch.testing.assert_close(ms_ssim.similarity(to_signal(x), to_signal(x)), torch.ones(4).double())
    assert ms_ssim.similarity(to_signal(x), to_signal(255 - x)).tolist() == [0] * 4


@pytest.mark.parametrize(("side", "size"), [(8, 7), (9, 9), (10, 9), (11, 11), (64, 11)])
def test_the_window_shrinks_to_what_fits(side, size) -> None:
    window = ms_ssim.gaussian(side)
    assert len(window) == size
    assert window.sum().item() == pytest.approx(1)
    assert window.argmax() == size // 2
    assert (window[0] / window[size // 2]).item() == pytest.approx(
        torch.exp(torch.tensor(-(((size // 2) / (1.5 * size / 11)) ** 2) / 2)).item()
    )


def test_pairs_are_of_one_class_and_never_of_a_sample_with_itself() -> None:
    labels = torch.tensor([2, 0, 2, 5, 0, 2, 0, 7, 2])  # 5 and 7 have one sample each
    index = ms_ssim.pairs(len(labels), labels, torch.Generator().manual_seed(0))
    assert index.shape == (1000, 2)
    assert torch.equal(labels[index[:, 0]], labels[index[:, 1]])
    assert not (index[:, 0] == index[:, 1]).any()
    assert torch.bincount(labels[index[:, 0]]).tolist() == [500, 0, 500]
    every = {(i, j) for i in range(9) for j in range(9) if i != j and labels[i] == labels[j]}
    assert set(map(tuple, index.tolist())) == every


def test_pairs_without_labels_are_of_all_samples_equally_often() -> None:
    index = ms_ssim.pairs(5, None, torch.Generator().manual_seed(0))
    assert not (index[:, 0] == index[:, 1]).any()
    times = torch.bincount(5 * index[:, 0] + index[:, 1], minlength=25).view(5, 5)
    assert (times + 50 * torch.eye(5)).min() > 25


def test_varied_fakes_are_less_alike_than_copies_of_a_few() -> None:
    real, few = images(100, 0), images(3, 1)[torch.arange(100) % 3]
    found = judged(real, few)
    third = judged(real, images(3, 1)[torch.zeros(100, dtype=torch.int64)])
    assert found["ms_ssim"] > found["ms_ssim_real"] + 0.2
    assert third["ms_ssim"] == pytest.approx(1)
    assert judged(few, real)["ms_ssim_real"] == pytest.approx(found["ms_ssim"], abs=0.05)


def test_labels_of_both_make_the_pairs_those_of_classes() -> None:
    kinds = torch.arange(100) % 4
    x = images(4, 2)[kinds]
    assert min(judged(x, x, real_labels=kinds, fake_labels=kinds).values()) == pytest.approx(1)
    for lacking in ("real_labels", "fake_labels"):
        assert max(judged(x, x, **{"real_labels": kinds, "fake_labels": kinds, lacking: None}).values()) < 0.8


def test_pairs_that_do_not_fit_into_one_part_score_the_same(monkeypatch) -> None:
    real, fake = images(20, 0), images(20, 1)
    whole = judged(real, fake)
    monkeypatch.setattr(ms_ssim, "AT_ONCE", 7 * 256)
    assert judged(real, fake) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(
    ("shape", "bounded", "said"),
    [((2,), False, "needs images"), ((1, 400), True, "needs images"), ((1, 16, 16), False, "needs images")],
)
def test_what_are_no_images_is_declined(shape, bounded, said) -> None:
    x = torch.zeros(10, *shape)
    with pytest.raises(Unsupported, match=said):
        METRIC(Evaluation(x, x, DataSpec(shape, bounded=bounded), torch.Generator()))


def test_classes_of_one_sample_each_are_declined() -> None:
    x, labels = images(5, 0), torch.arange(5)
    with pytest.raises(Unsupported, match="two samples of a class"):
        judged(x, x, real_labels=labels, fake_labels=labels)
