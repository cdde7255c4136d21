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
from ganbench.samples.faults import copying, faults_of
from ganbench_baselines.dataset import digits, drums, emoji, moving_digits


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


def test_the_finding_of_copies_is_told_from_others(pictures) -> None:
    told = faults_of(Split(pictures.train.x[:200]), pictures, None)
    assert copying(["something else", *told]) == "200 of 200 samples are exact copies of training samples"
    assert not copying(["something else"])


@pytest.fixture(scope="module")
def sounds() -> Dataset:
    return drums.ganbench_dataset(argument="", resolution=None)


@pytest.mark.parametrize("stored", ["WAV", "half precision"])
def test_copies_of_training_sounds_are_found_however_they_were_rounded(stored, sounds) -> None:
    def rounded(x: Tensor) -> Tensor:
        return (
            x.half().float() if stored != "WAV" else torch.from_numpy((x.numpy() * 32767).astype("<i2") / 32768).float()
        )

    x = rounded(torch.cat([sounds.train.x[:30], sounds.test.x[:70]]))
    found_there = found(x, sounds)
    assert "30 of 100 samples are exact copies of training samples, but for rounding" in found_there
    assert not found(rounded(sounds.test.x[:100]), sounds)


def test_rounded_copies_of_points_are_found_unless_real_points_are_as_close() -> None:
    rng = torch.Generator().manual_seed(0)
    spec = DataSpec((2,), bounded=False)
    sparse, dense = torch.rand(2, 2000, 2, generator=rng), torch.randint(50, (2, 2000, 2), generator=rng) / 50
    for x, told in ((sparse, "2,000 of 2,000 samples are exact copies"), (dense, "")):
        toy = Dataset("toy", spec, Split(x[0]), Split(x[1]))
        assert told in found(x[0] + 1e-6, toy)
        assert "copies" not in found(x[1] + 1e-6, toy)


def test_lossy_copies_of_training_clips_are_found() -> None:
    clips = moving_digits.ganbench_dataset(argument="", resolution=16)
    clips = Dataset("clips", clips.spec, Split(clips.train.x[:1500]), Split(clips.test.x[:500]))
    noise = torch.randint(-6, 7, (200, 1, 8, 16, 16), generator=torch.Generator().manual_seed(0))
    lossy = (clips.train.x[:200].int() + noise).clamp(0, 255).to(torch.uint8)
    assert "100 % of the samples are nearly copies of a training clip" in found(lossy, clips)
    assert not found(clips.test.x[:200], clips)


@pytest.mark.parametrize("change", ["blur", "jpeg", "noise"])
def test_changed_copies_of_training_images_are_found(change, pictures) -> None:
    x = pictures.train.x[:300]
    noise = (torch.randn(x.shape, generator=torch.Generator().manual_seed(0)) * 8).int()
    changed = {
        "blur": lambda: blurred(x),
        "jpeg": lambda: stored_as_jpeg(x, 90),
        "noise": lambda: (x.int() + noise).clamp(0, 255).to(torch.uint8),
    }[change]()
    assert " % of the samples are nearly copies of a training image" in found(changed, pictures)


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


def test_one_image_many_times_is_not_taken_for_jpeg(pictures) -> None:
    for one in pictures.test.x[:40]:
        assert "JPEG" not in found(one.expand(300, -1, -1, -1), pictures)


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


def test_several_missing_classes_are_listed_in_few_words(numbers) -> None:
    labels = numbers.test.labels
    kept = labels < 8
    told = faults_of(Split(numbers.test.x[kept], labels[kept]), numbers, None)
    assert "hardly any sample was made for the classes '8' and '9'" in told
    many = Dataset(
        "toy", DataSpec((2,), classes=30, bounded=False), *[Split(torch.rand(3000, 2), torch.arange(3000) % 30)] * 2
    )
    (told,) = faults_of(Split(torch.rand(900, 2), torch.zeros(900, dtype=torch.int64)), many, None)
    assert told.endswith("the classes 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 19 more")


def test_a_class_that_is_rare_in_the_data_may_be_absent() -> None:
    labels = torch.tensor([0] * 990 + [1] * 10)
    toy = Dataset("toy", DataSpec((2,), classes=2, bounded=False), *[Split(torch.rand(1000, 2), labels)] * 2)
    assert not faults_of(Split(torch.rand(500, 2), torch.zeros(500, dtype=torch.int64)), toy, None)
