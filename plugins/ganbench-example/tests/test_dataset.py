import pytest
import torch
from ganbench.testing import check_dataset

from ganbench_example.dataset import SHARES, ganbench_dataset


def test_dataset_keeps_its_contract() -> None:
    check_dataset("example")


def test_shares_halve_from_mode_to_mode() -> None:
    drawn = torch.bincount(ganbench_dataset().train.labels).double()
    assert (drawn / drawn.sum()).tolist() == pytest.approx(SHARES.tolist(), abs=0.01)
    assert (SHARES[:-1] / SHARES[1:]).tolist() == [2, 2, 2, 2, 2]
