"""Classification accuracy score (CAS): train a classifier on fakes, test it on real data (Ravuri and Vinyals 2019).

The columns are accuracies on the dataset's test part, which no GAN was trained on:

    cas         accuracy on test data of a classifier trained on the fakes, with the requested labels
    cas_real    accuracy on test data of a classifier trained on as many real training samples
    cas_both    accuracy on test data of a classifier trained on both together
    cas_gain    cas_both - cas_real, which shows whether the fakes add anything

All classifiers see the same number of batches. The paper trains a ResNet-50 on ImageNet. Here the classifier is a small
network, so scores are comparable only within one dataset. If the fakes are the test part itself (the yardstick "real
data" of a protocol whose reference is the training part), the classifier is trained on the test data.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ganbench import (
    Dataset,
    Evaluation,
    Goal,
    Memo,
    Metric,
    Results,
    Split,
    Unsupported,
    hookimpl,
    preserved_rng,
    to_signal,
)
from ganbench_baselines.metric.guessing import doubts_of_guessing

EPOCHS, BATCH, RATE, WIDTH, SMALLEST = 16, 64, 5e-3, 16, 8
TRAININGS = 3  # averaged, because all rows share one cas_real, whose noise enters every cas_gain
KNOWN = Memo()
"""Results that depend on the real data alone, computed once per process."""


class CAS:
    """CAS on the samples themselves; the protocol's extractor is not used."""

    columns: Mapping[str, Goal] = {"cas": "max", "cas_real": "info", "cas_both": "info", "cas_gain": "info"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {
        "cas": (0, 1),
        "cas_real": (0, 1),
        "cas_both": (0, 1),
        "cas_gain": (-1, 1),
    }
    needs = ("labels",)

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """The accuracies on the real test part, and the difference of two of them."""
        dataset = _labelled(evaluation.dataset)
        if evaluation.fake_labels is None:
            raise Unsupported("needs the labels of the fakes")
        fake = Split(evaluation.fake, evaluation.fake_labels)
        real = some_of(dataset.train, len(fake))
        learn = partial(accuracy, dataset=dataset, updates=EPOCHS * -(-len(fake) // BATCH), device=evaluation.device)

        def of_real() -> Results:
            rng = torch.Generator().manual_seed(0)  # fixed, because only the number of fakes matters here
            return {"accuracy": torch.tensor([learn(real, rng=rng) for _ in range(TRAININGS)], dtype=torch.float64)}

        known = KNOWN.once(dataset.fingerprint, f"{len(fake)} samples on {evaluation.device}", of_real)
        cas_real = known["accuracy"].mean().item()
        assert dataset.test.labels is not None
        evaluation.doubts += doubts_of_guessing(cas_real, dataset.test.labels, "a classifier trained on real samples")
        cas = learn(fake, rng=evaluation.rng)
        cas_both = learn(_joined(real, fake), rng=evaluation.rng)
        return {"cas": cas, "cas_real": cas_real, "cas_both": cas_both, "cas_gain": cas_both - cas_real}


def _labelled(dataset: Dataset | None) -> Dataset:
    if dataset is None or dataset.train.labels is None or dataset.test.labels is None:
        raise Unsupported("needs labelled training and test data")
    if len(dataset.spec.shape) != 3 or min(dataset.spec.shape[1:]) < SMALLEST:
        raise Unsupported(f"needs images of at least {SMALLEST}x{SMALLEST} pixels, not {dataset.spec}")
    return dataset


def some_of(split: Split, n: int) -> Split:
    """``n`` of the samples, always the same ones; all if there are no more than ``n``."""
    return split[torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:n]]


def _joined(one: Split, other: Split) -> Split:
    assert one.labels is not None
    assert other.labels is not None
    return Split(torch.cat([one.x, other.x]), torch.cat([one.labels, other.labels]))


def accuracy(split: Split, dataset: Dataset, updates: int, device: torch.device, rng: torch.Generator) -> float:
    """The test accuracy of a classifier after ``updates`` batches of ``split``."""
    network = trained(split, dataset.spec.shape, dataset.spec.classes, updates, device, rng).eval()
    test = dataset.test
    assert test.labels is not None
    with torch.inference_mode():
        said = torch.cat([network(to_signal(x.to(device))).argmax(dim=1).cpu() for x in test.x.split(500)])
    return (said == test.labels).double().mean().item()


def trained(
    split: Split, shape: tuple[int, ...], classes: int, updates: int, device: torch.device, rng: torch.Generator
) -> nn.Module:
    """A classifier after ``updates`` batches, drawn with replacement; Adam, with a linear decay to 0."""
    assert split.labels is not None
    with preserved_rng(device):
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=rng)))
        network = classifier(shape, classes).to(device)
    order = torch.randint(len(split), (updates, BATCH), generator=rng)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
    x, labels = split.x.to(device), split.labels.to(device)
    for update, index in enumerate(order.to(device)):
        optimizer.param_groups[0]["lr"] = RATE * (1 - update / updates)
        loss = cross_entropy(network(to_signal(x[index])), labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


def classifier(shape: tuple[int, ...], classes: int) -> nn.Module:
    """``x[B, C, H, W] -> logits[B, K]``: 3x3 convolutions of stride 2 down to 4 to 7 pixels, then one linear layer."""
    before, height, breadth = shape
    layers: list[nn.Module] = []
    after = WIDTH
    while min(height, breadth) >= SMALLEST:
        layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        before, after, height, breadth = after, 2 * after, -(-height // 2), -(-breadth // 2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * height * breadth, classes))


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return CAS()
