"""Small test worlds for metrics, in which it is known which samples are better."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor, nn

from ganbench.contracts.arch import GAN
from ganbench.contracts.data import Dataset, DataSpec, Oracle, Split
from ganbench.contracts.evaluation import Evaluation
from ganbench.contracts.extractor import Extractor
from ganbench.evaluation import yardsticks
from ganbench.testing.randomness import rng, seeded

Labelled = tuple[Tensor, Tensor]
"""Samples ``x[N, *shape]``, as a dataset stores them, and their labels ``[N]``."""

CLASSES = 10
SAMPLES = 300
AT_HOME = 100
SIDE, BAR = 8, 6  # a class is a bright bar of 6 pixels out of 64, on a dark background


class Bars(Extractor):
    """``x[B, 1, 8, 8]`` in uint8 -> the bars' brightness and a few mixtures of pixels; ten classes.

    The classifier is unsure if no bar stands out. ``sureness`` scales its logits; a large value makes every probability
    but one exactly 0.
    """

    name, version = "bars", "1"
    gate = 0.9

    def __init__(self, sureness: float = 1.0) -> None:
        super().__init__()
        self.sureness = sureness
        self.confusion = torch.eye(CLASSES) * 180
        self.register_buffer("mixing", torch.randn(SIDE * SIDE, 6, generator=rng(5), dtype=torch.float64) / SIDE)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(features[B, 16], logits[B, 10])`` in float64."""
        signal = x.flatten(1).double() / 64
        bars = signal[:, : CLASSES * BAR].reshape(-1, CLASSES, BAR).mean(2)
        mixed = signal @ self.get_buffer("mixing")
        return torch.cat([bars, mixed], dim=1), 8 * self.sureness * bars


class Flat(Extractor):
    """``x[B, 2]`` -> itself; no classifier."""

    name, version = "flat", "1"

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """The points in float64, and no logits."""
        return x.double(), None


class Still(Extractor):
    """``x[B, 1, T, H, W]`` in uint8 -> the mean of each frame; no classifier."""

    name, version = "still", "1"

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """``features[B, T]`` in float64, and no logits."""
        return x.double().mean(dim=(1, 3, 4)), None


@dataclass(frozen=True)
class World:
    """Real samples, and kinds of fakes of known quality.

    The fakes are ``other`` real samples, ``noise``, real samples of ``one_class`` only or of ``half`` of the classes,
    ``repeated`` (a single real sample), and other real samples mixed with a quarter or a half of noise. All are stored
    as in a dataset. The sources for a translator are the negatives of the samples.
    """

    name: str
    spec: DataSpec
    extractor: Extractor
    oracle: Oracle
    real: Labelled
    fakes: dict[str, Labelled]

    def __str__(self) -> str:
        return self.name

    def evaluation(self, fake: str, seed: int = 0, n: int = SAMPLES) -> Evaluation:
        """The input of a metric; ``fake`` is a key of ``fakes``, or ``"real"`` for a copy of the real samples."""
        (x, labels), (made, made_labels) = self.real, self.real if fake == "real" else self.fakes[fake]
        return Evaluation(
            real=x.clone(),
            fake=made[:n].clone(),
            spec=self.spec,
            rng=rng(seed),
            real_labels=labels,
            fake_labels=made_labels[:n],
            oracle=self.oracle,
            extractor=self.extractor,
            generator=self._generator(),
            real_source=_negative(x),
            fake_source=_negative(made[:n]),
            paired=True,
            dataset=self._dataset(),
            remake=lambda like: Split(_negative(like.source), like.labels, _negative(like.x), like.paired),
        )

    def _dataset(self) -> Dataset:
        return Dataset(self.name, self.spec, Split(*self.real), Split(*self.fakes["other"]), self.oracle)

    def _generator(self) -> GAN:
        size = math.prod(self.spec.shape)
        with seeded(0):
            g = nn.Sequential(nn.Linear(4, size), nn.Tanh(), nn.Unflatten(1, self.spec.shape))
            d = nn.Sequential(nn.Flatten(), nn.Linear(size, 1), nn.Flatten(0))
        return GAN(g, d, z_dim=4).eval().requires_grad_(False)

    def surer(self) -> World:
        """The same world with a classifier, if any, that is as confident as float64 allows."""
        return replace(self, extractor=Bars(1e5)) if isinstance(self.extractor, Bars) else self


@cache
def images() -> World:
    """Ten classes of images, distinguished by a classifier."""

    def draw(seed: int, kinds: int) -> Labelled:
        noise, kind = rng(seed), torch.arange(SAMPLES) % kinds
        x = 20 + 12 * torch.randn(SAMPLES, SIDE * SIDE, generator=noise).abs()
        bright = torch.arange(SIDE * SIDE) // BAR == kind[:, None]
        level = 180 + 20 * torch.randn(SAMPLES, 1, generator=noise)
        return _stored(torch.where(bright, level + x / 2, x)), kind

    noise = _stored(256 * torch.rand(SAMPLES, SIDE * SIDE, generator=rng(3)))
    return World("images", DataSpec((1, SIDE, SIDE), CLASSES), Bars(), _even(), *_drawn(draw, noise))


