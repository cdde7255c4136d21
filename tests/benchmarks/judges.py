"""How clearly two judges see faults that are planted into real images: `own` and raw pixels, on small sets.

    python tests/benchmarks/judges.py [--sets 4] [--draws 20]

Prints the table of docs/own-data.md. A set is 300 images, as a user has them: 240 train the judge, and half of all are
the reference. As many others, which are clean, or have one fault, are scored against it by the Fréchet distance. The
separation is (score with the fault - mean of clean scores) / standard deviation of clean scores, as a mean over sets.
Above 3, the fault is seen in nearly every evaluation; around 0, it is not seen; below 0, the judge prefers it.

The images ship with scikit-learn: digits, in ten classes, and patches of two photographs, which are the classes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean, stdev
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from ganbench import Dataset, DataSpec, Extractor, Split, extract
from ganbench_baselines.dataset import digits
from ganbench_baselines.extractor import own, raw
from ganbench_baselines.metric.frechet import distance, moments

CPU = torch.device("cpu")
SET, FAULTY = 300, 4  # images of a set, and draws of each fault


class Images(NamedTuple):
    """``x[N, C, H, W]`` in uint8, and their classes ``[N]``."""

    name: str
    x: Tensor
    labels: Tensor


def of_digits() -> Images:
    """1,797 digits at 16x16."""
    everything = digits.ganbench_dataset(resolution=16).part("all")
    assert everything.labels is not None
    return Images("digits, 16x16", everything.x, everything.labels)


def of_photographs(side: int = 32, stride: int = 12) -> Images:
    """Patches of two photographs, which overlap in part."""
    from sklearn.datasets import load_sample_images

    parts = []
    for photograph in load_sample_images().images:
        x = torch.from_numpy(photograph.copy()).permute(2, 0, 1).float()
        x = interpolate(x.unsqueeze(0), scale_factor=0.75, mode="bilinear", antialias=True)[0]
        patches = x.unfold(1, side, stride).unfold(2, side, stride).flatten(1, 2).transpose(0, 1)
        parts.append(patches.round().clamp(0, 255).to(torch.uint8))
    labels = torch.arange(len(parts)).repeat_interleave(torch.tensor([len(part) for part in parts]))
    return Images("photographs, 32x32", torch.cat(parts), labels)


# -- faults ------------------------------------------------------------------------------------------------------------


def blurred(x: Tensor, width: float, rng: torch.Generator) -> Tensor:
    """By a Gaussian of so many pixels."""
    kernel = torch.exp(-(torch.arange(-3.0, 4.0) ** 2) / (2 * width**2))
    kernel = (kernel / kernel.sum()).repeat(x.shape[1], 1, 1, 1)
    across = conv2d(pad(x.float(), (3, 3, 3, 3), mode="reflect"), kernel, groups=x.shape[1])
    return stored(conv2d(across, kernel.transpose(2, 3), groups=x.shape[1]))


def noisy(x: Tensor, spread: float, rng: torch.Generator) -> Tensor:
    """With Gaussian noise of so many of 255 levels."""
    return stored(x.float() + spread * torch.randn(x.shape, generator=rng))


def shifted(x: Tensor, levels: float, rng: torch.Generator) -> Tensor:
    """Redder and less blue by so many levels; gray images are brighter."""
    return stored(x.float() + levels * torch.tensor([1.0, 0.0, -1.0])[: x.shape[1]].view(1, -1, 1, 1))


def repeated(x: Tensor, times: float, rng: torch.Generator) -> Tensor:
    """The first of them, each so many times."""
    return x[torch.arange(len(x)) % max(1, int(len(x) / times))]


def stored(x: Tensor) -> Tensor:
    """As bytes."""
    return x.round().clamp(0, 255).to(torch.uint8)


Fault = Callable[[Tensor, torch.Generator], Tensor]
FAULTS: Mapping[str, Fault] = {
    **{f"blur, {w} pixels": partial(lambda w, x, rng: blurred(x, w, rng), w) for w in (0.4, 0.6, 0.8)},
    **{f"noise, {s} levels": partial(lambda s, x, rng: noisy(x, s, rng), s) for s in (4, 8, 16)},
    **{f"colour or brightness, {v} levels": partial(lambda v, x, rng: shifted(x, v, rng), v) for v in (4, 8, 16)},
    **{f"each image {t} times": partial(lambda t, x, rng: repeated(x, t, rng), t) for t in (2, 3, 10)},
}
MISSING = "one class missing"


# -- measuring ---------------------------------------------------------------------------------------------------------


def fitted(images: Images, train: Tensor, labelled: bool) -> Extractor:
    """`own`, trained on the images with these indices."""
    labels = images.labels[train] if labelled else None
    split = Split(images.x[train], labels)
    judge = own.Own()
    classes = int(images.labels.max()) + 1 if labelled else 0
    judge.fit(Dataset(images.name, DataSpec(tuple(images.x.shape[1:]), classes), train=split, test=split))
    return judge


def separations(
    images: Images, judge: Extractor, mine: Tensor, others: Tensor, draws: int, seed: int
) -> dict[str, float]:
    """Fault -> separation, for one set with the indices ``mine``; clean and faulty images are among ``others``."""
    rng = torch.Generator().manual_seed(seed)
    half = len(mine) // 2
    reference = _moments(judge, images.x[mine[torch.randperm(len(mine), generator=rng)[:half]]])
    clean, faulty = list[float](), {name: list[float]() for name in (*FAULTS, MISSING)}
    for draw in range(draws):
        order = others[torch.randperm(len(others), generator=rng)]
        x = images.x[order[:half]]
        clean.append(distance(reference, _moments(judge, x)))
        if draw < FAULTY:
            for name, spoil in FAULTS.items():
                faulty[name].append(distance(reference, _moments(judge, spoil(x, rng))))
            left = order[images.labels[order] != images.labels[order[0]]][:half]
            faulty[MISSING].append(distance(reference, _moments(judge, images.x[left])))
    return {name: (fmean(scores) - fmean(clean)) / stdev(clean) for name, scores in faulty.items()}


def _moments(judge: Extractor, x: Tensor) -> Mapping[str, Tensor]:
    return moments([extract(judge, x, CPU)[0]])


def compared(images: Images, sets: int, draws: int) -> dict[str, dict[str, float]]:
    """Judge -> fault -> mean separation over sets."""
    found: dict[str, list[dict[str, float]]] = {"raw pixels": [], "own": [], "own, with classes": []}
    for seed in range(sets):
        order = torch.randperm(len(images.x), generator=torch.Generator().manual_seed(seed))
        mine, others = order[:SET], order[SET:]
        train = mine[: SET * 4 // 5]
        judges = [raw.Raw(), fitted(images, train, False), fitted(images, train, True)]
        for name, judge in zip(found, judges, strict=True):
            found[name].append(separations(images, judge, mine, others, draws, seed))
    return {
        name: {fault: fmean(one[fault] for one in several) for fault in several[0]} for name, several in found.items()
    }


def table(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Images -> judge -> fault -> separation, as Markdown."""
    columns = [(images, judge) for images, judges in results.items() for judge in judges]
    lines = ["| fault | " + " | ".join(f"{images}: {judge}" for images, judge in columns) + " |"]
    lines.append("| --- |" + " ---: |" * len(columns))
    for fault in (*FAULTS, MISSING):
        cells = [f"{results[images][judge][fault]:.1f}" for images, judge in columns]
        lines.append(f"| {fault} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=4)
    parser.add_argument("--draws", type=int, default=20)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(table({images.name: compared(images, asked.sets, asked.draws) for images in (of_digits(), of_photographs())}))


if __name__ == "__main__":
    main()
