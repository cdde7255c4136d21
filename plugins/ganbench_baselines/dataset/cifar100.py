"""CIFAR-100 (Krizhevsky 2009): 50,000 training and 10,000 test photographs in 100 classes, 32x32, RGB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ganbench import Dataset, Download, RemoteFile, hookimpl
from ganbench_baselines.dataset.python_batches import images_and_labels
from ganbench_baselines.dataset.standard import Arrays, Standard, dataset_of

CLASS_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""


def read(files: Sequence[Path]) -> tuple[Arrays, Arrays]:
    """(training, test) with the fine labels."""
    train, test = (images_and_labels([file], b"fine_labels") for file in files)
    return train, test


STANDARD = Standard(
    "cifar100",
    ("cifar-100-python", "cifar100"),
    ("train", "test"),
    read,
    tuple(CLASS_NAMES.split()),
    "https://www.cs.toronto.edu/~kriz/cifar.html",
)


ARCHIVE = RemoteFile(
    ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
    "md5:eb9058c3a382ffc7106e4002c42a8d85",
    "cifar-100-python.tar.gz",
    unpack={
        "cifar-100-python/train": "md5:16019d7e3df5f24257cddd939b257f8d",
        "cifar-100-python/test": "md5:f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """CIFAR-100 with its official split, from the Python batches."""
    return dataset_of(STANDARD, resolution)


@hookimpl
def ganbench_download() -> Download:
    """The archive of the set, of which only the files that are read are kept."""
    return Download(
        STANDARD.homepage,
        "none stated",
        "Krizhevsky (2009), Learning multiple layers of features from tiny images",
        (ARCHIVE,),
        169_000_000,
    )
