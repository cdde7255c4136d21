import torch
from ganbench.testing import check_loss

from ganbench_example.loss import ganbench_loss


def test_loss_keeps_its_contract() -> None:
    check_loss("example", like="wgan")


def test_only_slopes_above_one_are_punished() -> None:  # replace this by what your own loss does
    x = torch.zeros(4, 1)
    penalty = [float(ganbench_loss().d_loss(lambda x, k=k: k * x.sum(1), x, x)) for k in (0.5, 1.0, 3.0)]
    assert penalty == [0.0, 0.0, 40.0]
