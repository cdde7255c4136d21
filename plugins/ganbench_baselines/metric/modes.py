"""Mode coverage: modes hit, modes shown to be covered, and their balance (Srivastava et al. 2017; Lin et al. 2018).

Samples of high quality are selected first: those that the oracle assigns to a mode (within three standard deviations of
a centre), or those whose confidence passes the classifier's gate. With c_k of them in mode k of K, the columns are

    modes_hit        modes with at least one sample of high quality: the usual count, easy to reach at large n
    modes_covered    modes with enough samples of high quality (c_k >= m_k) to show at least a tenth of the real share
    modes_effective  exp(entropy) of the shares c_k: the number of equally frequent modes with the same entropy
    mode_kl          KL(p || π) minus its bias (K-1)/2n, where p are the shares of modes, corrected for confusion
    hq_fraction      share of samples of high quality
    hq_ceiling       hq_fraction of a perfect sampler, or of real data

π_k is the real share of mode k. The bias counts n samples of high quality. The threshold m_k is reached with
probability below α/K (α = .05) if G gives mode k less than a tenth (τ = .1) of π_k.

Let C_jk be the rate at which the classifier takes j for k. Under the null, each of n samples falls into mode k with
probability q0_k = hq Σ_{j≠k} p_j C_jk + τ π_k C_kk, where hq is the share of high quality. An oracle makes no mistakes:
C = 1 and m_k = binom.isf(α/K, n, q0_k) + 1.

A classifier's C is estimated from so few images (180 per class) that most kinds of mistake were never seen. A binomial
null treats any rate assumed for them as exact. If that rate is too small, a generator of one mode is credited with the
neighbouring ones; if it is large enough, a perfect generator loses modes. So each row of the confusion matrix gets half
an image, spread evenly (a Dirichlet posterior), and q0 keeps the posterior's variance, which makes the null
negative-binomial.

The table comes from a simulation with three channels, n = 26,000 and 200 classifiers of 99.25 % accuracy, whose
mistakes are spread evenly | clustered. It shows the number of modes covered when one mode is generated (and how often
that is more than one), and when 1000 are. When 200 were generated, 200 were covered in every run.

    C known exactly, binomial             1.00 (.00)   998.3   |   1.00 (.00)   998.1
    half an image per cell, binomial      1.00 (.00)   982.5   |   1.39 (.33)   982.3
    half an image per row, binomial       6.41 (.99)   997.3   |   6.09 (.99)   997.2
    half an image per row, with variance  1.00 (.00)   996.5   |   1.00 (.00)   996.4   (998.4 at 99.75 % accuracy)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from ganbench import Absent, Evaluation, Goal, Metric, Unsupported, hookimpl
from ganbench_baselines.metric.guessing import doubts_of_guessing

ALPHA = 0.05
TAU = 0.1
FEWEST = 0.1
"""Share of high quality, as a part of what real data reach, below which the balance of modes says nothing."""
HARDLY_ANY = 0.02
"""Share of the modes up to which a generator counts as collapsed, if it hits no more; a single mode always does."""
PSEUDO = 0.5  # images added to each row of the confusion matrix


class Modes:
    """Mode coverage; modes are assigned by the dataset's oracle, or else by the extractor's classifier."""

    columns: Mapping[str, Goal] = {
        "modes_hit": "max",
        "modes_covered": "max",
        "modes_effective": "max",
        "mode_kl": "min",
        "mode_kl_raw": "info",
        "hq_fraction": "max",
        "hq_ceiling": "info",
    }
    version = 2
    ranges: Mapping[str, tuple[float | None, float | None]] = {
        "modes_hit": (0, None),
        "modes_covered": (0, None),
        "modes_effective": (0, None),
        "mode_kl": (0, None),
        "hq_fraction": (0, 1),
        "hq_ceiling": (0, 1),
    }

    def __call__(self, evaluation: Evaluation) -> dict[str, float | Absent]:
        """All columns; ``mode_kl`` is absent if hardly any sample is of high quality."""
        oracle = evaluation.oracle
        if oracle is None:
            raise Unsupported("the modes of this dataset are not known")
        if len(evaluation.fake) < 2:
            raise Unsupported("a single sample says nothing about modes")
        pi = oracle.probabilities.double().cpu()
        if not (pi > 0).all():
            raise Unsupported("the oracle has a mode of probability 0, which nothing can cover")
        if oracle.assign is not None:
            seen = Assigned(oracle.assign(evaluation.fake).cpu(), oracle.ceiling, None)
        else:
            seen = by_classifier(evaluation, len(pi))
        return {**score(seen.mode, pi, seen.mistakes, seen.ceiling), "hq_ceiling": seen.ceiling}

    def collapsed_at(self, evaluation: Evaluation) -> dict[str, float]:
        """The limit of collapse: one mode of a few, or 20 of a thousand.

        ``modes_covered`` is unsuitable: in a short training on a thousand modes, good generators hit hundreds and cover
        none.
        """
        modes = len(evaluation.oracle.probabilities) if evaluation.oracle is not None else 0
        return {"modes_hit": max(1.0, HARDLY_ANY * modes)} if modes > 1 else {}


class Assigned(NamedTuple):
    """``mode[n]``, -1 where quality is low; the ceiling of ``hq_fraction``; the classifier's mistakes, or None."""

    mode: Tensor
    ceiling: float
    mistakes: Mistakes | None


