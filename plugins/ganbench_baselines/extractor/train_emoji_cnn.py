"""Fits the weights of `emoji-cnn`: ``python -m ganbench_baselines.extractor.train_emoji_cnn``.

It writes ``emoji_cnn.safetensors`` and ``emoji_cnn.json`` (the measurements) into the working directory, in about half
a minute on one core. It uses training pictures only; held-out pictures serve to measure.

Two sets of features were compared, both Fisher's discriminants of the same network's output. One separates training
pictures, each with its altered copies as a class of its own (as exemplar networks do, Dosovitskiy et al. 2014). The
other separates the eight groups. What counts is whether the Fréchet distance of held-out pictures from the training
pictures rises when they are damaged, and little when they are shifted, turned or mirrored.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from scipy.linalg import eigh
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as image

from ganbench import Dataset, Split, quantise, to_signal
from ganbench_baselines.dataset import emoji
from ganbench_baselines.extractor.emoji_cnn import CLASSES, FEATURES, SIDE, EmojiCNN, halvings
from ganbench_baselines.extractor.own import filters
from ganbench_baselines.extractor.train_cnn import judged, share
from ganbench_baselines.metric.frechet import Moments, distance, moments

Fault = Callable[[Tensor], Tensor]
"""``x[N, 3, 32, 32]`` as uint8 -> the same pictures, damaged."""


@dataclass(frozen=True)
class Recipe:
    """Settings of the fit."""

    copies: int = 6  # altered copies of each training picture
    ridge: float = 0.1  # added to the spread within a class, as a share of its mean variance
    shrinkage: float = 0.3  # of the classifier's covariance
    rotate: float = 10.0  # degrees
    scale: float = 0.1
    shift: float = 2.0  # pixels
    tint: float = 0.1  # relative change of the distance from white


# -- fitting -----------------------------------------------------------------------------------------------------------


def augment(x: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Pictures ``x[B, 3, 32, 32]``, half of them mirrored, slightly turned, scaled, shifted and tinted."""
    angle, scale, dx, dy, tint, side = torch.rand(6, len(x), generator=rng) * 2 - 1
    angle, scale = angle * math.radians(recipe.rotate), 1 + scale * recipe.scale
    dx, dy = (d * recipe.shift * 2 / SIDE for d in (dx, dy))
    mirror = side.sign()
    top = torch.stack([mirror * scale * angle.cos(), -scale * angle.sin(), dx], dim=1)
    bottom = torch.stack([mirror * scale * angle.sin(), scale * angle.cos(), dy], dim=1)
    grid = affine_grid(torch.stack([top, bottom], dim=1), list(x.shape), align_corners=False)
    ink = grid_sample(x - 1, grid, align_corners=False)  # beyond the edge: white
    return (ink * (1 + recipe.tint * tint.view(-1, 1, 1, 1)) + 1).clamp(-1, 1)


def scatter(deviations: Tensor) -> Tensor:
    """``[N, D]`` -> the mean of their outer products, ``[D, D]``."""
    return deviations.T @ deviations / len(deviations)


def discriminant(between: Tensor, within: Tensor, count: int, ridge: float) -> Tensor:
    """The ``count`` directions ``[D, count]`` of the largest ratio of two scatter matrices."""
    stable = within + ridge * within.diagonal().mean() * torch.eye(len(within), dtype=within.dtype)
    last = len(between)
    _, found = eigh(between.numpy(), stable.numpy(), subset_by_index=(last - count, last - 1))
    return torch.from_numpy(found).flip(1)


def features_of_pictures(looks: Tensor, copies: Tensor, ridge: float) -> Tensor:
    """Directions ``[D, 32]`` that separate pictures ``looks[N, D]`` from each other, not from ``copies[C, N, D]``."""
    within = scatter((copies - copies.mean(dim=0)).flatten(0, 1)) * len(copies) / (len(copies) - 1)
    return discriminant(scatter(looks), within, FEATURES, ridge)


def features_of_groups(looks: Tensor, labels: Tensor, ridge: float) -> Tensor:
    """Directions ``[D, 7]`` that separate the groups of ``looks[N, D]``."""
    centres = torch.stack([looks[labels == group].mean(dim=0) for group in range(CLASSES)])[labels]
    return discriminant(scatter(centres), scatter(looks - centres), CLASSES - 1, ridge)


