"""The thirty jobs of `same_bits.py`. Together they use every arch, loss, trick, dataset, extractor and metric.

Budgets are a few dozen updates: enough to reach every term of a loss, every look and every metric.
"""

from __future__ import annotations

import wave
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tomlkit
from PIL import Image


@dataclass(frozen=True)
class Rules:
    """A tiny protocol; the fields are those of a protocol's TOML file. ``updates``: D updates that the budget pays for.
    ``training`` holds what differs from the defaults."""

    dataset: str
    metrics: tuple[str, ...]
    headline: str
    extractor: str = ""
    resolution: int | None = None
    reference: str = "all"
    samples: int = 100
    draws: int = 2
    checks: int = 2
    yardsticks: tuple[str, ...] = ("real data", "gaussian fit", "one class", "noise")
    updates: int = 40
    batch: int = 16
    width: int = 8
    training: Mapping[str, object] = field(default_factory=dict)

    def to_toml(self, name: str) -> str:
        """A protocol file; the path of a folder of data is relative to it."""
        top = {"name": name, "dataset": self.dataset, "seeds": [0], "resolution": self.resolution}
        training = {"budget_kimg": self.updates * self.batch / 1000, "batch": self.batch, "width": self.width}
        names = ("samples", "metrics", "headline", "extractor", "reference", "draws", "checks", "yardsticks")
        evaluation = {name: getattr(self, name) for name in names}
        sections = {"training": training | dict(self.training), "evaluation": _stated(evaluation)}
        return tomlkit.dumps(_stated(top) | sections)


def _stated(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value not in (None, "")}


DIGITS = Rules(
    dataset="digits",
    resolution=16,
    metrics=("fid", "is", "kid", "precision-recall", "density-coverage", "modes"),
    headline="fid",
    extractor="digits-cnn",
    training={"lr": 2e-3},
)
RULES = {
    "digits": DIGITS,
    "digits-channels-last": Rules(
        dataset="digits",
        resolution=16,
        metrics=("fid", "modes"),
        headline="fid",
        extractor="digits-cnn",
        reference="test",
        training={"layout": "channels-last", "lr_decay": 0.5},
    ),
    "digits-bf16": Rules(
        dataset="digits",
        resolution=16,
        metrics=("fid",),
        headline="fid",
        extractor="digits-cnn",
        reference="train",
        checks=4,
        training={"precision": "bf16", "ema": 0.0},
    ),
    "digits-by-class": Rules(
        dataset="digits",
        resolution=16,
        metrics=("intra-fid", "fid", "label-accuracy", "cas"),
        headline="intra_fid",
        extractor="digits-cnn",
        reference="train",
        samples=200,
        yardsticks=("training data", "class gaussians"),
    ),
    "stacked-digits": Rules(
        dataset="stacked-digits",
        resolution=16,
        metrics=("modes", "fid"),
        headline="modes_hit",
        extractor="digits-cnn",
        checks=1,
    ),
    "ring": Rules(
        dataset="ring",
        metrics=("modes", "density-coverage"),
        headline="coverage",
        extractor="raw",
        samples=500,
        width=32,
        training={"z_dim": 2, "lr": 1e-3},
    ),
    "grid": Rules(
        dataset="grid",
        metrics=("modes", "precision-recall"),
        headline="precision",
        extractor="raw",
        reference="train",
        samples=500,
        width=32,
        training={"z_dim": 2, "optimizer": "sgd"},
    ),
    "unit-ring": Rules(
        dataset="unit-ring",
        metrics=("modes",),
        headline="modes_covered",
        samples=500,
        width=32,
        training={"z_dim": 2, "lr": 1e-3},
    ),
    "unit-grid": Rules(
        dataset="unit-grid",
        metrics=("modes",),
        headline="modes_hit",
        reference="train",
        samples=500,
        width=32,
        training={"z_dim": 2, "optimizer": "sgd"},
    ),
    "gaussian-1d": Rules(
        dataset="gaussian-1d",
        metrics=("distance-1d",),
        headline="w1",
        reference="test",
        samples=1000,
        training={"z_dim": 1, "d_lr": 2e-3, "lr_decay": 1.0},
    ),
    "folder": Rules(
        dataset="folder:images",
        resolution=16,
        metrics=("fid", "is"),
        headline="fid",
        extractor="inception",
        samples=6,
        draws=1,
        checks=1,
        yardsticks=("noise",),
    ),
    "digits-edges": Rules(
        dataset="digits-edges",
        resolution=16,
        metrics=("translation", "label-accuracy", "fid"),
        headline="paired_error",
        extractor="digits-cnn",
        reference="test",
        yardsticks=("identity", "mean image"),
        updates=20,
        batch=4,
        training={"z_dim": 1},
    ),
    "folder-pair": Rules(
        dataset="folder-pair:images/disc,images/square",
        metrics=("translation", "fid"),
        headline="paired_error",
        extractor="raw",
        reference="test",
        samples=4,
        yardsticks=("identity", "mean image"),
        updates=10,
        batch=2,
        training={"z_dim": 1},
    ),
    "drums": Rules(
        dataset="drums:1024",
        metrics=("fad", "is", "density-coverage", "modes"),
        headline="fad",
        extractor="drums-cnn",
        yardsticks=("real data", "spectral noise", "one class", "noise"),
        updates=30,
        training={"betas": [0.5, 0.9]},
    ),
    "folder-wav": Rules(
        dataset="folder-wav:sounds,1024,8000",
        metrics=("fad", "kid"),
        headline="fad",
        extractor="drums-cnn",
        samples=20,
        yardsticks=("spectral noise",),
        updates=20,
        batch=8,
    ),
    "moving-digits": Rules(
        dataset="moving-digits",
        resolution=16,
        metrics=("fid", "is", "frames", "motion", "modes"),
        headline="fid",
        extractor="clips-cnn",
        reference="test",
        yardsticks=("real data", "still", "shuffled frames", "changing digit"),
        updates=20,
        batch=8,
    ),
}


