"""CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test photographs in ten classes, 32x32, RGB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ganbench import Dataset, Download, RemoteFile, hookimpl
from ganbench_baselines.dataset.python_batches import images_and_labels
from ganbench_baselines.dataset.standard import Arrays, Standard, dataset_of


def read(files: Sequence[Path]) -> tuple[Arrays, Arrays]:
    """(training, test) from the five training batches and the test batch."""
    return images_and_labels(list(files[:-1]), b"labels"), images_and_labels([files[-1]], b"labels")


STANDARD = Standard(
    "cifar10",
    ("cifar-10-batches-py", "cifar10"),
    (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"),
    read,
    ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "https://www.cs.toronto.edu/~kriz/cifar.html",
)


ARCHIVE = RemoteFile(
    ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
    "md5:c58f30108f718f92721af3b95e74349a",
    "cifar-10-python.tar.gz",
    unpack={
        "cifar-10-batches-py/data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
        "cifar-10-batches-py/data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
        "cifar-10-batches-py/data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
        "cifar-10-batches-py/data_batch_4": "md5:634d18415352ddfa80567beed471001a",
        "cifar-10-batches-py/data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
        "cifar-10-batches-py/test_batch": "md5:40351d587109b95175f43aff81a1287e",
    },
)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """CIFAR-10 with its official split, from the Python batches."""
    return dataset_of(STANDARD, resolution)


@hookimpl
def ganbench_download() -> Download:
    """The archive of the set, of which only the files that are read are kept."""
    return Download(
        STANDARD.homepage,
        "none stated",
        "Krizhevsky (2009), Learning multiple layers of features from tiny images",
        (ARCHIVE,),
        170_500_000,
    )