def fitted(split: Split, recipe: Recipe, groups: bool = False, seed: int = 0) -> EmojiCNN:
    """An extractor fitted to pictures; with ``groups``, its features separate groups, not pictures."""
    assert split.labels is not None
    rng = torch.Generator().manual_seed(seed)
    extractor, x = EmojiCNN(), to_signal(split.x)
    for convolution, level in zip((extractor.network.fine, extractor.network.coarse), halvings(x)[:2], strict=True):
        convolution.weight.copy_(filters(level, rng))
    looks = extractor.network(x)
    extractor.centre.copy_(looks.mean(dim=0))
    spread = looks.std(dim=0) + 1e-3
    looks = (looks - extractor.centre) / spread
    altered = (quantise(augment(x, recipe, rng), split.x) for _ in range(recipe.copies))
    copies = torch.stack([extractor.looks(copy) / spread for copy in altered])
    if groups:
        directions = features_of_groups(looks, split.labels, recipe.ridge)
        extractor.directions = torch.zeros(len(spread), directions.shape[1], dtype=spread.dtype)
    else:
        directions = features_of_pictures(looks, copies, recipe.ridge)
    extractor.directions.copy_(directions / (looks @ directions).std(dim=0) / spread.unsqueeze(1))
    classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=recipe.shrinkage)
    classifier.fit(looks.numpy(), split.labels.numpy())
    extractor.head.copy_(torch.from_numpy(classifier.coef_).T / spread.unsqueeze(1))
    extractor.bias.copy_(torch.from_numpy(classifier.intercept_))
    return extractor


# -- measuring ---------------------------------------------------------------------------------------------------------


def noisy(x: Tensor, std: float) -> Tensor:
    """Add Gaussian noise; ``std`` on the scale of 0 to 1."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    return (x + 255 * std * noise).round().clamp(0, 255).to(torch.uint8)


def toward(x: Tensor, other: Tensor, share: float) -> Tensor:
    """Blend two sets of pictures."""
    return torch.lerp(x.float(), other.float(), share).round().to(torch.uint8)


def shuffled(x: Tensor) -> Tensor:
    """The same pictures in another order."""
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]


def in_tiles(x: Tensor, side: int) -> Tensor:
    """Shuffle the square tiles of each picture."""
    count = SIDE // side
    tiles = x.unfold(2, side, side).unfold(3, side, side).permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
    order = torch.rand(len(x), count**2, generator=torch.Generator().manual_seed(0)).argsort(dim=1)
    moved = tiles[torch.arange(len(x)).unsqueeze(1), order].unflatten(1, (count, count))
    return moved.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


def repeated(x: Tensor, distinct: int) -> Tensor:
    """Only a few distinct pictures, repeated."""
    return shuffled(x)[torch.arange(len(x)) % distinct]


def gaussian(train: Tensor, n: int) -> Tensor:
    """Samples of a Gaussian with the mean and the covariance of the training pictures' pixels."""
    flat = to_signal(train).flatten(1)
    normal = torch.randn(n, len(flat), generator=torch.Generator().manual_seed(0))
    sample = flat.mean(dim=0) + normal @ (flat - flat.mean(dim=0)) / (len(flat) - 1) ** 0.5
    return quantise(sample.reshape(n, *train.shape[1:]), train)


FAULTS: Mapping[str, tuple[Fault, ...]] = {
    "blur, σ = 0.4, 0.7, 1.5 pixels": tuple(
        partial(image.gaussian_blur, kernel_size=[9, 9], sigma=[sigma, sigma]) for sigma in (0.4, 0.7, 1.5)
    ),
    "noise, σ = 0.03, 0.08, 0.2": tuple(partial(noisy, std=std) for std in (0.03, 0.08, 0.2)),
    "JPEG, quality 60, 25, 8": tuple(partial(image.jpeg, quality=quality) for quality in (60, 25, 8)),
    "hue turned by 20, 60 degrees": tuple(partial(image.adjust_hue, hue_factor=turn / 360) for turn in (20, 60)),
    "colour channels swapped": (lambda x: x[:, [1, 2, 0]],),
    "grayscale by 0.3, 0.6, 1": tuple(
        partial(lambda x, share: toward(x, image.rgb_to_grayscale(x, 3), share), share=share) for share in (0.3, 0.6, 1)
    ),
    "tiles of 16, 8, 4 pixels shuffled": tuple(partial(in_tiles, side=side) for side in (16, 8, 4)),
    "blends, 0.1, 0.25, 0.5 of another": tuple(
        partial(lambda x, share: toward(x, shuffled(x), share), share=share) for share in (0.1, 0.25, 0.5)
    ),
    "100, 30, 10 distinct pictures": tuple(partial(repeated, distinct=distinct) for distinct in (100, 30, 10)),
}
"""By name, with rising severity."""

