import pytest
import torch
from ganbench import DataSpec, Evaluation, Extractor
from ganbench.testing import check_metric

from ganbench_example.metric import SlicedWasserstein


class Raw(Extractor):
    name, version = "raw", "1"

    def forward(self, x):
        return x.double(), None


def test_metric_keeps_its_contract() -> None:
    check_metric("example")


def test_samples_moved_by_a_vector_are_as_far_away_as_it_is_long_over_root_d() -> None:
    real, move = torch.randn(500, 3), torch.tensor([2.0, -1.0, 2.0])
    evaluation = Evaluation(real, real + move, DataSpec((3,), bounded=False), torch.Generator(), extractor=Raw())
    assert SlicedWasserstein()(evaluation)["sliced_wasserstein"] == pytest.approx(3 / 3**0.5, rel=0.1)
