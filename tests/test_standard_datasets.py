"""Well-known sets of images, read from small files in their own formats."""

from __future__ import annotations

import pickle
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from standard_files import (
    SETS,
    TEST,
    TRAIN,
    labels,
    pixels,
    write_all,
    write_batches,
    write_idx,
)

from ganbench import DataError, Dataset

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    return write_all(tmp_path_factory.mktemp("standard"))


@pytest.fixture
def data(files: Path, monkeypatch) -> Path:
    monkeypatch.setenv("GANBENCH_DATA", str(files))
    return files


def load(name: str, resolution: int | None = None) -> Dataset:
    return import_module(f"ganbench_baselines.dataset.{name.replace('-', '_')}").ganbench_dataset(resolution)


@pytest.mark.parametrize(
    ("name", "shape", "classes", "train", "test"),
    [
        ("mnist", (1, 28, 28), 10, TRAIN, TEST),
        ("fashion-mnist", (1, 28, 28), 10, TRAIN, TEST),
        ("kmnist", (1, 28, 28), 10, TRAIN, TEST),
        ("mnist-10k", (1, 28, 28), 10, 30, 10),
        ("cifar10", (3, 32, 32), 10, 100, 20),
        ("cifar100", (3, 32, 32), 100, 200, 100),
        ("svhn", (3, 32, 32), 10, TRAIN, TEST),
        ("stl10", (3, 96, 96), 0, TRAIN, TEST),
    ],
)
def test_the_official_split_is_kept(name, shape, classes, train, test, data) -> None:
    found = load(name)
    assert (found.name, found.spec.shape, found.spec.classes) == (name, shape, classes)
    assert (len(found.train), len(found.test)) == (train, test)
    assert len(found.class_names) == classes == len({*found.class_names})
    assert found.train.x.dtype == torch.uint8


def test_every_pixel_and_label_of_idx_files_is_in_its_place(data) -> None:
    found = load("mnist")
    assert np.array_equal(found.train.x[:, 0].numpy(), pixels(TRAIN, 28, 28))
    assert found.train.labels.tolist() == labels(TRAIN, 10).tolist()


def test_every_pixel_and_label_of_python_batches_is_in_its_place(data) -> None:
    found = load("cifar10")
    expected = np.concatenate([pixels(20, 3072, seed=seed) for seed in range(5)]).reshape(-1, 3, 32, 32)
    assert np.array_equal(found.train.x.numpy(), expected)
    assert np.array_equal(found.test.x.numpy(), pixels(20, 3072, seed=5).reshape(-1, 3, 32, 32))
    assert load("cifar100").test.labels.tolist() == [*range(100)]


def test_every_pixel_and_label_of_svhn_is_in_its_place_and_0_is_0(data) -> None:
    found = load("svhn")
    assert np.array_equal(found.train.x.permute(0, 2, 3, 1).numpy(), pixels(TRAIN, 32, 32, 3))
    assert found.train.labels.tolist() == labels(TRAIN, 10).tolist()


def test_stl10_is_not_transposed(data) -> None:
    assert np.array_equal(load("stl10").train.x.permute(0, 2, 3, 1).numpy(), pixels(TRAIN, 96, 96, 3))


def test_torchvision_reads_the_same_arrays(data) -> None:
    from torchvision.datasets import CIFAR10, MNIST, STL10, SVHN

    assert torch.equal(MNIST(data, train=False).data, load("mnist").test.x[:, 0])

    class Unchecked(CIFAR10):
        def _check_integrity(self) -> bool:
            return True

        def _load_meta(self) -> None: ...

    theirs = Unchecked(data)
    assert np.array_equal(theirs.data.transpose(0, 3, 1, 2), load("cifar10").train.x.numpy())
    assert theirs.targets == load("cifar10").train.labels.tolist()

    class Digits(SVHN):
        def _check_integrity(self) -> bool:
            return True

    digits = Digits(data / "svhn")
    assert np.array_equal(digits.data, load("svhn").train.x.numpy())
    assert digits.labels.tolist() == load("svhn").train.labels.tolist()

    class Photographs(STL10):
        def _check_integrity(self) -> bool:
            return True

    (data / "stl10_binary" / "class_names.txt").write_text("")
    assert np.array_equal(Photographs(data, split="unlabeled").data, load("stl10").train.x.numpy())


