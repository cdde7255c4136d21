"""What goes wrong when samples travel is found when it is planted, and real data raise no alarm."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ganbench import Dataset, DataSpec, Split
from ganbench.samples.faults import faults_of
from ganbench_baselines.dataset import digits, emoji


@pytest.fixture(scope="module")
def pictures() -> Dataset:
    return emoji.ganbench_dataset(resolution=32)


@pytest.fixture(scope="module")
def numbers() -> Dataset:
    return digits.ganbench_dataset(resolution=16)


def stored_as_jpeg(x: Tensor, quality: int) -> Tensor:
    def one(image: Tensor) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer)).transpose(2, 0, 1)

    return torch.from_numpy(np.stack([one(image) for image in x]))


def blurred(x: Tensor, size: int = 3) -> Tensor:
    return avg_pool2d(x.float(), size, 1, size // 2, count_include_pad=False).round().to(torch.uint8)


def found(x: Tensor, data: Dataset) -> str:
    return "; ".join(faults_of(Split(x), data, None))


def test_real_samples_raise_no_alarm(pictures, numbers) -> None:
    assert not found(pictures.test.x, pictures)
    assert not found(numbers.test.x, numbers)


def test_images_laid_over_each_other_raise_no_alarm(pictures) -> None:
    one, other = pictures.test.x[:147].int(), pictures.test.x[147:].int()
    assert not found(((one + other[: len(one)]) // 2).to(torch.uint8), pictures)


def test_copies_of_training_samples_are_counted(pictures) -> None:
    x = torch.cat([pictures.test.x[:200], pictures.train.x[:50]])
    assert "50 of 250 samples are exact copies of training samples" in found(x, pictures)


def test_samples_that_repeat_each_other_are_counted(pictures) -> None:
    x = pictures.test.x[torch.arange(300) % 100]
    assert "200 of 300 samples repeat another one exactly" in found(x, pictures)


def test_repetitions_as_in_the_real_data_are_not_worth_a_word() -> None:
    spec, few = DataSpec((2,), bounded=False), torch.rand(500, 2).repeat(2, 1)
    toy = Dataset("toy", spec, Split(few), Split(few[:200]))
    assert not found(torch.rand(400, 2)[torch.arange(600) % 400], toy)


@pytest.mark.parametrize("change", ["blur", "jpeg", "noise"])
def test_changed_copies_of_training_images_are_found(change, pictures) -> None:
    x = pictures.train.x[:300]
    noise = (torch.randn(x.shape, generator=torch.Generator().manual_seed(0)) * 8).int()
    changed = {
        "blur": lambda: blurred(x),
        "jpeg": lambda: stored_as_jpeg(x, 90),
        "noise": lambda: (x.int() + noise).clamp(0, 255).to(torch.uint8),
    }[change]()
    assert "% of the samples are nearly copies of a training image" in found(changed, pictures)


def test_blurred_samples_are_no_copies(pictures) -> None:
    assert "copies" not in found(blurred(pictures.test.x, 5), pictures)


@pytest.mark.parametrize(
    ("order", "told"), [((2, 1, 0), "blue, green and red"), ((1, 2, 0), "blue, red and green")], ids=["bgr", "gbr"]
)
def test_swapped_channels_are_found_with_the_right_order(order, told, pictures) -> None:
    assert f"in the order {told}" in found(pictures.test.x[:, list(order)], pictures)


@pytest.mark.parametrize("quality", [95, 75])
def test_jpeg_is_seen_in_pixels(quality, pictures) -> None:
    assert "stored as JPEG" in found(stored_as_jpeg(pictures.test.x, quality), pictures)


def test_jpeg_in_the_real_data_is_no_fault_of_the_samples(pictures) -> None:
    x = stored_as_jpeg(pictures.train.x, 75)
    toy = Dataset("toy", pictures.spec, Split(x), Split(x[:200]))
    assert "JPEG" not in found(stored_as_jpeg(pictures.test.x, 75), toy)


def test_classes_that_no_sample_was_made_for_or_looks_like_are_named(numbers) -> None:
    labels = numbers.test.labels
    x, kept = numbers.test.x[labels != 7], labels[labels != 7]
    told = faults_of(Split(x, kept), numbers, kept)
    assert "hardly any sample was made for class '7'" in told
    assert "hardly any sample looks like class '7'" in told


def test_a_class_that_is_rare_in_the_data_may_be_absent() -> None:
    labels = torch.tensor([0] * 990 + [1] * 10)
    toy = Dataset("toy", DataSpec((2,), classes=2, bounded=False), *[Split(torch.rand(1000, 2), labels)] * 2)
    assert not faults_of(Split(torch.rand(500, 2), torch.zeros(500, dtype=torch.int64)), toy, None)
