"""Points from a file: what is read, what is said, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from ganbench.contracts.data import Dataset
from ganbench.errors import DataError, GanbenchError
from ganbench.testing import check_dataset
from ganbench_baselines.dataset import points

RNG = np.random.default_rng(0)
CLOUD = RNG.normal(size=(100, 2)) * [3, 50] + [0, 1000]


def saved(folder: Path, x: np.ndarray, name: str = "cloud.npy") -> Path:
    np.save(folder / name, x)
    return folder / name


def load(file: Path) -> Dataset:
    return points.ganbench_dataset(argument=str(file), resolution=None)


def test_an_array_is_split_and_scaled_and_the_scale_is_said(tmp_path) -> None:
    data = load(saved(tmp_path, CLOUD))
    assert (len(data.train), len(data.test)) == (80, 20)
    assert str(data.spec) == "points of shape 2"
    assert not data.spec.bounded
    assert torch.allclose(data.train.x.mean(dim=0), torch.zeros(2), atol=1e-5)
    assert torch.allclose(data.train.x.std(dim=0, correction=0), torch.ones(2), atol=1e-5)
    (note,) = data.notes
    assert note.startswith("cloud.npy is scaled to mean 0 and spread 1, columns (x ")
    _, (sign, mean, spread) = re.findall(r"\(x ([+-]) (\S+)\) / ([^, ]+)", note)
    mean, spread = float(mean) * (-1 if sign == "+" else 1), float(spread)
    back = data.part("all").x[:, 1].double() * spread + mean
    assert torch.allclose(back.sort().values, torch.from_numpy(np.sort(CLOUD[:, 1])), rtol=1e-3)


def test_text_gives_the_same_points_with_and_without_names(tmp_path) -> None:
    np.savetxt(tmp_path / "plain.csv", CLOUD, delimiter=",")
    np.savetxt(tmp_path / "named.csv", CLOUD, delimiter=",", header="x,y", comments="\ufeff", encoding="utf-8")
    for name in ("plain.csv", "named.csv"):
        assert torch.equal(load(tmp_path / name).train.x, load(saved(tmp_path, CLOUD)).train.x)


@pytest.mark.parametrize("x", [CLOUD[:, 0], CLOUD[:, :1], np.arange(50), np.float32(CLOUD)])
def test_numbers_of_any_type_in_one_column_or_more_are_points(tmp_path, x) -> None:
    assert load(saved(tmp_path, x)).spec.shape == (1 if x.ndim == 1 else x.shape[1],)


def test_copies_and_constant_columns_are_said(tmp_path) -> None:
    x = np.c_[CLOUD, np.full(100, 7.0)]
    x[1] = x[0]
    _, constant, copies = load(saved(tmp_path, x)).notes
    assert constant == "every row of cloud.npy has the same value in column 3"
    assert copies.startswith("1 of 100 rows in cloud.npy is a copy of another")


def test_the_dataset_keeps_the_contract(tmp_path) -> None:
    saved(tmp_path, CLOUD)
    check_dataset(f"points:{tmp_path / 'cloud.npy'}")


def holed(value: float) -> np.ndarray:
    x = CLOUD.copy()
    x[3, 1] = value
    return x


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (holed(np.nan), "1 of 100 rows in .* hold NaN or infinity, the first is row 4"),
        (holed(np.inf), "1 of 100 rows in .* hold NaN or infinity"),
        (np.full((50, 1), 1e200) * np.arange(50)[:, None], "too large"),
        (CLOUD[:9], "has 9 rows; at least 10 are needed"),
        (CLOUD.reshape(10, 10, 2), "has the shape 10x10x2"),
        (np.zeros((100, 0)), "has the shape 100x0"),
        (np.zeros((20, 5000)), "has the shape 20x5000"),
        (np.float64(3), "holds a single number"),
        (CLOUD + 1j, "holds complex128"),
        (CLOUD > 0, "holds bool"),
        (CLOUD.astype(object), "cannot be read"),
    ],
)
def test_what_are_no_points_is_refused_in_a_sentence(tmp_path, x, said) -> None:
    with pytest.raises(DataError, match=said) as caught:
        load(saved(tmp_path, x))
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", b"", "has 0 rows|cannot be read"),
        ("x.csv", b"a,b\n" + b"1,2\n" * 20 + b"1,two\n", "cannot be read"),
        ("x.csv", b"1,2\n" * 20 + b"1\n", "cannot be read"),
        ("x.csv", b"1;2\n" * 20, "cannot be read"),
        ("x.csv", b"\xff\xfe\x00" * 20, "cannot be read"),
        ("x.npy", b"not an array", "cannot be read"),
        ("x.npy", b"", "cannot be read"),
        ("x.txt", b"1,2\n", "is neither .npy nor .csv"),
    ],
)
def test_files_that_cannot_be_read_are_refused_in_a_sentence(tmp_path, name, content, said) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        load(tmp_path / name)
    assert "\n" not in caught.value.message


def test_no_file_a_missing_one_and_a_resolution_are_refused(tmp_path) -> None:
    for argument, said in (
        ("", "needs a file"),
        (str(tmp_path / "no.npy"), "does not exist"),
        (str(tmp_path), "is not a file"),
    ):
        with pytest.raises(DataError, match=said):
            points.ganbench_dataset(argument=argument, resolution=None)
    with pytest.raises(GanbenchError, match="points have no resolution"):
        points.ganbench_dataset(argument=str(saved(tmp_path, CLOUD)), resolution=16)
