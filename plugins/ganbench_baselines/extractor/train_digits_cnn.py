"""How the weights of `digits-cnn` were made: ``python -m ganbench_baselines.extractor.train_digits_cnn``.

Writes ``digits_cnn.safetensors`` and ``digits_cnn.json`` (what was measured) into the working directory, in
about ten minutes on one core. Training and all choices use training digits only; the test digits are used once, at
the end. Confusion and gate come from ten further networks, each trained without a tenth of the training digits.

Besides digits, the network sees blends of two (mixup, Zhang et al. 2018), to be divided between both classes, and
images that are not digits (outlier exposure, Hendrycks et al. 2019), to be spread over all classes. Without these, a
quarter of all blends would pass for digits of high quality.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, interpolate
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ganbench import Split, extract, quantise, to_signal
from ganbench_baselines.dataset import digits
from ganbench_baselines.extractor.digits_cnn import CLASSES, SIDE, DigitsCNN, Network

FOLDS = 10
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Recipe:
    """Settings of one training, the same for the shipped network and for the ten that judge it."""

    epochs: int = 120
    batch: int = 128  # digits; half as many blends and half as many outliers come on top
    peak_lr: float = 3e-3
    weight_decay: float = 1e-2
    blend_weight: float = 0.25
    outlier_weight: float = 0.5
    average: float = 0.99  # of the weights, exponentially
    rotate: float = 10.0  # degrees
    scale: float = 0.1
    shift: float = 0.8  # pixels
    noise: float = 0.1  # largest std


def augment(x: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Slightly turned, scaled, shifted and noisy digits ``x[B, 1, 16, 16]``."""
    angle, scale, dx, dy = torch.rand(4, len(x), generator=rng) * 2 - 1
    angle, scale = angle * math.radians(recipe.rotate), 1 + scale * recipe.scale
    dx, dy = (d * recipe.shift * 2 / SIDE for d in (dx, dy))
    top = torch.stack([scale * angle.cos(), -scale * angle.sin(), dx], dim=1)
    bottom = torch.stack([scale * angle.sin(), scale * angle.cos(), dy], dim=1)
    grid = affine_grid(torch.stack([top, bottom], dim=1), list(x.shape), align_corners=False)
    moved = grid_sample(x + 1, grid, align_corners=False) - 1  # beyond the edge: paper, not gray
    std = recipe.noise * torch.rand(len(x), 1, 1, 1, generator=rng)
    return (moved + std * torch.randn(x.shape, generator=rng)).clamp(-1, 1)