@dataclass(frozen=True)
class Job:
    """One `ganbench run`: ``rules`` names a protocol above, ``changes`` are for `--set`, ``ends`` is the status that
    the run has to end with."""

    rules: str
    arch: str
    loss: str
    tricks: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    ends: str = "ok"

    @property
    def name(self) -> str:
        """Under which a table shows the job; also the name of its folder."""
        return " ".join((self.rules, "+".join((self.arch, self.loss, *self.tricks)), *self.changes))

    @property
    def arguments(self) -> list[str]:
        """Of `ganbench run`, without the protocol and where runs are kept."""
        pairs = [("--arch", self.arch), ("--loss", self.loss)]
        pairs += [("--trick", trick) for trick in self.tricks] + [("--set", change) for change in self.changes]
        return [word for pair in pairs for word in pair]

    @property
    def components(self) -> set[tuple[str, str]]:
        """(kind, name) of every plugin that the job uses."""
        rules = RULES[self.rules]
        used = [("arch", self.arch), ("loss", self.loss), ("dataset", rules.dataset), ("extractor", rules.extractor)]
        used += [("trick", trick) for trick in self.tricks] + [("metric", metric) for metric in rules.metrics]
        return {(kind, label.partition(":")[0]) for kind, label in used if label}


JOBS = (
    Job("ring", "mlp", "minimax"),
    Job("ring", "mlp", "non-saturating", ("pacgan:4", "instance-noise")),
    Job("unit-ring", "mlp", "wgan", changes=("lr=1e30",), ends="diverged"),
    Job("grid", "mlp", "lsgan", ("unrolled:2",)),
    Job("unit-grid", "mlp", "wgan", ("gradient-clipping:0.5",)),
    Job("gaussian-1d", "mlp", "r1", changes=("optimizer=rmsprop", "loss.gamma=2")),
    Job("digits", "mlp", "dragan"),
    Job("digits", "dcgan", "wgan-gp"),
    Job("digits", "dcgan", "non-saturating", ("label-smoothing", "minibatch-discrimination:4")),
    Job("digits", "dcgan", "hinge", ("diffaugment", "pacgan")),
    Job("digits", "dcgan-upsample", "lsgan", ("spectral-norm", "minibatch-stddev", "ttur")),
    Job("digits", "dcgan-upsample", "minimax", ("init:xavier", "instance-noise:0.2", "ema:0.9")),
    Job("digits", "r3gan", "rpgan-r1-r2"),
    Job("digits", "stylegan2", "non-saturating"),
    Job("digits-channels-last", "sngan", "hinge"),
    Job("digits-channels-last", "r3gan", "rpgan-r1", changes=("arch.blocks=1",)),
    Job("digits-bf16", "dcgan", "r1", ("diffaugment:translation",)),
    Job("stacked-digits", "sngan", "non-saturating", ("init", "gradient-clipping")),
    Job("digits-by-class", "cgan", "non-saturating", ("unrolled:1",)),
    Job("digits-by-class", "cgan-mlp", "lsgan", changes=("arch.dropout=0.5",)),
    Job("digits-by-class", "acgan", "wgan-gp"),
    Job("digits-by-class", "sngan-projection", "hinge"),
    Job("digits-by-class", "biggan-small", "hinge", ("ema:0.99", "ttur:2")),
    Job("folder", "dcgan", "hinge"),
    Job("digits-edges", "cyclegan", "lsgan"),
    Job("folder-pair", "cyclegan", "hinge", changes=("arch.identity=5",)),
    Job("drums", "wavegan", "wgan-gp"),
    Job("folder-wav", "wavegan", "hinge"),
    Job("moving-digits", "videogan", "non-saturating", ("label-smoothing:0.8",)),
    Job("moving-digits", "videogan-two-critic", "r1"),
)


