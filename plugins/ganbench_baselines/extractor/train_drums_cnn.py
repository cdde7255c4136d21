"""How the weights of `drums-cnn` were made: ``python -m ganbench_baselines.extractor.train_drums_cnn``.

Writes ``drums_cnn.safetensors`` and ``drums_cnn.json`` (what was measured) into the working directory, in some five
minutes on one core. Training uses only training drums. Drums are synthetic, so any number of new ones can be drawn:
2,400 of them give the gate and the confusion. The held-out drums are used once, at the end.

Besides drums, the network hears blends of two (mixup, Zhang et al. 2018), to be divided between both classes, and
sounds that are not drums (outlier exposure, Hendrycks et al. 2019), to be spread over all classes.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ganbench import DataSpec, Split, extract
from ganbench_baselines.arch import wavegan
from ganbench_baselines.dataset import drums
from ganbench_baselines.extractor.drums_cnn import CLASSES, OWN, DrumsCNN, LogMel, Network
from ganbench_baselines.extractor.train_digits_cnn import choose_gate, share

CPU = torch.device("cpu")
ARGUMENT = {8000: "4096,8000", 16_000: "16384,16000"}
"""The drums that each rate is trained and measured on."""
UNHEARD_SEED = 1


@dataclass(frozen=True)
class Recipe:
    """Settings of the training."""

    steps: int = 650
    batch: int = 64  # drums of each rate; half as many blends and half as many outliers come on top
    peak_lr: float = 3e-3
    weight_decay: float = 1e-2
    blend_weight: float = 0.25
    outlier_weight: float = 0.5
    average: float = 0.99  # of the weights, exponentially
    gain: float = 12.0  # dB, down
    shift: float = 0.004  # seconds
    noise: float = 0.01  # largest std


def augment(x: Tensor, rate: int, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Drums ``x[B, T]`` a little later, at another level, in a little noise."""
    gain = 10 ** (-recipe.gain / 20 * torch.rand(len(x), 1, generator=rng))
    late = torch.randint(round(recipe.shift * rate) + 1, (len(x), 1), generator=rng)
    place = torch.arange(x.shape[1]) - late
    moved = x.gather(1, place.clamp(min=0)) * (place >= 0)
    std = recipe.noise * torch.rand(len(x), 1, generator=rng).square()
    return (gain * moved + std * torch.randn(x.shape, generator=rng)).clamp(-1, 1)


def outliers(real: Tensor, n: int, rate: int, rng: torch.Generator) -> Tensor:
    """``[n, T]``, a quarter each: white noise, steady tones, drums played backwards, drums in shuffled parts."""
    k, samples = n // 4, real.shape[1]
    level = 10 ** (-2 * torch.rand(2, k, 1, generator=rng))
    white = level[0] * (2 * torch.rand(k, samples, generator=rng) - 1)
    pitch = 50 * 60 ** torch.rand(k, 1, generator=rng)
    tones = level[1] * torch.sin(2 * math.pi * pitch * torch.arange(samples) / rate)
    backwards, cut = (real[torch.randint(len(real), (k,), generator=rng)] for _ in range(2))
    order = torch.rand(k, 16, generator=rng).argsort(dim=1)
    shuffled = cut.reshape(k, 16, -1)[torch.arange(k).unsqueeze(1), order].flatten(1)
    return torch.cat([white, tones, backwards.flip(1), shuffled])


class Lesson(NamedTuple):
    """``x[B, 1, 32, 128]``, the network's input: drums, blends of two, and outliers. Drums have labels ``y``; blends
    have labels ``y`` and ``other`` with shares ``lam`` and ``1 - lam``."""

    x: Tensor
    y: Tensor
    lam: Tensor
    other: Tensor


def lesson(heard: LogMel, split: Split, rate: int, recipe: Recipe, rng: torch.Generator) -> Lesson:
    """One batch of one rate."""
    assert split.labels is not None
    index, half = torch.randint(len(split), (recipe.batch,), generator=rng), recipe.batch // 2
    x, y = augment(split.x[index, 0], rate, recipe, rng), split.labels[index]
    other = torch.randperm(len(x), generator=rng)[:half]
    lam = 0.3 + 0.4 * torch.rand(half, generator=rng)
    blend = lam[:, None] * x[:half] + (1 - lam)[:, None] * x[other]
    return Lesson(heard(torch.cat([x, blend, outliers(split.x[:, 0], half, rate, rng)])), y, lam, y[other])