def outliers(real: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """``[n, 1, 16, 16]``, a quarter each: uniform noise, clouds, noisy gray, digits in shuffled tiles."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=rng) * 2 - 1

    k = n // 4
    coarse = int(torch.randint(2, 9, (), generator=rng))
    clouds = interpolate(uniform(k, 1, coarse, coarse), size=(SIDE, SIDE), mode="bilinear")
    clouds = uniform(k, 1, 1, 1) + (1 + uniform(k, 1, 1, 1)) * clouds
    gray = uniform(k, 1, 1, 1) + uniform(k, 1, 1, 1) * torch.randn(k, 1, SIDE, SIDE, generator=rng)
    some = to_signal(real[torch.randint(len(real), (k,), generator=rng)])
    tiles = some.unfold(2, 4, 4).unfold(3, 4, 4).reshape(k, 16, 4, 4)
    order = uniform(k, 16).argsort(dim=1)
    shuffled = tiles[torch.arange(k).unsqueeze(1), order].reshape(k, 4, 4, 4, 4).transpose(2, 3)
    return torch.cat([uniform(k, 1, SIDE, SIDE), clouds, gray, shuffled.reshape(k, 1, SIDE, SIDE)]).clamp(-1, 1)


def loss(network: Network, split: Split, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Cross-entropy on digits, on blends with both labels, and on outliers with all labels equally."""
    assert split.labels is not None
    index, half = torch.randint(len(split), (recipe.batch,), generator=rng), recipe.batch // 2
    x, y = augment(to_signal(split.x[index]), recipe, rng), split.labels[index]
    other = torch.randperm(len(x), generator=rng)[:half]
    lam = 0.3 + 0.4 * torch.rand(half, generator=rng)
    blend = lam.view(-1, 1, 1, 1) * x[:half] + (1 - lam).view(-1, 1, 1, 1) * x[other]
    logits = network(torch.cat([x, blend, outliers(split.x, half, rng)]))[1]
    on_digit, on_blend, on_outlier = logits.log_softmax(dim=1).split([len(x), half, half])
    one, two = (on_blend.gather(1, label.unsqueeze(1)).squeeze(1) for label in (y[:half], y[other]))
    return (
        -on_digit.gather(1, y.unsqueeze(1)).mean()
        - recipe.blend_weight * (lam * one + (1 - lam) * two).mean()
        - recipe.outlier_weight * on_outlier.mean()
    )


def train(split: Split, recipe: Recipe, seed: int) -> Network:
    """The averaged network after all epochs, in eval mode."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    network = Network()
    steps = recipe.epochs * (len(split) // recipe.batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.peak_lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.peak_lr, total_steps=steps, pct_start=0.2)
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average), use_buffers=True)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(network, split, recipe, rng).backward()
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
    result = averaged.module
    assert isinstance(result, Network)
    return result.eval()


def finished(network: Network, split: Split) -> DigitsCNN:
    """The extractor around a network, with its features standardised on ``split``."""
    extractor = DigitsCNN()
    extractor.network.load_state_dict(network.state_dict())
    features, _ = extract(extractor, split.x, CPU)
    extractor.mean.copy_(features.mean(dim=0))
    extractor.std.copy_(features.std(dim=0))
    return extractor


def judged(extractor: DigitsCNN, x: Tensor) -> tuple[Tensor, Tensor]:
    """(confidence[N], assigned class[N])."""
    _, logits = extract(extractor, x, CPU)
    assert logits is not None
    best = logits.softmax(dim=1).max(dim=1)
    return best.values, best.indices


def out_of_fold(split: Split, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """:func:`judged` for every training digit, by a network that was trained without it."""
    everyone = torch.arange(len(split))
    folds = [everyone[k::FOLDS] for k in range(FOLDS)]  # the split is already shuffled
    answers = []
    for k, fold in enumerate(folds):
        rest = split[everyone[everyone % FOLDS != k]]
        answers.append(judged(finished(train(rest, recipe, seed=1 + k), rest), split.x[fold]))
        print(f"fold {k + 1} of {FOLDS}", flush=True)
    back = torch.cat(folds).argsort()
    confidence, assigned = (torch.cat(part)[back] for part in zip(*answers, strict=True))
    return confidence, assigned


def strangers(split: Split, seed: int = 0) -> dict[str, Tensor]:
    """Samples that are not digits, stored like ``split``. Only noise, blends and blanks were also trained on."""
    rng = torch.Generator().manual_seed(seed)
    assert split.labels is not None
    x, n = to_signal(split.x), len(split)
    other = torch.randperm(n, generator=rng)
    unlike = split.labels != split.labels[other]
    flat = x.flatten(1).double()
    eigen = torch.linalg.eigh(flat.T.cov())
    normal = torch.randn(n, SIDE**2, generator=rng, dtype=torch.float64) * eigen.eigenvalues.clamp(min=0).sqrt()
    torch.manual_seed(seed)
    untrained = nn.Sequential(
        nn.Linear(64, 64 * 16),
        nn.Unflatten(1, (64, 4, 4)),
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


def choose_gate(confidence: Tensor) -> float:
    """The strictest of a few round numbers that 97.5 % of the training digits pass, out of fold.

    Three stacked digits then still pass together nine times in ten.
    """
    return max(gate for gate in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95) if (confidence >= gate).double().mean() >= 0.975)


def confusion(true: Tensor, assigned: Tensor) -> Tensor:
    """Counts ``[10, 10]``, row = true class."""
    return torch.bincount(CLASSES * true + assigned, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def share(condition: Tensor) -> float:
    """Share of true entries, to four digits."""
    return round(condition.double().mean().item(), 4)


def measured(extractor: DigitsCNN, real: Split, held_out: Split, recipe: Recipe) -> dict[str, Any]:
    """The numbers published with the weights; sets the extractor's confusion counts."""
    assert real.labels is not None
    assert held_out.labels is not None
    confidence, assigned = out_of_fold(real, recipe)
    test_confidence, test_assigned = judged(extractor, held_out.x)
    gate = choose_gate(confidence)
    passed = torch.cat([confidence, test_confidence]) >= gate
    counts = confusion(torch.cat([real.labels, held_out.labels])[passed], torch.cat([assigned, test_assigned])[passed])
    extractor.confusion_counts.copy_(counts)
    return {
        "weights": extractor.weights_hash,
        "gate": gate,
        "held_out_n": len(held_out),
        "held_out_accuracy": share(test_assigned == held_out.labels),
        "held_out_passed": share(test_confidence >= gate),
        "out_of_fold_n": len(real),
        "out_of_fold_accuracy": share(assigned == real.labels),
        "out_of_fold_passed": share(confidence >= gate),
        "strangers_passed": {k: share(judged(extractor, x)[0] >= gate) for k, x in strangers(held_out).items()},
        "confusion": counts.tolist(),
        "recipe": asdict(recipe),
        "torch": torch.__version__,
    }


def main() -> None:
    """Train, measure, write."""
    torch.set_num_threads(1)
    recipe = Recipe()
    real, held_out = digits.load(SIDE)
    extractor = finished(train(real, recipe, seed=0), real)
    report = json.dumps(measured(extractor, real, held_out, recipe), indent=2)
    report = re.sub(r"\[\s+([\d,\s]+?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", report)  # a row, a line
    save_file(extractor.state_dict(), "digits_cnn.safetensors")
    Path("digits_cnn.json").write_text(report + "\n")
    print(report)


if __name__ == "__main__":
    main()
