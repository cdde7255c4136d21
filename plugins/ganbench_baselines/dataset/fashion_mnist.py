"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 60,000 and 10,000 images of clothing, 28x28, grayscale."""

from __future__ import annotations

from ganbench import Dataset, Download, hookimpl
from ganbench_baselines.dataset.mnist import FILES, idx_files, read
from ganbench_baselines.dataset.standard import Standard, dataset_of

STANDARD = Standard(
    "fashion-mnist",
    ("FashionMNIST/raw", "fashion-mnist"),
    FILES,
    read,
    ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    "https://github.com/zalandoresearch/fashion-mnist",
)


HOSTS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
)
MD5 = (
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "25c81989df183df01b3e8a0aad5dffbe",
    "bef4ecab320f06d8554ea6380940ec79",
    "bb300cfdad3c16e7a12a480ee83cd310",
)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """Fashion-MNIST with its official split, from the files of torchvision or the original ones."""
    return dataset_of(STANDARD, resolution)


@hookimpl
def ganbench_download() -> Download:
    """The four files, from the set's own repository and its mirror."""
    return Download(
        STANDARD.homepage,
        "MIT",
        "Xiao, Rasul and Vollgraf (2017), Fashion-MNIST",
        idx_files(STANDARD.folders[0], HOSTS, MD5),
        30_900_000,
    )