# -- what the protocols read -----------------------------------------------------------------------------------------


def write_inputs(folder: Path) -> None:
    """Write the protocols, and the images, sounds and Inception weights that they need. Every call writes the same."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rules in RULES.items():
        (folder / f"{name}.toml").write_text(rules.to_toml(f"same-bits-{name}"), encoding="utf-8")
    rng = np.random.default_rng(0)
    for shape in ("disc", "square"):
        for number in range(20):
            _write_image(folder / "images" / shape / f"{number:02}.png", shape, rng)
    for pitch in (110, 440):
        for number in range(20):
            _write_sound(folder / "sounds" / f"{pitch}" / f"{number:02}.wav", pitch, rng)
    _write_inception(folder / "inception.pt")


def _write_image(file: Path, shape: str, rng: np.random.Generator) -> None:
    """16x16 pixels in colour: a disc or a square somewhere on a plain ground."""
    y, x = np.mgrid[:16, :16] - rng.integers(5, 11, (2, 1, 1))
    inside = x**2 + y**2 <= 16 if shape == "disc" else np.maximum(abs(x), abs(y)) <= 4
    pixels = np.where(inside[..., None], rng.integers(128, 256, 3), rng.integers(0, 128, 3))
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(file)


def _write_sound(file: Path, pitch: int, rng: np.random.Generator) -> None:
    """An eighth of a second at 8 kHz: a tone that dies away, and noise."""
    t = np.arange(1000) / 8000
    sound = np.sin(2 * np.pi * pitch * t) * np.exp(-t / rng.uniform(0.02, 0.1)) + rng.normal(0, 0.05, t.size)
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, 8000, t.size, "NONE", ""))
        out.writeframes((sound.clip(-1, 1) * 32767).astype("<i2").tobytes())


def _write_inception(file: Path) -> None:
    """Random weights, drawn once: the official ones are not everywhere."""
    if file.exists():
        return
    import torch
    from random_inception import random_inception_weights

    half_written = file.with_suffix(".tmp")
    torch.save(random_inception_weights(), half_written)
    half_written.replace(file)
