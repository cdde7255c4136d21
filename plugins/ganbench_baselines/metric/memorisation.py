"""Memorisation: whether samples are new or copies of training samples (Alaa et al. 2022; Stein et al. 2023).

Distances are Euclidean, in the protocol's features, to the samples of the training split:

    auth_pct           percent of fakes that are farther from their nearest training sample than its nearest other one
    nn_ratio           median distance of fakes to the nearest training sample, relative to that of held-out samples
    near_duplicates    share of fakes that are as close to a single training sample as at most 1 in 1,000 held-out ones

None of them has a direction: noise is as authentic as can be, and so are good samples. Compare them with those of the
yardstick "real data". ``auth_pct`` and ``nn_ratio`` also fall if fakes crowd where training samples are dense. For
``near_duplicates``, a fake counts as close to a single sample if its distance to the nearest training sample, divided
by that to the fifth nearest, is no more than a threshold. Wherever the density of the data hardly changes between these
neighbours, the distribution of this ratio does not depend on the density (Loftsgaarden and Quesenberry 1965), so
samples of few modes, or of the middle of a mode, do not count. An exact copy has a ratio of 0.

The threshold is the k-th smallest ratio of H held-out samples, with k = (H + 1) / 1000 rounded down, but at least 1. So
a new sample of the data falls below it with probability k / (H + 1), and the number of n such samples that do is
beta-binomial. A warning appears if so many fakes do that this has a probability below 1 in 1,000. Copies of up to
50,000 training samples are found, and of 50,000 chosen at random if there are more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ganbench import Absent, Dataset, Evaluation, Goal, Metric, Results, Unsupported, hookimpl
from ganbench_baselines.metric.neighbours import ROUNDING, Samples, radii, tiles
from ganbench_baselines.metric.splits import MOST, chosen, dataset_of, features_at

NEIGHBOURS = 5
RATE = 1e-3  # of held-out samples that count as near duplicates
FEWEST = 99  # held-out samples; with fewer, more than 1 % of them would count
HELD = 10_000  # held-out samples that are enough: ten of them set the threshold
ALARM = 1e-3  # probability of a warning for new samples of the data


class Memorisation:
    """Shares of authentic and of copied fakes in the protocol's features."""

    columns: Mapping[str, Goal] = {"auth_pct": "info", "nn_ratio": "info", "near_duplicates": "info"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {
        "auth_pct": (0, 100),
        "nn_ratio": (0, None),
        "near_duplicates": (0, 1),
    }

    def __call__(self, evaluation: Evaluation) -> dict[str, float | Absent]:
        """Every column; ``near_duplicates`` needs 99 held-out samples, and ``nn_ratio`` needs some that are new.

        Raises:
            Unsupported: there is no dataset or extractor, no held-out sample, or no more than five training samples.
        """
        dataset = dataset_of(evaluation)
        known = evaluation.of_reals(f"splits of {dataset.fingerprint}", lambda: _of_splits(evaluation, dataset))
        train = samples(known["train"], known["train"].mean(dim=0))
        found = [closeness(samples(block, train.centre), train) for block in evaluation.blocks("fake")]
        nearest, place, ratio = map(torch.cat, zip(*found, strict=True))
        usual = known["held_out"].median().sqrt().item()
        evaluation.doubts += _doubts_of_size(dataset)
        return {
            "auth_pct": 100 * (nearest > known["apart"][place]).double().mean().item(),
            "nn_ratio": nearest.median().sqrt().item() / usual if usual else Absent("held-out samples are copies, too"),
            "near_duplicates": _near_duplicates(evaluation, ratio, known["ratio"]),
        }


class Closeness(NamedTuple):
    """Squared distance to the nearest training sample, its index, and the squared ratio of distances, ``[N]`` each."""

    nearest: Tensor
    place: Tensor
    ratio: Tensor


def _of_splits(evaluation: Evaluation, dataset: Dataset) -> Results:
    """What does not depend on the fakes.

    ``train[N, d]`` are the features of training samples, ``apart[N]`` their squared distances to the nearest other, and
    ``held_out[H]`` and ``ratio[H]`` the closeness of held-out samples.
    """
    learned, held = dataset.train.x, dataset.test.x
    if len(learned) <= NEIGHBOURS or len(held) == 0:
        raise Unsupported(f"needs {NEIGHBOURS + 1} training samples and one held out")
    x = torch.cat([*features_at(evaluation, learned, chosen(learned, MOST))])
    train = samples(x, x.mean(dim=0))
    blocks = features_at(evaluation, held, chosen(held, HELD))
    found = [closeness(samples(block, train.centre), train) for block in blocks]
    nearest, _, ratio = map(torch.cat, zip(*found, strict=True))
    apart = radii(train, [1])[:, 0]
    apart = torch.where(apart <= train.rounding(apart), 0.0, apart)
    return {"train": x, "apart": apart, "held_out": nearest, "ratio": ratio.sort().values}


def samples(x: Tensor, centre: Tensor) -> Samples:
    """``x[N, d]`` relative to ``centre[d]``; a few hundred at a time, because a copy would double the memory."""
    return Samples(x, centre, torch.cat([(part - centre).square().sum(dim=1) for part in x.split(500)]))


def closeness(x: Samples, train: Samples) -> Closeness:
    """How close each sample is to its nearest training samples; a distance within rounding errors counts as 0."""
    near, place = x.x.new_full((len(x), NEIGHBOURS), torch.inf), torch.zeros(len(x), NEIGHBOURS, dtype=torch.int64)
    for rows, columns, d2 in tiles(x, train):
        few = d2.topk(min(NEIGHBOURS, d2.shape[1]), dim=1, largest=False)
        both = torch.cat([near[rows], few.values], dim=1)
        near[rows], best = both.topk(NEIGHBOURS, dim=1, largest=False)
        place[rows] = torch.cat([place[rows], few.indices + columns.start], dim=1).gather(1, best)
    slack = ROUNDING * (x.square[:, None] + train.square[place])
    near = torch.where(near <= slack, 0.0, near)
    first, last = near[:, 0], near[:, -1]
    return Closeness(first, place[:, 0], torch.where(first > 0, first / last, 0.0))


def _near_duplicates(evaluation: Evaluation, ratio: Tensor, held_out: Tensor) -> float | Absent:
    """The share of fakes with a ratio as small as hardly any held-out sample; ``held_out[H]`` is ascending."""
    from scipy.stats import betabinom  # takes a second to import

    n, held = len(ratio), len(held_out)
    if held < FEWEST:
        return Absent(f"{held} held-out samples are too few to tell what is unusually close: needs {FEWEST}")
    threshold = held_out[max(1, int(RATE * (held + 1))) - 1]
    below = int((held_out <= threshold).sum())  # more than k if held-out samples are copies, too
    copies = int((ratio <= threshold).sum())
    if betabinom.sf(copies - 1, n, below, held + 1 - below) < ALARM:
        evaluation.doubts.append(
            f"{copies} of {n} samples are near copies of training samples; of as many new samples of the data, about "
            f"{n * below / (held + 1):.2g} would be"
        )
    return copies / n


def _doubts_of_size(dataset: Dataset) -> list[str]:
    n = len(dataset.train)
    return [f"samples were compared with {MOST} of {n} training samples, so copies of others are missed"] * (n > MOST)


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return Memorisation()
