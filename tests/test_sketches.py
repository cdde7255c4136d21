"""The sketches on the page of architectures: each of them really trains."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
import torch
from marks import slow_but
from taped import TapeRecorder
from torch import nn

from ganbench import Split
from ganbench.contracts.protocol import Recipe
from ganbench.training.batches import Stream
from ganbench.training.trainer import Trainer

GUIDE = Path(__file__).parents[1] / "docs" / "architectures.md"
SIDE = 8


@pytest.fixture(scope="module")
def sketches() -> dict:
    names: dict = {"__name__": "sketches"}
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        exec(block, names)
    return names


def flat_critic(features: int, extra: int = 0) -> nn.Module:
    class Critic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.label = nn.Embedding(10, features) if extra else None
            self.body = nn.Sequential(nn.Linear(features, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1), nn.Flatten(0))

        def forward(self, x, labels=None):
            x = x.flatten(1)
            return self.body(x if labels is None else x * self.label(labels))

    return Critic()


def maker(z_dim: int, shape: tuple[int, ...]) -> nn.Module:
    size = torch.Size(shape).numel()
    return nn.Sequential(nn.Linear(z_dim, 16), nn.ReLU(), nn.Linear(16, size), nn.Tanh(), nn.Unflatten(1, shape))


class Styled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mapping, self.synthesis = nn.Linear(4, 4), maker(4, (1, SIDE, SIDE))

    def forward(self, z):
        return self.synthesis(self.mapping(z))


def players(kind: str, sketches: dict):
    image, video, audio = (1, SIDE, SIDE), (1, 3, SIDE, SIDE), (1, 32)
    pixels = SIDE * SIDE
    match kind:
        case "conditional":
            return sketches["ConditionalGAN"](maker(4, image), flat_critic(pixels, 1), 4, 10), image
        case "cyclegan":
            translate = lambda: nn.Conv2d(1, 1, 3, padding=1)  # noqa: E731
            return sketches["CycleGAN"](translate, lambda: flat_critic(pixels), image), image
        case "video":
            critics = flat_critic(pixels), flat_critic(3 * pixels)
            return sketches["TwoCriticVideoGAN"](maker(4, video), *critics, 4), video
        case "wavegan":
            critic = nn.Sequential(nn.Conv1d(1, 4, 5, 2), sketches["PhaseShuffle"](), flat_critic(56))
            return sketches["UnrolledGAN"].__mro__[1](maker(4, audio), critic, 4), audio
        case "stylegan2":
            return sketches["StyleGAN2"](Styled(), flat_critic(pixels), 4), image
        case "unrolled":
            return sketches["UnrolledGAN"](maker(4, image), flat_critic(pixels), 4), image


def trainer_of(
    kind: str,
    loss: str,
    sketches: dict,
    updates: int = 8,
    precision: str = "float32",
    recorder: TapeRecorder | None = None,
) -> Trainer:
    torch.manual_seed(0)
    gan, shape = players(kind, sketches)
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(64, *shape, generator=rng) * 2 - 1
    split = Split(x, torch.arange(64) % 10, source=x.flip(0))
    objective = import_module(f"ganbench_baselines.loss.{loss}").ganbench_loss()
    stream = Stream(split, 8, 0, torch.device("cpu"))
    return Trainer(gan, objective, stream, Recipe(lr=1e-2, d_steps=2), updates, 1, 2, (), precision, recorder)


@pytest.mark.parametrize("loss", ["non_saturating", "wgan_gp"])
@pytest.mark.parametrize("kind", ["conditional", "cyclegan", "video", "wavegan", "stylegan2", "unrolled"])
def test_every_sketch_of_the_guide_trains_and_moves_both_players(kind: str, loss: str, sketches: dict) -> None:
    trainer = trainer_of(kind, loss, sketches)
    gan = trainer.gan
    before = {name: p.detach().clone() for name, p in gan.named_parameters()}
    window = trainer.advance(8)
    assert window.images == 64
    moved = [name for name, p in gan.named_parameters() if not torch.equal(p, before[name])]
    for player in ("generator", "discriminator"):
        assert any(name.startswith(player) for name in moved)
    if kind == "cyclegan":
        assert gan.pool.any()
        assert "cycle" in window.losses
    if kind == "stylegan2":
        assert {"r1", "path_length"} <= set(window.losses)


@pytest.mark.parametrize("loss", slow_but(["non_saturating"], ["non_saturating", "wgan_gp"]))
@pytest.mark.parametrize("kind", ["conditional", "cyclegan", "video", "wavegan", "stylegan2", "unrolled"])
def test_every_sketch_of_the_guide_trains_alike_in_recorded_iterations(kind: str, loss: str, sketches: dict) -> None:
    played, recorded = (trainer_of(kind, loss, sketches, 80, recorder=r) for r in (None, TapeRecorder()))
    for trainer in (played, recorded):
        trainer.advance(80)
    assert played.fingerprint() == recorded.fingerprint()
    assert recorded.mode == "graph" if kind != "video" else "reads" in recorded.mode


@pytest.mark.parametrize("kind", ["conditional", "cyclegan", "video", "wavegan", "stylegan2", "unrolled"])
def test_every_sketch_of_the_guide_trains_in_bf16(kind: str, sketches: dict) -> None:
    trainer = trainer_of(kind, "wgan_gp", sketches, precision="bf16")
    losses = trainer.advance(8).losses
    wide = trainer_of(kind, "wgan_gp", sketches).advance(8).losses
    assert losses.keys() == wide.keys()
    assert losses != wide
