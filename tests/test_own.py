"""The judge trained on a user's own data: what it sees, what it refuses, and that its file can be trusted."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import judges
import pytest
import torch
from safetensors.torch import load, save

from ganbench.contracts.data import Dataset, DataSpec, Split, to_signal
from ganbench.contracts.extractor import extract
from ganbench.errors import DataError, Unsupported
from ganbench.testing import check_extractor
from ganbench_baselines.dataset import digits
from ganbench_baselines.extractor import own

CPU = torch.device("cpu")
NAMES = tuple("abcdefghij")


@cache
def data() -> Dataset:
    """240 digits to train on, with names for their classes."""
    whole = digits.ganbench_dataset(resolution=16)
    some = torch.arange(240)
    return Dataset("digits", whole.spec, train=whole.train[some], test=whole.test, class_names=NAMES)


def trained(dataset: Dataset) -> own.Own:
    judge = own.Own()
    judge.fit(dataset)
    return judge


@cache
def of_digits() -> own.Own:
    return trained(data())


def unlabelled(x: torch.Tensor, rate: float | None = None) -> Dataset:
    return Dataset("some", DataSpec(tuple(x.shape[1:]), rate=rate), train=Split(x), test=Split(x))


def written(judge: own.Own, folder: Path) -> Path:
    file = folder / "mine.judge.safetensors"
    file.write_bytes(judge.to_bytes())
    return file


# -- what it is --------------------------------------------------------------------------------------------------------


def test_it_has_one_feature_for_each_eight_training_samples_and_at_most_64() -> None:
    few, _ = extract(of_digits(), data().test.x, CPU)
    assert few.shape == (len(data().test), 30)
    many, _ = extract(trained(digits.ganbench_dataset(resolution=16)), data().test.x[:4], CPU)
    assert many.shape == (4, 64)


def test_its_features_have_spread_one_on_the_training_data_and_nearly_so_on_others() -> None:
    judge = trained(unlabelled(data().train.x))
    features, logits = extract(judge, data().train.x, CPU)
    assert logits is None
    assert torch.allclose(features.mean(dim=0), torch.zeros(30, dtype=torch.float64), atol=0.01)
    assert torch.allclose(features.std(dim=0), torch.ones(30, dtype=torch.float64), atol=0.01)
    others = extract(judge, data().test.x, CPU)[0]
    assert 0.7 < others.var(dim=0).mean() < 1.3
    assert others.mean(dim=0).abs().max() < 0.3


def test_it_classifies_where_there_are_classes_that_can_be_told_apart() -> None:
    judge = of_digits()
    _, logits = extract(judge, data().test.x, CPU)
    assert (logits.argmax(dim=1) == data().test.labels).double().mean() > 0.85
    assert judge.class_names == NAMES
    assert judge.confusion.shape == (10, 10)
    assert judge.confusion.sum() == 240
    assert judge.confusion.diagonal().sum() > 0.8 * 240


def test_it_does_not_classify_by_labels_that_mean_nothing() -> None:
    labels = torch.randint(3, (240,), generator=torch.Generator().manual_seed(0))
    guessed = replace(data(), train=Split(data().train.x, labels), spec=DataSpec((1, 16, 16), 3), class_names=())
    assert extract(trained(guessed), data().test.x[:2], CPU)[1] is None


def test_it_tells_two_classes_apart_as_well() -> None:
    labels = (data().train.labels == 0).long()
    judge = trained(replace(data(), train=Split(data().train.x, labels), spec=DataSpec((1, 16, 16), 2), class_names=()))
    _, logits = extract(judge, data().test.x, CPU)
    assert logits.shape[1] == 2
    assert (logits.argmax(dim=1) == (data().test.labels == 0).long()).double().mean() > 0.95


def test_more_classes_than_features_take_no_feature_away() -> None:
    labels = torch.arange(240) % 24
    many = replace(data(), train=Split(data().train.x, labels), spec=DataSpec((1, 16, 16), 24), class_names=())
    assert extract(trained(many), data().test.x[:2], CPU)[0].shape == (2, 30)


@pytest.mark.parametrize("shape", [(3, 33, 21), (1, 8, 8), (1, 130, 130)])
def test_images_of_any_size_are_judged(shape) -> None:
    x = torch.randint(256, (40, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert extract(trained(unlabelled(x)), x, CPU)[0].shape == (40, 5)


def test_sounds_are_judged_by_what_they_sound_like() -> None:
    rng = torch.Generator().manual_seed(0)
    time = torch.arange(4096) / 8000

    def tones(low: float, high: float) -> torch.Tensor:
        pitch = low + (high - low) * torch.rand(120, 1, generator=rng)
        phase = 6.28 * torch.rand(120, 1, generator=rng)
        return (0.5 * torch.sin(6.28 * pitch * time + phase)).unsqueeze(1)

    sounds, same, higher = tones(200, 800), tones(200, 800), tones(400, 1600)
    judge = trained(unlabelled(sounds, rate=8000))
    mean, near, far = (extract(judge, x, CPU)[0].mean(dim=0) for x in (sounds, same, higher))
    assert (mean - far).norm() > 4 * (mean - near).norm()
    check_extractor(judge, data=DataSpec((1, 4096)))


def test_it_keeps_the_contract_of_extractors() -> None:
    check_extractor(of_digits(), data=DataSpec((1, 16, 16)))


# -- better than raw pixels --------------------------------------------------------------------------------------------


def test_it_sees_faults_that_raw_pixels_miss() -> None:
    seen = judges.compared(judges.of_digits(), sets=1, draws=8)
    raw, mine, labelled = seen["raw pixels"], seen["own"], seen["own, with classes"]
    for fault in ("blur, 0.6 pixels", "noise, 8 levels"):
        assert raw[fault] < 3, fault
        assert mine[fault] > 10, fault
    assert mine["each image 3 times"] > 5
    assert labelled[judges.MISSING] > mine[judges.MISSING] > 0.5


def test_every_planted_fault_is_one() -> None:
    x, rng = judges.of_photographs().x[:20], torch.Generator().manual_seed(0)
    for name, spoil in judges.FAULTS.items():
        spoilt = spoil(x, rng)
        assert spoilt.shape == x.shape, name
        assert spoilt.dtype == torch.uint8, name
        assert not torch.equal(spoilt, x), name


# -- its file ----------------------------------------------------------------------------------------------------------


def test_the_same_data_give_the_same_file_and_others_another_name() -> None:
    again, more = trained(data()), trained(replace(data(), train=data().train[torch.arange(239)]))
    assert again.to_bytes() == of_digits().to_bytes()
    assert again.tag == of_digits().tag
    assert more.tag != again.tag


def test_training_leaves_torch_as_it_was() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    trained(data())
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_it_learns_from_the_training_split_alone() -> None:
    other = replace(data(), test=Split(255 - data().test.x, data().test.labels))
    assert trained(other).to_bytes() == of_digits().to_bytes()


def test_its_file_gives_the_same_judge(tmp_path) -> None:
    read = own.ganbench_extractor(argument=str(written(of_digits(), tmp_path)))
    assert read.tag == of_digits().tag
    assert read.class_names == NAMES
    assert torch.equal(read.confusion, of_digits().confusion)
    for one, other in zip(read(data().test.x[:9]), of_digits()(data().test.x[:9]), strict=True):
        assert torch.equal(one, other)


def test_a_missing_file_names_the_next_step(tmp_path) -> None:
    with pytest.raises(DataError, match=r"the judge '.*no\.safetensors' does not exist") as caught:
        own.ganbench_extractor(argument=str(tmp_path / "no.safetensors"))
    assert "ganbench new-protocol" in caught.value.hint


def damages() -> dict[str, bytes]:
    whole = of_digits().to_bytes()
    tensors = load(whole)
    endless = {**tensors, "mean": tensors["mean"] * torch.inf}
    return {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "other tensors": save({"weight": torch.zeros(3)}),
        "a tensor is missing": save({name: value for name, value in tensors.items() if name != "energy"}),
        "not finite": save(endless),
        "another size": save({**tensors, "directions": tensors["directions"][1:].contiguous()}),
        "another shape": save({**tensors, "shape": torch.tensor([5, 5])}),
        "names": save({**tensors, "names": torch.tensor([255, 0], dtype=torch.uint8)}),
    }


@pytest.mark.parametrize("damage", damages())
def test_a_damaged_file_is_refused_in_a_sentence(tmp_path, damage) -> None:
    file = tmp_path / "mine.judge.safetensors"
    file.write_bytes(damages()[damage])
    with pytest.raises(DataError, match="is no judge of 'own', or is damaged") as caught:
        own.ganbench_extractor(argument=str(file))
    assert "\n" not in caught.value.message


# -- what it refuses ---------------------------------------------------------------------------------------------------


def test_before_training_it_declines_everything() -> None:
    with pytest.raises(Unsupported, match="is not trained yet"):
        own.ganbench_extractor(argument="")(data().test.x[:2])


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 16), (256,)])
def test_samples_of_another_shape_are_declined(shape) -> None:
    with pytest.raises(Unsupported, match=r"was trained on samples of 1x16x16"):
        of_digits()(torch.zeros(2, *shape, dtype=torch.uint8))


def test_bytes_and_the_signal_they_stand_for_are_the_same_samples() -> None:
    x = data().test.x[:5]
    assert torch.equal(of_digits()(x)[0], of_digits()(to_signal(x))[0])


@pytest.mark.parametrize("shape", [(2,), (1, 100), (3, 7, 7), (4, 16, 16), (1, 8, 16, 16)])
def test_data_that_it_does_not_suit_are_declined(shape) -> None:
    with pytest.raises(Unsupported, match="not samples of"):
        trained(unlabelled(torch.zeros(40, *shape)))


def test_too_few_and_equal_samples_are_refused() -> None:
    with pytest.raises(DataError, match="some has 15 training samples; a judge needs 16"):
        trained(unlabelled(data().train.x[:15]))
    with pytest.raises(DataError, match="all alike"):
        trained(unlabelled(data().train.x[:1].expand(40, -1, -1, -1)))
