import torch
from ganbench.testing import check_extractor

from ganbench_example.extractor import RandomFourier


def test_extractor_keeps_its_contract() -> None:
    check_extractor("example")


def test_inner_products_of_features_are_the_gaussian_kernel() -> None:
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    features, _ = RandomFourier()(x)
    kernel = torch.exp(-(torch.cdist(x, x).double() ** 2) / (2 * 4))
    assert (features @ features.T - kernel).abs().max() < 0.3
