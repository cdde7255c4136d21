"""Training batches from disk: how many a second, and what they cost a training loop."""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from versus import versus

from ganbench import DataSpec, Recipe, Split, prepared
from ganbench.contracts.arrays import file_behind
from ganbench.training.batches import Stream
from ganbench.training.trainer import Trainer
from ganbench_baselines.arch import dcgan
from ganbench_baselines.loss.hinge import Hinge

CPU, BATCH, SHAPE = torch.device("cpu"), 64, (3, 64, 64)
IMAGES, EPOCH = 80_000, 20_000
"""About a gigabyte; a quarter of it is read in each round."""


@pytest.fixture(scope="module")
def mapped(tmp_path_factory) -> Tensor:
    """Distinct images on disk."""

    def read(number: int) -> np.ndarray:
        return np.frombuffer(np.random.default_rng(number).bytes(12288), np.uint8).reshape(SHAPE)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANBENCH_DATA", str(tmp_path_factory.mktemp("data")))
        return prepared("blocks", ["v1"], (range(IMAGES),), read, SHAPE).arrays[0]


def forget(x: Tensor) -> None:
    """Drop the array's pages from memory."""
    array = file_behind(x)
    array._mmap.madvise(mmap.MADV_DONTNEED)
    with Path(array.filename).open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_images_per_second_of_the_loader_alone(benchmark, cache, mapped) -> None:
    rates = []

    def read() -> None:
        if cache == "cold":
            forget(mapped)
        stream, began = Stream(Split(mapped), BATCH, len(rates), CPU), time.perf_counter()
        for _ in range(EPOCH // BATCH):
            stream.draw()
        rates.append(EPOCH / (time.perf_counter() - began))

    benchmark.pedantic(read, rounds=7)
    benchmark.extra_info |= {"images_per_second": round(sorted(rates)[len(rates) // 2])}


def test_training_from_disk_against_training_from_memory(benchmark, mapped) -> None:
    def trainer(x: Tensor) -> Trainer:
        torch.manual_seed(0)
        gan = dcgan.ganbench_arch(DataSpec(SHAPE), None, 32, 64)
        return Trainer(gan, Hinge(), Stream(Split(x), BATCH, 1, CPU), Recipe(), 10**6, 1, 2)

    memory, disk = trainer(mapped.clone()), trainer(mapped)
    assert (memory.stream.streamed, disk.stream.streamed) == (False, True)
    steps = [lambda one=one: one.advance(one.d_done + 1) for one in (disk, memory)]
    versus(benchmark, *steps, "from disk", seconds=2.0)
