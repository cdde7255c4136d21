"""Trains the weights of `drums-cnn`: ``python -m ganbench_baselines.extractor.train_drums_cnn``.

It writes ``drums_cnn.safetensors`` and ``drums_cnn.json`` (the measurements) into the working directory, in about five
minutes on one core. Training uses only training drums. Drums are synthetic, so any number of new ones can be drawn:
2,400 of them give the gate and the confusion matrix. The held-out drums are used once, at the end.

Besides drums, the network hears blends of two (mixup, Zhang et al. 2018), whose target is divided between both classes,
and sounds that are not drums (outlier exposure, Hendrycks et al. 2019), whose target is spread over all classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganbench import DataSpec, Split
from ganbench_baselines.arch import wavegan
from ganbench_baselines.dataset import drums
from ganbench_baselines.extractor.drums_cnn import OWN, DrumsCNN, LogMel, Network
from ganbench_baselines.extractor.train_cnn import (
    Mixing,
    Mixture,
    answers,
    choose_gate,
    measured,
    mixture,
    mixture_loss,
    standardised,
    trained,
    write,
)

ARGUMENT = {8000: "4096,8000", 16_000: "16384,16000"}
"""The drums that each rate is trained and measured on."""
UNHEARD_SEED = 1


@dataclass(frozen=True)
class Recipe(Mixing):
    """Settings of the training."""

    steps: int = 650
    batch: int = 64  # drums of each rate; half as many blends and half as many outliers are added
    gain: float = 12.0  # dB, down
    shift: float = 0.004  # seconds
    noise: float = 0.01  # largest std


def augment(x: Tensor, rate: int, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Drums ``x[B, T]`` with a small delay, at a different level, in a little noise."""
    gain = 10 ** (-recipe.gain / 20 * torch.rand(len(x), 1, generator=rng))
    late = torch.randint(round(recipe.shift * rate) + 1, (len(x), 1), generator=rng)
    place = torch.arange(x.shape[1]) - late
    moved = x.gather(1, place.clamp(min=0)) * (place >= 0)
    std = recipe.noise * torch.rand(len(x), 1, generator=rng).square()
    return (gain * moved + std * torch.randn(x.shape, generator=rng)).clamp(-1, 1)


def outliers(real: Tensor, n: int, rate: int, rng: torch.Generator) -> Tensor:
    """``[n, T]``, a quarter each: white noise, steady tones, reversed drums, drums in shuffled parts."""
    k, samples = n // 4, real.shape[1]
    level = 10 ** (-2 * torch.rand(2, k, 1, generator=rng))
    white = level[0] * (2 * torch.rand(k, samples, generator=rng) - 1)
    pitch = 50 * 60 ** torch.rand(k, 1, generator=rng)
    tones = level[1] * torch.sin(2 * math.pi * pitch * torch.arange(samples) / rate)
    backwards, cut = (real[torch.randint(len(real), (k,), generator=rng)] for _ in range(2))
    order = torch.rand(k, 16, generator=rng).argsort(dim=1)
    shuffled = cut.reshape(k, 16, -1)[torch.arange(k).unsqueeze(1), order].flatten(1)
    return torch.cat([white, tones, backwards.flip(1), shuffled])


def lesson(heard: LogMel, split: Split, rate: int, recipe: Recipe, rng: torch.Generator) -> Mixture:
    """One batch of one rate: ``x[B, 1, 32, 128]``, the network's input, of drums, blends of two, and outliers."""
    assert split.labels is not None
    index = torch.randint(len(split), (recipe.batch,), generator=rng)
    x, y = augment(split.x[index, 0], rate, recipe, rng), split.labels[index]
    given = mixture(x, y, lambda n: outliers(split.x[:, 0], n, rate, rng), rng)
    return given._replace(x=heard(given.x))


def train(splits: dict[int, Split], recipe: Recipe, seed: int = 0) -> Network:
    """Train a network on a batch of each rate per step, and return its averaged weights in eval mode."""
    heard = {rate: LogMel(rate) for rate in splits}

    def loss(network: Network, rng: torch.Generator) -> Tensor:
        lessons = [lesson(heard[rate], split, rate, recipe, rng) for rate, split in splits.items()]
        logits = network(torch.cat([each.x for each in lessons]))[1]  # one pass, so that batch norm sees both rates
        parts = zip(logits.chunk(len(lessons)), lessons, strict=True)
        return torch.stack([mixture_loss(part, each, recipe) for part, each in parts]).sum()

    return trained(Network, loss, recipe.steps, recipe, seed)


def strangers(split: Split, seed: int = 0) -> dict[str, Tensor]:
    """Samples that are not drums, stored like ``split``.

    Training uses no spectral noise, silence or samples of an untrained generator.
    """
    rng = torch.Generator().manual_seed(seed)
    assert split.labels is not None
    x, n = split.x, len(split)
    other = torch.randperm(n, generator=rng)
    unlike = split.labels != split.labels[other]
    torch.manual_seed(seed)
    untrained = wavegan.generator(DataSpec(tuple(x.shape[1:])), width=8, z_dim=64)
    with torch.no_grad():
        made = untrained(torch.randn(n, 64, generator=rng))
    return {
        "white noise": 2 * torch.rand(x.shape, generator=rng) - 1,
        "spectral noise": drums.spectral_noise(split)(split, seed).x,
        "even blends of two classes": (x[unlike] + x[other][unlike]) / 2,
        "backwards": x.flip(-1),
        "silence": torch.zeros_like(x),
        "untrained generator": made,
    }


def main() -> None:
    """Train the network, measure it, and write both files."""
    torch.set_num_threads(1)
    recipe = Recipe()
    data = {rate: drums.ganbench_dataset(argument=argument, resolution=None) for rate, argument in ARGUMENT.items()}
    network = train({rate: of.train for rate, of in data.items()}, recipe)
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    report: dict[str, Any] = {}
    for rate, of in data.items():
        extractor = standardised(DrumsCNN(rate), network, of.train.x)
        unheard = answers(extractor, drums.drums(of.train.x.shape[-1], rate, UNHEARD_SEED))
        test = answers(extractor, of.test)
        gate = choose_gate(unheard.confidence)
        report[str(rate)] = measured(extractor, gate, strangers(of.test), held_out=test, unheard=unheard)
        state |= {f"{rate}.{name}": extractor.state_dict()[name] for name in OWN}
    write("drums_cnn", state, report, recipe)


if __name__ == "__main__":
    main()