def by_classifier(evaluation: Evaluation, modes: int) -> Assigned:
    """The modes of the fakes according to the extractor; the ceiling is the share of real ones that pass its gate."""
    _, _, real, fake = evaluation.features()
    extractor = evaluation.extractor
    if extractor is None or extractor.confusion is None or real is None or fake is None:
        raise Unsupported("these modes need a classifier with a known confusion matrix, and the extractor is not one")
    classes, groups = fake.shape[-1], math.prod(fake.shape[1:-1])
    if classes**groups != modes or extractor.confusion.shape != (classes, classes):
        raise Unsupported(f"{groups} x {classes} classes of the extractor are not the dataset's {modes} modes")
    confusion, data = extractor.confusion.cpu(), evaluation.dataset
    if groups == 1 and data is not None and data.spec.classes == modes:
        order = evaluation.class_order()
        real, fake, confusion = real[:, order], fake[:, order], confusion[order][:, order]
    ceiling = (judge(real, extractor.gate) >= 0).double().mean().item()
    _doubt_guessing(evaluation, real, modes)
    return Assigned(judge(fake, extractor.gate), ceiling, Mistakes(confusion, groups))


def _doubt_guessing(evaluation: Evaluation, real: Tensor, modes: int) -> None:
    """If modes are classes, a sentence if the classifier does not recognise the labels of real samples."""
    data, labels = evaluation.dataset, evaluation.real_labels
    if data is not None and labels is not None and data.spec.classes == modes:
        found = (judge(real, gate=0.0) == labels).double().mean().item()
        evaluation.doubts += doubts_of_guessing(found, labels, "the extractor")


def judge(logits: Tensor, gate: float) -> Tensor:
    """``logits[N, K]`` or ``[N, G, K]`` -> ``mode[N]``: a base-K number, or -1 where a group misses the gate."""
    if not logits.isfinite().all():
        raise ValueError("logits are not finite")
    classes = logits.shape[-1]
    confidence, digit = logits.double().reshape(len(logits), -1, classes).softmax(dim=-1).max(dim=-1)
    place = classes ** torch.arange(digit.shape[1] - 1, -1, -1)
    return (digit * place).sum(dim=1).where((confidence >= gate).all(dim=1), -1)


def score(mode: Tensor, pi: Tensor, mistakes: Mistakes | None, ceiling: float) -> dict[str, float | Absent]:
    """``mode[n]`` (-1: low quality) against the real shares ``pi[K]``: every column but the ceiling itself."""
    n, modes = len(mode), len(pi)
    count = torch.bincount(mode[mode >= 0], minlength=modes).double()
    if len(count) > modes:
        raise ValueError(f"a sample was assigned to mode {len(count) - 1} of {modes}")
    good = int(count.sum())
    few = too_few(good, n, modes, ceiling)
    if not good:
        none = dict.fromkeys(("modes_hit", "modes_covered", "modes_effective", "hq_fraction"), 0.0)
        return {**none, "mode_kl": Absent(few), "mode_kl_raw": Absent(few)}
    q = count / good
    p = mistakes.undo(q) if mistakes else q
    kl = torch.xlogy(p, p / pi).sum().item() - (modes - 1) / (2 * good)
    return {
        "modes_hit": float((count > 0).sum()),
        "modes_covered": float((count >= needed(n, good / n, p, pi, mistakes)).sum()),
        "modes_effective": torch.special.entr(q).sum().exp().item(),
        "mode_kl": Absent(few) if few else max(kl, 0.0),  # this order keeps a NaN
        "mode_kl_raw": Absent(few) if few else kl,
        "hq_fraction": good / n,
    }