@cache
def points() -> World:
    """Ten isotropic Gaussians in the plane, distinguished by an oracle."""
    centres = 4 * torch.stack([torch.arange(CLASSES) % 5 - 2.0, torch.arange(CLASSES) // 5 - 0.5], dim=1)

    def draw(seed: int, kinds: int) -> Labelled:
        kind = torch.arange(SAMPLES) % kinds
        return centres[kind] + 0.2 * torch.randn(SAMPLES, 2, generator=rng(seed)), kind

    def assign(x: Tensor) -> Tensor:
        distance, mode = torch.cdist(x.double(), centres.double()).min(dim=1)
        return torch.where(distance < 3 * 0.2, mode, -1)

    noise = 24 * torch.rand(SAMPLES, 2, generator=rng(3)) - 12
    oracle = replace(_even(), assign=assign, ceiling=1 - math.exp(-4.5))
    return World("points", DataSpec((2,), CLASSES, bounded=False), Flat(), oracle, *_drawn(draw, noise))


@cache
def line() -> World:
    """Ten Gaussians on a line, for metrics of one-dimensional points."""

    def draw(seed: int, kinds: int) -> Labelled:
        kind = torch.arange(SAMPLES) % kinds
        return kind[:, None] + 0.1 * torch.randn(SAMPLES, 1, generator=rng(seed)), kind

    noise = 40 * torch.rand(SAMPLES, 1, generator=rng(3)) - 15
    spec = DataSpec((1,), CLASSES, bounded=False)
    return World("points on a line", spec, Flat(), _even(), *_drawn(draw, noise))


@cache
def clips() -> World:
    """Bright squares that move steadily over a dark background in ten ways, for video metrics."""
    frames, side, edge = 8, 16, 5

    def draw(seed: int, kinds: int) -> Labelled:
        kind, noise = torch.arange(SAMPLES) % kinds, rng(seed)
        speed = 0.2 + 0.08 * kind[:, None] * torch.tensor([1.0, 0.7])
        start = torch.rand(SAMPLES, 2, generator=noise) * 2
        corner = start[:, None] + speed[:, None] * torch.arange(frames)[:, None]  # [N, T, 2]
        inside = [((g := torch.arange(side) - corner[..., i, None]) >= 0) & (g < edge) for i in (0, 1)]
        bright = inside[0][..., :, None] & inside[1][..., None, :]
        level = 180 + 20 * torch.randn(SAMPLES, 1, 1, 1, generator=noise)
        return torch.where(bright, level, 20.0).clamp(0, 255).to(torch.uint8)[:, None], kind

    shape = (1, frames, side, side)
    noise = (256 * torch.rand(SAMPLES, *shape, generator=rng(3))).to(torch.uint8)
    return World("video", DataSpec(shape, CLASSES), Still(), _even(), *_drawn(draw, noise))


def of_data(data: Dataset, extractor: Extractor) -> World:
    """Samples of a dataset, for metrics that support only these data."""
    n = min(AT_HOME, len(data.test), len(data.train))
    like = data.test[torch.arange(n)]
    labels = data.train.labels
    kinds = torch.arange(len(data.train)) if labels is None else labels
    half = (kinds < kinds.max() / 2).nonzero().flatten()
    one, noise = (yardsticks.draw(name, data, like, "test", 0).fake for name in ("one class", "noise"))
    fakes = {
        "other": data.train[torch.arange(n)],
        "noise": noise,
        "one_class": one,
        "half": data.train[half[torch.arange(n) % len(half)]],
        "repeated": like[torch.zeros(n, dtype=torch.int64)],
    }
    found = {name: (fake.x, _labelled(fake)) for name, fake in fakes.items()}
    oracle = data.oracle or _even()
    return World(data.name, data.spec, extractor, oracle, (like.x, _labelled(like)), found | _steps(found))


def _labelled(split: Split) -> Tensor:
    return torch.zeros(len(split), dtype=torch.int64) if split.labels is None else split.labels


def _negative(x: Tensor | None) -> Tensor:
    assert x is not None  # every world has sources
    return 255 - x if x.dtype == torch.uint8 else -x


def _drawn(draw: Callable[[int, int], Labelled], noise: Tensor) -> tuple[Labelled, dict[str, Labelled]]:
    """The real samples and all kinds of fakes, from the samples of ``draw(seed, classes)``."""
    x, kind = draw(1, CLASSES)
    fakes = {
        "other": draw(2, CLASSES),
        "noise": (noise, kind),
        "one_class": draw(4, 1),
        "half": draw(5, CLASSES // 2),
        "repeated": (x[:1].expand_as(x), kind[:1].expand_as(kind)),
    }
    return (x, kind), fakes | _steps(fakes)


def _steps(fakes: dict[str, Labelled]) -> dict[str, Labelled]:
    """Other real samples, the first part of which is replaced by noise."""
    (x, kind), (noise, _) = fakes["other"], fakes["noise"]
    parts = {"quarter_noise": len(x) // 4, "half_noise": len(x) // 2}
    return {name: (torch.cat([noise[:n], x[n:]]), kind) for name, n in parts.items()}


def _stored(pixels: Tensor) -> Tensor:
    return pixels.clamp(0, 255).to(torch.uint8).reshape(-1, 1, SIDE, SIDE)


def _even() -> Oracle:
    return Oracle(torch.full((CLASSES,), 1 / CLASSES, dtype=torch.float64))
