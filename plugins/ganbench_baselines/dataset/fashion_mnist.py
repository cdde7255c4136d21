"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 60,000 and 10,000 images of clothing, 28x28, grayscale."""

from __future__ import annotations

from ganbench import Dataset, hookimpl
from ganbench_baselines.dataset.mnist import FILES, read
from ganbench_baselines.dataset.standard import Standard, dataset_of

STANDARD = Standard(
    "fashion-mnist",
    ("FashionMNIST/raw", "fashion-mnist"),
    FILES,
    read,
    ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    "https://github.com/zalandoresearch/fashion-mnist",
)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """Fashion-MNIST with its official split, from the files of torchvision or the original ones."""
    return dataset_of(STANDARD, resolution)