def test_a_resolution_resizes_with_pillows_lanczos_filter(data) -> None:
    found = load("cifar10", 16)
    assert found.spec.shape == (3, 16, 16)
    whole = load("cifar10").train.x[7].permute(1, 2, 0).numpy()
    small = np.asarray(Image.fromarray(whole).resize((16, 16), Image.Resampling.LANCZOS))
    assert np.array_equal(found.train.x[7].permute(1, 2, 0).numpy(), small)
    assert load("mnist", 32).spec.shape == (1, 32, 32)


@pytest.mark.parametrize("folder", ["MNIST/raw", "mnist", "."])
@pytest.mark.parametrize("compressed", [False, True])
def test_idx_files_are_found_in_any_usual_folder(folder, compressed, tmp_path, monkeypatch, data) -> None:
    expected = load("mnist").fingerprint
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    write_idx(tmp_path / folder, compressed=compressed)
    assert load("mnist").fingerprint == expected


@pytest.mark.parametrize("name", SETS)
def test_missing_files_are_named_with_the_folder_and_the_next_step(name, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        load(name)
    assert f"'{name}' is not on this machine" in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert f"`ganbench download {name}` fetches it" in caught.value.hint
    assert "GANBENCH_DATA" in caught.value.hint
    assert "http" in caught.value.hint


def test_of_several_folders_the_one_that_holds_most_says_what_is_missing(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    write_idx(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="there is no t10k-labels-idx1-ubyte in"):
        load("mnist")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no IDX file"),
        (b"\0\0\x0d\x01" + bytes(8), "no IDX file"),
        (b"\0\0\x08\x03\0\0", "no IDX file"),
        (b"\0\0\x08\x01\0\0\0\x09" + bytes(8), "has 8 bytes of data, but its header says 9"),
        (b"\0\0\x08\x01\0\0\0\x08" + bytes(8), "but .* one of shape"),
    ],
)
def test_a_damaged_idx_file_is_named(content, said, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    write_idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=said):
        load("mnist")


def test_a_compressed_file_that_is_cut_off_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    write_idx(tmp_path, compressed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz' cannot be read"):
        load("mnist")


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path("harm"),)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (Harmful(), "asks for pathlib.* which no batch of images needs"),
        ([1, 2], "is no batch of images"),
        ({b"labels": [1]}, "no batch of 32x32 images with labels"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, "no batch of 32x32 images with labels"),
        ({b"data": np.zeros((1, 3072)), b"labels": [1]}, "no batch of 32x32 images with labels"),
    ],
)
def test_a_pickle_that_holds_anything_else_is_refused(held, said, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    write_batches(tmp_path / "cifar10")
    (tmp_path / "cifar10" / "data_batch_3").write_bytes(pickle.dumps(held))
    with pytest.raises(DataError, match=said):
        load("cifar10")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        ("svhn", "svhn/train_32x32.mat", "cannot be read"),
        ("stl10", "stl10_binary/test_X.bin", "does not hold whole 96x96 images"),
        ("cifar100", "cifar-100-python/test", "cannot be read"),
    ],
)
def test_a_file_that_is_cut_off_is_named(name, file, said, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(write_all(tmp_path)))
    path = tmp_path / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 - 1])
    with pytest.raises(DataError, match=f"{path.name}' {said}"):
        load(name)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real files are not on this machine")
def test_the_test_images_of_mnist_are_what_they_were_in_1998(monkeypatch) -> None:
    monkeypatch.setenv("GANBENCH_DATA", str(SHARED))
    found = load("mnist-10k")
    assert (len(found.train), len(found.test)) == (8000, 2000)
    whole = found.part("all")
    assert torch.bincount(whole.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert round(float(whole.x.float().mean()), 2) == 33.79
