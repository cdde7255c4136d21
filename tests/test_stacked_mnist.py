"""Stacked MNIST, from small files in MNIST's format."""

from __future__ import annotations

import pytest
import torch
from standard_files import labels, pixels, write_idx

from ganbench import Dataset
from ganbench_baselines.dataset import stacked_digits, stacked_mnist
from ganbench_baselines.extractor import mnist_cnn


@pytest.fixture
def stacked(tmp_path, monkeypatch) -> Dataset:
    write_idx(tmp_path / "mnist")
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    monkeypatch.setattr(stacked_mnist, "TRAIN", 500)
    monkeypatch.setattr(stacked_mnist, "TEST", 300)
    return stacked_mnist.ganbench_dataset(resolution=None)


def rows(x: torch.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in x}


def test_there_are_as_many_triples_as_in_pacgan_with_1000_modes(stacked) -> None:
    assert (len(stacked.train), len(stacked.test)) == (500, 300)
    assert stacked.spec.shape == (3, 28, 28)
    assert stacked.spec.classes == 1000
    assert stacked.train.x.dtype == torch.uint8


def test_channels_are_hundreds_tens_and_ones_of_the_label(stacked) -> None:
    known = {image.tobytes(): int(label) for image, label in zip(pixels(60, 28, 28), labels(60, 10), strict=True)}
    for x, label in zip(stacked.train.x, stacked.train.labels.tolist(), strict=True):
        r, g, b = (known[channel.numpy().tobytes()] for channel in x)
        assert 100 * r + 10 * g + b == label


def test_training_triples_hold_training_digits_only_and_test_triples_test_digits(stacked) -> None:
    train, test = ({image.tobytes() for image in pixels(n, 28, 28, seed=seed)} for n, seed in ((60, 0), (40, 1)))
    assert rows(stacked.train.x.flatten(0, 1)) == train
    assert rows(stacked.test.x.flatten(0, 1)) == test


def test_a_triples_probability_is_the_product_of_its_digits_shares(stacked) -> None:
    probabilities = stacked.oracle.probabilities
    assert probabilities.shape == (1000,)
    assert torch.allclose(probabilities, torch.full((1000,), 1e-3, dtype=torch.float64))  # each digit is a tenth here


def test_the_triples_are_the_same_on_every_call_and_are_resized_with_their_digits(stacked) -> None:
    assert stacked_mnist.ganbench_dataset(None).fingerprint == stacked.fingerprint
    larger = stacked_mnist.ganbench_dataset(32)
    assert larger.spec.shape == (3, 32, 32)
    assert torch.equal(larger.train.labels, stacked.train.labels)


def test_the_judge_of_mnist_was_made_for_it(stacked) -> None:
    assert stacked.name in mnist_cnn.MnistCNN.trained_on
    assert stacked_mnist.SEED == stacked_digits.SEED
