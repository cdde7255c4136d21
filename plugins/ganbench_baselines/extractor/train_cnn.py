"""Code shared by the scripts that train the classifiers of this package.

No plugin imports this module, so no result depends on it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ganbench import Extractor, Split, extract
from ganbench_baselines.extractor.shipped import Shipped

CPU = torch.device("cpu")
GATES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
N = TypeVar("N", bound=nn.Module)
S = TypeVar("S", bound=Shipped)


@dataclass(frozen=True)
class Optimisation:
    """Settings of the optimiser, AdamW under a one-cycle schedule."""

    peak_lr: float = 3e-3
    weight_decay: float = 1e-2
    average: float = 0.99  # decay of the exponential moving average of the weights


@dataclass(frozen=True)
class Mixing(Optimisation):
    """Settings of the optimiser, and the weights of blends and outliers in the loss, relative to samples."""

    blend_weight: float = 0.25
    outlier_weight: float = 0.5


# -- training ----------------------------------------------------------------------------------------------------------


class Mixture(NamedTuple):
    """A batch: ``B`` samples with labels ``y``, then ``H`` blends of two of them, then outliers.

    Blends have the labels ``y`` and ``other``, with shares ``lam`` and ``1 - lam``.
    """

    x: Tensor
    y: Tensor
    lam: Tensor
    other: Tensor


def mixture(x: Tensor, y: Tensor, outliers: Callable[[int], Tensor], rng: torch.Generator) -> Mixture:
    """Add half as many blends (mixup) to the samples, and as many ``outliers`` (outlier exposure)."""
    half = len(x) // 2
    other = torch.randperm(len(x), generator=rng)[:half]
    lam = 0.3 + 0.4 * torch.rand(half, generator=rng)
    part = lam.view(-1, *[1] * (x.dim() - 1))
    blend = part * x[:half] + (1 - part) * x[other]
    return Mixture(torch.cat([x, blend, outliers(half)]), y, lam, y[other])


def mixture_loss(logits: Tensor, given: Mixture, recipe: Mixing) -> Tensor:
    """Cross-entropy on samples, on blends with both labels, and on outliers with uniform labels."""
    samples, half = len(given.y), len(given.lam)
    on_sample, on_blend, on_outlier = logits.log_softmax(dim=1).tensor_split([samples, samples + half])
    one, two = (on_blend.gather(1, y.unsqueeze(1)).squeeze(1) for y in (given.y[:half], given.other))
    return (
        -on_sample.gather(1, given.y.unsqueeze(1)).mean()
        - recipe.blend_weight * (given.lam * one + (1 - given.lam) * two).mean()
        - recipe.outlier_weight * on_outlier.mean()
    )


def trained(
    build: Callable[[], N],
    loss: Callable[[N, torch.Generator], Tensor],
    steps: int,
    recipe: Optimisation,
    seed: int,
) -> N:
    """Train a network, and return its averaged weights in eval mode.

    Args:
        build: makes the network; its weights are drawn from torch's default generator.
        loss: what the network minimises, on a batch drawn with the given generator.
        steps: updates of the network.
        recipe: settings of the optimiser.
        seed: seed of the weights and of the batches.
    """
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    network = build()
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.peak_lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.peak_lr, total_steps=steps, pct_start=0.2)
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average), use_buffers=True)
    for step in range(steps):
        optimiser.zero_grad()
        value = loss(network, rng)
        value.backward()
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
        if step % 250 == 0:
            print(f"step {step} of {steps}: {value.item():.3f}", flush=True)
    result = averaged.module
    assert isinstance(result, type(network))
    return result.eval()


def standardised(extractor: S, network: nn.Module, real: Tensor) -> S:
    """Put a network into its extractor, and standardise the features on the samples ``real``."""
    extractor.network.load_state_dict(network.state_dict())
    features, _ = extract(extractor, real, CPU)
    extractor.mean.copy_(features.mean(dim=0))
    extractor.std.copy_(features.std(dim=0))
    return extractor


# -- measuring ---------------------------------------------------------------------------------------------------------


class Answers(NamedTuple):
    """The ``true`` classes of samples, the ``assigned`` ones, and the classifier's ``confidence``, each ``[N]``."""

    true: Tensor
    confidence: Tensor
    assigned: Tensor

    def scores(self, name: str, gate: float) -> dict[str, float]:
        """The number of samples, and the shares that are correct and that pass the gate, as published."""
        return {
            f"{name}_n": len(self.true),
            f"{name}_accuracy": share(self.assigned == self.true),
            f"{name}_passed": share(self.confidence >= gate),
        }


def judged(extractor: Extractor, x: Tensor) -> tuple[Tensor, Tensor]:
    """(confidence[N], assigned class[N])."""
    _, logits = extract(extractor, x, CPU)
    assert logits is not None
    best = logits.softmax(dim=1).max(dim=1)
    return best.values, best.indices


def answers(extractor: Extractor, split: Split) -> Answers:
    """The answers of an extractor's classifier for labelled samples."""
    assert split.labels is not None
    return Answers(split.labels, *judged(extractor, split.x))


def choose_gate(confidence: Tensor) -> float:
    """The strictest of a few round thresholds that 97.5 % of the samples pass."""
    return max(gate for gate in GATES if (confidence >= gate).double().mean() >= 0.975)


def confusion(classes: int, gate: float, *given: Answers) -> Tensor:
    """Counts ``[K, K]`` of the answers that pass the gate, row = true class."""
    true, confidence, assigned = (torch.cat(part) for part in zip(*given, strict=True))
    passed = confidence >= gate
    return torch.bincount(classes * true[passed] + assigned[passed], minlength=classes**2).reshape(classes, classes)


def share(condition: Tensor) -> float:
    """The share of true entries, to four digits."""
    return round(condition.double().mean().item(), 4)


def shares_passed(extractor: Extractor, kinds: Mapping[str, Tensor], gate: float) -> dict[str, float]:
    """The share of each kind of samples that passes the gate."""
    return {name: share(judged(extractor, x)[0] >= gate) for name, x in kinds.items()}


def measured(extractor: Shipped, gate: float, kinds: Mapping[str, Tensor], **given: Answers) -> dict[str, Any]:
    """The measurements published with the weights; also sets the extractor's confusion counts.

    Args:
        extractor: an extractor with a trained network.
        gate: the lowest confidence that passes.
        kinds: samples that are not real, by name.
        **given: answers for samples that the network was not trained on, by their published name.
    """
    extractor.confusion_counts.copy_(confusion(len(extractor.confusion_counts), gate, *given.values()))
    scores = {key: value for name, said in given.items() for key, value in said.scores(name, gate).items()}
    return {
        "weights": extractor.weights_hash,
        "gate": gate,
        **scores,
        "strangers_passed": shares_passed(extractor, kinds, gate),
        "confusion": extractor.confusion_counts.tolist(),
    }


def write(name: str, state: Mapping[str, Tensor], report: Mapping[str, Any], recipe: Optimisation) -> None:
    """Write ``NAME.safetensors`` and ``NAME.json`` into the working directory, and print the report."""
    text = json.dumps({**report, "recipe": asdict(recipe), "torch": torch.__version__}, indent=2)
    text = re.sub(r"\[\s+([\d,\s]+?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text)  # one line per row
    save_file(dict(state), f"{name}.safetensors")
    Path(f"{name}.json").write_text(text + "\n")
    print(text)