def loss(logits: Tensor, given: Lesson, recipe: Recipe) -> Tensor:
    """Cross-entropy on drums, on blends with both labels, and on outliers with all labels equally."""
    drums_, half = len(given.y), len(given.lam)
    on_drum, on_blend, on_outlier = logits.log_softmax(dim=1).split([drums_, half, half])
    one, two = (on_blend.gather(1, y.unsqueeze(1)).squeeze(1) for y in (given.y[:half], given.other))
    return (
        -on_drum.gather(1, given.y.unsqueeze(1)).mean()
        - recipe.blend_weight * (given.lam * one + (1 - given.lam) * two).mean()
        - recipe.outlier_weight * on_outlier.mean()
    )


def train(splits: dict[int, Split], recipe: Recipe, seed: int = 0) -> Network:
    """The averaged network after all steps, in eval mode; a batch of each rate at every step."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    network = Network()
    heard = {rate: LogMel(rate) for rate in splits}
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.peak_lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.peak_lr, total_steps=recipe.steps, pct_start=0.2)
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average), use_buffers=True)
    for _ in range(recipe.steps):
        lessons = [lesson(heard[rate], split, rate, recipe, rng) for rate, split in splits.items()]
        logits = network(torch.cat([each.x for each in lessons]))[1]  # together, so that batch norm sees both rates
        optimiser.zero_grad()
        parts = zip(logits.chunk(len(lessons)), lessons, strict=True)
        torch.stack([loss(part, each, recipe) for part, each in parts]).sum().backward()
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
    result = averaged.module
    assert isinstance(result, Network)
    return result.eval()


def finished(network: Network, split: Split, rate: int) -> DrumsCNN:
    """The extractor around a network, with its features standardised on ``split``."""
    extractor = DrumsCNN(rate)
    extractor.network.load_state_dict(network.state_dict())
    features, _ = extract(extractor, split.x, CPU)
    extractor.mean.copy_(features.mean(dim=0))
    extractor.std.copy_(features.std(dim=0))
    return extractor


def judged(extractor: DrumsCNN, x: Tensor) -> tuple[Tensor, Tensor]:
    """(confidence[N], assigned class[N])."""
    _, logits = extract(extractor, x, CPU)
    assert logits is not None
    best = logits.softmax(dim=1).max(dim=1)
    return best.values, best.indices


def strangers(split: Split, seed: int = 0) -> dict[str, Tensor]:
    """Samples that are not drums, stored like ``split``. Spectral noise, silence and the output of an untrained
    generator were never trained on."""
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


def confusion(true: Tensor, assigned: Tensor) -> Tensor:
    """Counts ``[6, 6]``, row = true class."""
    return torch.bincount(CLASSES * true + assigned, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def measured(extractor: DrumsCNN, split: Split, held_out: Split, rate: int) -> dict[str, Any]:
    """The numbers published for one rate; sets the extractor's confusion counts."""
    assert held_out.labels is not None
    unheard = drums.drums(split.x.shape[-1], rate, UNHEARD_SEED)
    assert unheard.labels is not None
    confidence, assigned = judged(extractor, unheard.x)
    test_confidence, test_assigned = judged(extractor, held_out.x)
    gate = choose_gate(confidence)
    passed = torch.cat([confidence, test_confidence]) >= gate
    true = torch.cat([unheard.labels, held_out.labels])
    counts = confusion(true[passed], torch.cat([assigned, test_assigned])[passed])
    extractor.confusion_counts.copy_(counts)
    return {
        "weights": extractor.weights_hash,
        "gate": gate,
        "held_out_n": len(held_out),
        "held_out_accuracy": share(test_assigned == held_out.labels),
        "held_out_passed": share(test_confidence >= gate),
        "unheard_n": len(unheard),
        "unheard_accuracy": share(assigned == unheard.labels),
        "unheard_passed": share(confidence >= gate),
        "strangers_passed": {k: share(judged(extractor, x)[0] >= gate) for k, x in strangers(held_out).items()},
        "confusion": counts.tolist(),
    }


def main() -> None:
    """Train, measure, write."""
    torch.set_num_threads(1)
    recipe = Recipe()
    data = {rate: drums.ganbench_dataset(argument=argument, resolution=None) for rate, argument in ARGUMENT.items()}
    network = train({rate: of.train for rate, of in data.items()}, recipe)
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    report: dict[str, Any] = {}
    for rate, of in data.items():
        extractor = finished(network, of.train, rate)
        report[str(rate)] = measured(extractor, of.train, of.test, rate)
        state |= {f"{rate}.{name}": extractor.state_dict()[name] for name in OWN}
    text = json.dumps({**report, "recipe": asdict(recipe), "torch": torch.__version__}, indent=2)
    text = re.sub(r"\[\s+([\d,\s]+?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text)  # a row, a line
    save_file(state, "drums_cnn.safetensors")
    Path("drums_cnn.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
