import torch
from ganbench.testing import check_loss

from ganbench_example.loss import WassersteinLP


def test_loss_keeps_its_contract() -> None:
    check_loss("example", like="wgan")


def test_only_slopes_above_one_are_punished() -> None:
    x = torch.zeros(4, 1)
    penalty = [float(WassersteinLP(weight=10).d_loss(lambda x, k=k: k * x.sum(1), x, x)) for k in (0.5, 1.0, 3.0)]
    assert penalty == [0.0, 0.0, 40.0]
