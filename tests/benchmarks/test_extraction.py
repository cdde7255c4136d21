"""Extracting features against the bare forward pass of the same network on the same mini batches, in turn.

``tox -e bench`` prints the ratios; ``--device cuda`` asks a GPU. The ratio is the share of the bare speed that
``extract`` reaches, with everything that it does beside: copies to the device and back, batches, float64, and the
check that features are finite. At least 0.95 is aimed at.
"""

from __future__ import annotations

import pytest
import torch
from random_inception import random_inception_weights
from torch import Tensor
from versus import versus

from ganbench.contracts.extractor import extract
from ganbench.device.determinism import configured
from ganbench_baselines.extractor import digits_cnn, inception
from ganbench_baselines.extractor.inception_clean import InceptionClean


@pytest.fixture(autouse=True)
def _reproducible():
    with configured(1):
        yield


def images(n: int, *shape: int) -> Tensor:
    return torch.randint(256, (n, *shape), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)


def against_bare(benchmark, extractor, look, x: Tensor, mini_batch: int, device: torch.device) -> None:
    """``look`` computes features of a mini batch; the images lie on the device before the clock starts."""
    extractor = extractor.to(device).eval()
    parts = x.to(device).split(mini_batch)

    def bare() -> None:
        with torch.inference_mode():
            for part in parts:
                look(part)
        if device.type == "cuda":
            torch.cuda.synchronize()

    versus(benchmark, lambda: extract(extractor, x, device), bare, f"{extractor.name}, {len(x)} images", rounds=7)


@pytest.mark.parametrize("kind", [inception.Inception, InceptionClean])
def test_extraction_by_inception(benchmark, kind, device) -> None:
    extractor = kind(random_inception_weights())
    x = images(5000 if device.type == "cuda" else 64, 3, 32, 32)
    against_bare(benchmark, extractor, extractor.look, x, inception.MINI_BATCH, device)


def test_extraction_by_a_small_network(benchmark, device) -> None:
    """The worst case: what is done beside the network costs the most here."""
    extractor = digits_cnn.load()
    against_bare(benchmark, extractor, extractor, images(5000, 1, 16, 16), 500, device)
