"""Unpaired digits and edges: half of the digits, and the Sobel gradients (Duda and Hart 1973) of the rest.

A translator makes digits (``x``) from edges (``source``). No training digit is in both domains, so the training data
contain no pairs. For held-out digits both are known, so translations can be checked. Edges nearly determine their
digit: a small ResNet trained on 630 pairs has a mean error of 0.043 per pixel in [-1, 1]. Yet they do not look like
digits: they are bright where ink begins and dark within it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from ganbench import Dataset, DataSpec, Oracle, Split, hookimpl, stratified_split
from ganbench_baselines.dataset.digits import CLASS_NAMES, CLASSES, NATIVE, class_frequencies, load
from ganbench_baselines.dataset.two_domains import yardsticks

SELECTION_SHARE = 1 / 8  # of the training digits, for evaluations during training
SELECTION_SEED, HALVES_SEED = 1, 2  # the split is part of the dataset: it is the same for all protocols and runs


def edges(x: Tensor) -> Tensor:
    """``x[N, 1, R, R]`` in uint8 -> the magnitude of its gradient, ``[N, 1, R, R]`` in uint8.

    Computed with the two Sobel filters and replicated borders, in grey levels per pixel of the original 8x8 images, so
    edges are equally bright at every resolution.
    """
    across = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]) / 8
    slopes = conv2d(pad(x.float(), (1, 1, 1, 1), mode="replicate"), torch.stack([across, across.T])[:, None])
    length = slopes.square().sum(1, keepdim=True).sqrt() * (x.shape[-1] / NATIVE)
    return length.round().clamp(0, 255).to(torch.uint8)


def paired(split: Split) -> Split:
    """Digits with their own edges."""
    return Split(split.x, split.labels, edges(split.x), paired=True)


@hookimpl
def ganbench_dataset(resolution: int | None) -> Dataset:
    """The digits enlarged to ``resolution`` (16 by default), and their edges at that size.

    There are 629 digits and the edges of 630 others to train on, 179 pairs for selection, and 359 held-out pairs.
    """
    resolution = 16 if resolution is None else resolution
    digits, test = load(resolution)
    assert digits.labels is not None
    assert test.labels is not None
    rest, selection = stratified_split(digits.labels, SELECTION_SHARE, SELECTION_SEED)
    one, other = stratified_split(digits.labels[rest], 0.5, HALVES_SEED)
    target, drawn = digits[rest[one]], digits[rest[other]]
    train = Split(target.x, target.labels, edges(drawn.x))
    return Dataset(
        name="digits-edges",
        spec=DataSpec((1, resolution, resolution), classes=CLASSES, source=(1, resolution, resolution)),
        train=train,
        test=paired(test),
        oracle=Oracle(class_frequencies(torch.cat([digits.labels, test.labels]))),
        selection=paired(digits[selection]),
        yardsticks=yardsticks(train),
        class_names=CLASS_NAMES,
    )
