"""Runs of a moment, one for each kind of data, and the commands that show what they left."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn
from typer.testing import CliRunner

import ganbench
from ganbench import GAN, Evaluating, Protocol, Training
from ganbench.cli.main import app


def players(data, width, z_dim):
    size = torch.Size(data.shape).numel()
    generator = nn.Sequential(nn.Linear(z_dim, size), nn.Tanh(), nn.Unflatten(1, data.shape))
    return generator, nn.Sequential(nn.Flatten(), nn.Linear(size, 1), nn.Flatten(0))


class Conditional(GAN):
    """All samples of a class have nearly the same shade."""

    conditional = True

    def fake(self, batch):
        shade = batch.labels.float().view(-1, *[1] * (batch.real.ndim - 1)) / 5 - 0.9
        return 0.01 * self.generator(batch.z) + shade


class Translator(GAN):
    def fake(self, batch):
        return self.generator(batch.source)

    def sample_back(self, batch):
        return self.generator(batch.real)


def conditional(data, width, z_dim):
    return Conditional(*players(data, width, z_dim), z_dim)


def translator(data):
    critic = nn.Sequential(nn.Flatten(), nn.Linear(256, 1), nn.Flatten(0))
    return Translator(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Tanh()), critic, 1)


KINDS = {
    "images": ("digits", players),
    "labels": ("digits", conditional),
    "pairs": ("digits-edges", translator),
    "sounds": ("drums:1024", players),
    "clips": ("moving-digits", players),
    "numbers": ("gaussian-1d", players),
}


def run(home: Path, dataset: str, arch=players) -> Path:
    """The folder of a very short run."""
    rules = Protocol(
        name=f"{dataset.partition(':')[0]}-moment-v1",
        dataset=dataset,
        description="",
        seeds=(0,),
        training=Training(budget_kimg=0.064, batch=32, lr=1e-3, ema=0.9, width=8, z_dim=8),
        evaluation=Evaluating(
            samples=100,
            metrics=("density-coverage",),
            headline="coverage",
            extractor="raw",
            draws=1,
            checks=2,
            yardsticks=(),
        ),
    )
    (one,) = ganbench.run(arch, "lsgan", rules, out=home, device="cpu", progress=False)
    assert one.record.status == "ok", one.record.reason
    return one.folder


def runs_of(home: Path, kinds: Iterable[str] = KINDS) -> dict[str, Path]:
    """The folder of a run of each of these kinds."""
    return {kind: run(home / kind, *KINDS[kind]) for kind in kinds}


def command(*words: object) -> str:
    """Run a command as typed; errors are raised."""
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "160"})
    if result.exception:
        raise result.exception
    return result.output