def too_few(good: int, n: int, modes: int, ceiling: float) -> str:
    """Why ``good`` samples of high quality out of n say nothing about the balance of modes; empty if they do.

    Either they are rare exceptions of a generator that makes something else, or there are fewer of them than modes: the
    bias (K-1)/2n of the KL is known only for n above K.
    """
    if not good:
        return "no sample is of high quality"
    if good < FEWEST * ceiling * n:
        return f"only {100 * good / n:.2g} % of the samples are of high quality"
    return f"{good} samples of high quality are fewer than the {modes} modes" if good < modes else ""


def needed(n: int, hq: float, p: Tensor, pi: Tensor, mistakes: Mistakes | None) -> Tensor:
    """The counts m_k, ``[K]``, at which modes count as covered."""
    from scipy.stats import binom, nbinom  # takes a second to import

    level = ALPHA / len(pi)
    if mistakes is None:
        return torch.from_numpy(binom.isf(level, n, (TAU * pi).numpy())) + 1
    leak, variance = mistakes.leak(p)
    q0 = hq * leak + TAU * pi * mistakes.kept()
    # Poisson counts with a Gamma-distributed mean. Above a shape of 1e8 it is Poisson, and 1 - chance loses its digits
    shape = (q0.square() / (hq**2 * variance)).clamp(max=1e8)
    chance = shape / (shape + n * q0)
    return torch.from_numpy(nbinom.isf(level, shape.numpy(), chance.numpy())) + 1


class Mistakes:
    """A classifier's rates C[i, j] = P(taken for j | is i), for samples of G groups that it judges one by one.

    The rates between modes are the Kronecker product of the groups' rates. With the masses of the modes as an array of
    G axes, everything is computed axis by axis, and the 1000 x 1000 matrix of three digits is never built.
    """

    def __init__(self, confusion: Tensor, groups: int = 1) -> None:
        images = confusion.double() + PSEUDO / len(confusion)
        total = images.sum(dim=1, keepdim=True)
        self.axes = range(groups)
        self.shape = [len(confusion)] * groups
        self.rate = images / total
        self.variance = self.rate * (1 - self.rate) / (total + 1)  # of a Dirichlet distribution
        self.variance.fill_diagonal_(0)  # the diagonal holds no mistakes

    def undo(self, q: Tensor) -> Tensor:
        """Shares assigned -> shares generated: C^T p = q, clipped at 0 and normalised."""
        inverse, singular = torch.linalg.inv_ex(self.rate)
        if singular:
            raise Unsupported("the extractor's confusion matrix does not tell its classes apart")
        p = self._through(inverse, q.reshape(self.shape), self.axes).flatten().clamp(min=0)
        return p / p.sum()

    def kept(self) -> Tensor:
        """C_kk of every mode k."""
        return reduce(torch.kron, [self.rate.diagonal()] * len(self.axes))

    def leak(self, p: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of Σ_{j≠k} p_j C_jk for every mode k; the variance to first order, group by group."""
        masses = p.reshape(self.shape)
        mean = self._through(self.rate, masses, self.axes).flatten() - p * self.kept()
        variance = torch.zeros_like(masses)
        for axis in self.axes:
            rest = self._through(self.rate, masses, [other for other in self.axes if other != axis])
            variance += along(rest.square(), self.variance, axis)
        return mean.clamp(min=0), variance.flatten()

    @staticmethod
    def _through(matrix: Tensor, masses: Tensor, axes: Iterable[int]) -> Tensor:
        return reduce(lambda x, axis: along(x, matrix, axis), axes, masses)


def along(masses: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """``masses[.., i, ..], matrix[i, j] -> [.., j, ..]``, summed over i."""
    return torch.tensordot(masses, matrix, dims=([axis], [0])).movedim(-1, axis)


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return Modes()
