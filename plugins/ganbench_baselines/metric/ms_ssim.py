"""Variety of fakes by the multi-scale structural similarity of pairs (Wang et al. 2003; Odena et al. 2017).

    ms_ssim         mean similarity of 1,000 random pairs of fakes, within classes if there are labels; 1 if equal
    ms_ssim_real    the same for pairs of real samples

Fakes that are more alike than real samples are less varied, so ``ms_ssim`` above ``ms_ssim_real`` shows mode collapse.
Below it, fakes may be varied or just noisy, so the score has no direction. Pairs are drawn from all classes equally
often. Without labels of both reals and fakes, they are drawn from all samples.

Contrast and structure are compared at every scale, and luminance at the coarsest one, in Gaussian windows of 11 pixels
with σ = 1.5. From one scale to the next, images shrink to half by averages of 2 x 2 pixels. The paper has 5 scales,
which need images of 176 pixels. Smaller ones get as many as the window fits into, with the first weights of the paper,
scaled to a sum of 1: one scale below 22 pixels, 2 below 44, 3 below 88, and 4 below 176. Below 11 pixels, the window
shrinks to the largest odd size that fits, and σ with it. Negative similarities count as 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from ganbench import Evaluation, Goal, Metric, Unsupported, hookimpl, to_signal

PAIRS = 1000
AT_ONCE = 1 << 21  # pixels compared together
WINDOW, SIGMA = 11, 1.5
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first
RANGE = 2.0  # of a signal in [-1, 1]
STABLE = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2


class MSSSIM:
    """MS-SSIM of pairs of images, on the samples themselves."""

    columns: Mapping[str, Goal] = {"ms_ssim": "info", "ms_ssim_real": "info"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"ms_ssim": (0, 1), "ms_ssim_real": (0, 1)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"ms_ssim": mean over pairs of fakes, "ms_ssim_real": mean over pairs of real samples}.

        Raises:
            Unsupported: samples are no images, or no class has two of them.
        """
        if len(evaluation.spec.shape) != 3 or not evaluation.spec.bounded:
            raise Unsupported(f"needs images, not {evaluation.spec}", "leave ms-ssim out")
        labels = evaluation.real_labels, evaluation.fake_labels
        of_real, of_fake = (None, None) if None in labels else labels
        return {
            "ms_ssim": mean_similarity(evaluation.fake, pairs(len(evaluation.fake), of_fake, evaluation.rng)),
            "ms_ssim_real": mean_similarity(evaluation.real, pairs(len(evaluation.real), of_real, evaluation.rng)),
        }


def pairs(n: int, labels: Tensor | None, rng: torch.Generator) -> Tensor:
    """The indices of ``PAIRS`` random pairs of different samples of one class, ``[PAIRS, 2]``.

    Args:
        n: the number of samples.
        labels: ``[n]``, or None.
        rng: the source of the pairs.

    Raises:
        Unsupported: no class has two samples.
    """
    labels = torch.zeros(n, dtype=torch.int64) if labels is None else labels
    size = torch.bincount(labels)
    usable = (size > 1).nonzero().flatten()
    if len(usable) == 0:
        raise Unsupported("needs two samples of a class")
    size, start = size[usable], (size.cumsum(0) - size)[usable]
    kind = torch.arange(PAIRS) % len(usable)
    kind = torch.randperm(len(usable), generator=rng)[kind]  # so that no class is favoured if PAIRS is no multiple
    one = (torch.rand(PAIRS, generator=rng, dtype=torch.float64) * size[kind]).long()
    step = 1 + (torch.rand(PAIRS, generator=rng, dtype=torch.float64) * (size[kind] - 1)).long()
    places = torch.stack([one, (one + step) % size[kind]], dim=1)
    return labels.argsort(stable=True)[start[kind][:, None] + places]


def mean_similarity(x: Tensor, index: Tensor) -> float:
    """The mean MS-SSIM of the pairs ``index[P, 2]`` of images ``x[N, C, H, W]``."""
    several = max(1, AT_ONCE // x[0].numel())
    found = [similarity(to_signal(x[part[:, 0]]), to_signal(x[part[:, 1]])) for part in index.split(several)]
    return min(torch.cat(found).double().mean().item(), 1.0)  # equal images may round to above 1


def similarity(one: Tensor, other: Tensor) -> Tensor:
    """The MS-SSIM of each pair of images ``[B, C, H, W]`` in [-1, 1]: ``[B]``, from 0 to 1."""
    one, other = one.double() + 1, other.double() + 1  # luminance compares brightness, from 0 for black
    window = gaussian(min(one.shape[2:]))
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)[: scales(min(one.shape[2:]))]
    found = one.new_ones(one.shape[:2])
    for scale, weight in enumerate(weights / weights.sum()):
        luminance, structure = compared(one, other, window)
        at_last = scale == len(weights) - 1
        value = (luminance * structure if at_last else structure).mean(dim=(2, 3))
        found = found * value.clamp(min=0) ** weight
        if not at_last:
            one, other = avg_pool2d(one, 2), avg_pool2d(other, 2)
    return found.mean(dim=1)


def scales(side: int) -> int:
    """The number of scales at which the window fits into an image with this shorter side; 1 if at none."""
    return max(1, sum(side >> scale >= WINDOW for scale in range(len(WEIGHTS))))


def gaussian(side: int) -> Tensor:
    """The weights of the window along one axis, summing to 1, for images with this shorter side."""
    size = min(WINDOW, side - 1 + side % 2)
    place = torch.arange(size, dtype=torch.float64) - size // 2
    weights = (-place.square() / (2 * (SIGMA * size / WINDOW) ** 2)).exp()
    return weights / weights.sum()


def compared(one: Tensor, other: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast times structure, of two images ``[B, C, H, W]`` at every place of the window."""

    def smooth(x: Tensor) -> Tensor:
        flat = x.flatten(0, 1)[:, None]
        rows = conv2d(conv2d(flat, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))
        return rows.view(*x.shape[:2], *rows.shape[2:])

    a, b = smooth(one), smooth(other)
    variances = smooth(one.square()) - a.square() + smooth(other.square()) - b.square()
    covariance = smooth(one * other) - a * b
    luminance = (2 * a * b + STABLE[0]) / (a.square() + b.square() + STABLE[0])
    return luminance, (2 * covariance + STABLE[1]) / (variances + STABLE[1])


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return MSSSIM()