CHANGES: Mapping[str, tuple[Fault, ...]] = {
    "shifted by 1, 2, 4 pixels": tuple(
        partial(image.affine, angle=0.0, translate=[by, by], scale=1.0, shear=[0.0], fill=[255.0]) for by in (1, 2, 4)
    ),
    "turned by 5, 15, 45 degrees": tuple(
        partial(image.rotate, angle=angle, interpolation=InterpolationMode.BILINEAR, fill=[255.0])
        for angle in (5, 15, 45)
    ),
    "mirrored": (image.horizontal_flip,),
}
"""What changes a picture and does not damage it, and what the features should hardly notice."""


def seen(extractor: EmojiCNN, x: Tensor) -> Moments:
    """Moments of the features of images."""
    return moments([extractor(part)[0] for part in x.split(500)])


def measure(extractor: EmojiCNN, data: Dataset) -> dict[str, list[float]]:
    """Fréchet distances of held-out pictures from the training pictures: as they are, and damaged in each way."""
    train, x, labels = seen(extractor, data.train.x), data.test.x, data.test.labels
    assert labels is not None

    def apart(damaged: Tensor) -> float:
        return round(distance(train, seen(extractor, damaged)), 3)

    groups = [[x[labels != group] for group in range(CLASSES)], [x[labels == group] for group in range(CLASSES)]]
    return {
        "as they are": [apart(x)],
        **{name: [apart(fault(x)) for fault in faults] for name, faults in {**FAULTS, **CHANGES}.items()},
        "pixel Gaussian": [apart(gaussian(data.train.x, len(x)))],
        "without one group, least and most": _ends(map(apart, groups[0])),
        "one group only, least and most": _ends(map(apart, groups[1])),
    }


def _ends(values: Iterator[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered[0], ordered[-1]]


def rises(measured: Mapping[str, list[float]]) -> bool:
    """Whether each distance rises with the severity of a fault, from the distance of intact pictures on."""
    floor = measured["as they are"]
    return all(one < two for name in FAULTS for one, two in pairwise([*floor, *measured[name]]))


def published(extractor: EmojiCNN, others: Mapping[str, EmojiCNN], data: Dataset) -> dict[str, Any]:
    """The measurements published with the weights."""
    assert data.test.labels is not None
    assigned = judged(extractor, data.test.x)[1]
    return {
        "weights": extractor.weights_hash,
        "held_out_n": len(data.test),
        "held_out_accuracy": share(assigned == data.test.labels),
        "held_out_accuracy_by_group": {
            name: share(assigned[data.test.labels == group] == group) for group, name in enumerate(data.class_names)
        },
        "frechet_distance": measure(extractor, data),
        **{f"frechet_distance_{name}": measure(other, data) for name, other in others.items()},
    }


def main() -> None:
    """Fit both sets of features, measure them, and write both files for those that separate pictures."""
    torch.set_num_threads(1)
    recipe, data = Recipe(), emoji.ganbench_dataset(resolution=None)
    extractor = fitted(data.train, recipe)
    report = published(extractor, {"of_groups": fitted(data.train, recipe, groups=True)}, data)
    save_file(extractor.state_dict(), "emoji_cnn.safetensors")
    text = json.dumps({**report, "recipe": asdict(recipe), "torch": torch.__version__}, indent=2, ensure_ascii=False)
    text = re.sub(r"\[\s+([\d.,\s]+?)\s+\]", lambda numbers: f"[{' '.join(numbers[1].split())}]", text)
    Path("emoji_cnn.json").write_text(text + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    with torch.no_grad():
        main()
