"""Trains the weights of `digits-cnn`: ``python -m ganbench_baselines.extractor.train_digits_cnn``.

It writes ``digits_cnn.safetensors`` and ``digits_cnn.json`` (the measurements) into the working directory, in about ten
minutes on one core. Training and all choices use training digits only; the test digits are used once, at the end. The
confusion matrix and the gate come from ten further networks, each trained without a tenth of the training digits.

Besides digits, the network sees blends of two (mixup, Zhang et al. 2018), whose target is divided between both classes,
and images that are not digits (outlier exposure, Hendrycks et al. 2019), whose target is spread over all classes.
Without these, a quarter of all blends would pass as digits of high quality.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, interpolate

from ganbench import Split, quantise, to_signal
from ganbench_baselines.dataset import digits
from ganbench_baselines.extractor.digits_cnn import SIDE, DigitsCNN, Network
from ganbench_baselines.extractor.shipped import Shipped
from ganbench_baselines.extractor.train_cnn import (
    Answers,
    Mixing,
    answers,
    choose_gate,
    judged,
    measured,
    mixture,
    mixture_loss,
    standardised,
    trained,
    write,
)

FOLDS = 10


@dataclass(frozen=True)
class Recipe(Mixing):
    """Training settings, the same for the shipped network and for the ten that evaluate it."""

    epochs: int = 120
    batch: int = 128  # digits; half as many blends and half as many outliers are added
    rotate: float = 10.0  # degrees
    scale: float = 0.1
    shift: float = 0.8  # pixels
    noise: float = 0.1  # largest std


def augment(x: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Slightly turned, scaled, shifted and noisy digits ``x[B, 1, S, S]``."""
    angle, scale, dx, dy = torch.rand(4, len(x), generator=rng) * 2 - 1
    angle, scale = angle * math.radians(recipe.rotate), 1 + scale * recipe.scale
    dx, dy = (d * recipe.shift * 2 / x.shape[-1] for d in (dx, dy))
    top = torch.stack([scale * angle.cos(), -scale * angle.sin(), dx], dim=1)
    bottom = torch.stack([scale * angle.sin(), scale * angle.cos(), dy], dim=1)
    grid = affine_grid(torch.stack([top, bottom], dim=1), list(x.shape), align_corners=False)
    moved = grid_sample(x + 1, grid, align_corners=False) - 1  # beyond the edge: background, not gray
    std = recipe.noise * torch.rand(len(x), 1, 1, 1, generator=rng)
    return (moved + std * torch.randn(x.shape, generator=rng)).clamp(-1, 1)


def outliers(real: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """``[n, 1, S, S]``, a quarter each: uniform noise, clouds, noisy gray, digits in shuffled tiles of 4x4."""
    side, across = real.shape[-1], real.shape[-1] // 4

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=rng) * 2 - 1

    k = n // 4
    coarse = int(torch.randint(2, 9, (), generator=rng))
    clouds = interpolate(uniform(k, 1, coarse, coarse), size=(side, side), mode="bilinear")
    clouds = uniform(k, 1, 1, 1) + (1 + uniform(k, 1, 1, 1)) * clouds
    gray = uniform(k, 1, 1, 1) + uniform(k, 1, 1, 1) * torch.randn(k, 1, side, side, generator=rng)
    some = to_signal(real[torch.randint(len(real), (k,), generator=rng)])
    tiles = some.unfold(2, 4, 4).unfold(3, 4, 4).reshape(k, across**2, 4, 4)
    order = uniform(k, across**2).argsort(dim=1)
    shuffled = tiles[torch.arange(k).unsqueeze(1), order].reshape(k, across, across, 4, 4).transpose(2, 3)
    return torch.cat([uniform(k, 1, side, side), clouds, gray, shuffled.reshape(k, 1, side, side)]).clamp(-1, 1)


def loss(network: nn.Module, split: Split, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """The training loss on a batch of digits, blends and outliers."""
    assert split.labels is not None
    index = torch.randint(len(split), (recipe.batch,), generator=rng)
    x, y = augment(to_signal(split.x[index]), recipe, rng), split.labels[index]
    given = mixture(x, y, lambda n: outliers(split.x, n, rng), rng)
    return mixture_loss(network(given.x)[1], given, recipe)


def train(split: Split, recipe: Recipe, seed: int, build: Callable[[], nn.Module] = Network) -> nn.Module:
    """Train a network, and return its averaged weights in eval mode."""
    steps = recipe.epochs * (len(split) // recipe.batch)
    return trained(build, lambda network, rng: loss(network, split, recipe, rng), steps, recipe, seed)


def out_of_fold(
    split: Split,
    recipe: Recipe,
    build: Callable[[], nn.Module] = Network,
    extractor: Callable[[], Shipped] = DigitsCNN,
    number: int = FOLDS,
) -> Answers:
    """The answers for all training digits, each by a network trained without it."""
    assert split.labels is not None
    everyone = torch.arange(len(split))
    folds = [everyone[k::number] for k in range(number)]  # the split is already shuffled
    parts = []
    for k, fold in enumerate(folds):
        rest = split[everyone[everyone % number != k]]
        judge = standardised(extractor(), train(rest, recipe, 1 + k, build), rest.x)
        parts.append(judged(judge, split.x[fold]))
        print(f"fold {k + 1} of {number}", flush=True)
    back = torch.cat(folds).argsort()
    confidence, assigned = (torch.cat(part)[back] for part in zip(*parts, strict=True))
    return Answers(split.labels, confidence, assigned)


def strangers(split: Split, seed: int = 0) -> dict[str, Tensor]:
    """Samples that are not digits, stored like ``split``. Of these, training uses only noise, blends and blanks."""
    rng = torch.Generator().manual_seed(seed)
    assert split.labels is not None
    x, n, quarter = to_signal(split.x), len(split), split.x.shape[-1] // 4
    other = torch.randperm(n, generator=rng)
    unlike = split.labels != split.labels[other]
    flat = x.flatten(1).double()
    eigen = torch.linalg.eigh(flat.T.cov())
    normal = torch.randn(n, flat.shape[1], generator=rng, dtype=torch.float64) * eigen.eigenvalues.clamp(min=0).sqrt()
    torch.manual_seed(seed)
    untrained = nn.Sequential(
        nn.Linear(64, 64 * quarter**2),
        nn.Unflatten(1, (64, quarter, quarter)),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, 2, 1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, 2, 1),
        nn.Tanh(),
    )
    with torch.no_grad():
        kinds = {
            "uniform noise": torch.rand(x.shape, generator=rng) * 2 - 1,
            "even blends of two classes": (x[unlike] + x[other][unlike]) / 2,
            "pixel Gaussian": (flat.mean(dim=0) + normal @ eigen.eigenvectors.T).reshape(x.shape),
            "untrained generator": untrained(torch.randn(n, 64, generator=rng)),
            "negatives": -x,
            "blank": torch.full_like(x, -1),
        }
    return {name: quantise(kind, split.x) for name, kind in kinds.items()}


def main() -> None:
    """Train the networks, measure them, and write both files."""
    torch.set_num_threads(1)
    recipe = Recipe()
    real, held_out = digits.load(SIDE)
    extractor = standardised(DigitsCNN(), train(real, recipe, seed=0), real.x)
    test, unseen = answers(extractor, held_out), out_of_fold(real, recipe)
    gate = choose_gate(unseen.confidence)  # all three digits of a stack then still pass nine times in ten
    report = measured(extractor, gate, strangers(held_out), held_out=test, out_of_fold=unseen)
    write("digits_cnn", extractor.state_dict(), report, recipe)


if __name__ == "__main__":
    main()
