"""Number of statistically different bins (Richardson and Weiss 2018).

k-means divides the features of the real samples into K bins, and every sample belongs to the bin of the nearest centre.
There are 100 bins, or fewer if there are not 20 samples for each.

    ndb       share of bins that hold significantly more or fewer fakes than reals, from 0 to 1
    ndb_js    Jensen-Shannon divergence of the shares of fakes and reals in the bins, in nats: from 0 to log 2

Bins differ by a test of two proportions. As K tests at 5 % would find K / 20 bins by chance, the rate of false
discoveries among the bins found is held at 5 % (Benjamini and Hochberg 1995). So ``ndb`` is about 0 for new samples of
the data, and the paper's, without the correction, about .05. With more samples, smaller differences are significant, so
compare ``ndb`` at equal numbers. The bins are those of MiniBatchKMeans in scikit-learn with a fixed seed. They fit the
reals somewhat better than new samples, which costs a few bins if there are many features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # has no stubs
from torch import Tensor

from ganbench import Evaluation, Goal, Metric, Results, Unsupported, hookimpl

BINS = 100
EACH = 20  # samples of each kind per bin
LEVEL = 0.05


class NDB:
    """NDB on the protocol's features."""

    columns: Mapping[str, Goal] = {"ndb": "min", "ndb_js": "min"}
    version = 1
    ranges: Mapping[str, tuple[float | None, float | None]] = {"ndb": (0, 1), "ndb_js": (0, 0.6931471805599453)}

    def __call__(self, evaluation: Evaluation) -> dict[str, float]:
        """{"ndb": share of bins that differ, "ndb_js": divergence in nats}.

        Raises:
            Unsupported: there are fewer than 40 reals or fakes.
        """
        n = min(len(evaluation.real), len(evaluation.fake))
        bins = min(BINS, n // EACH)
        if bins < 2:
            raise Unsupported(f"two bins need {2 * EACH} samples of each kind, not {n}")
        known = evaluation.of_reals(f"{bins} bins", lambda: _of_reals(evaluation, bins))
        fakes = counts(evaluation.blocks("fake"), known["centres"])
        return {"ndb": different(known["counts"], fakes), "ndb_js": divergence(known["counts"], fakes)}


def _of_reals(evaluation: Evaluation, bins: int) -> Results:
    """``centres[K, d]`` of the bins, and ``counts[K]`` of the reals in them."""
    from sklearn.cluster import MiniBatchKMeans  # takes a second to import

    x = evaluation.features().real.numpy()
    means = MiniBatchKMeans(bins, batch_size=2048, n_init=3, random_state=0)
    with threadpool_limits(1):  # with more, the order of sums would depend on chance
        means.fit(x)
    centres = torch.from_numpy(means.cluster_centers_).double()
    return {"centres": centres, "counts": counts(evaluation.blocks("real"), centres)}


def counts(blocks: Iterable[Tensor], centres: Tensor) -> Tensor:
    """The number of samples ``x[B, d]`` in the bin of each of ``centres[K, d]``: ``[K]`` as int64."""
    middle = centres.mean(dim=0)  # an offset common to all features would cost precision
    around = centres - middle
    square = around.square().sum(dim=1) / 2
    found = torch.zeros(len(centres), dtype=torch.int64)
    for block in blocks:
        nearest = torch.addmm(square, block - middle, around.T, alpha=-1).argmin(dim=1)
        found += torch.bincount(nearest, minlength=len(centres))
    return found


def different(real: Tensor, fake: Tensor) -> float:
    """The share of bins whose proportions differ, from the counts ``[K]`` of reals and of fakes."""
    from scipy.stats import false_discovery_control  # takes a second to import

    return float((false_discovery_control(p_values(real, fake).numpy()) <= LEVEL).mean())


def p_values(real: Tensor, fake: Tensor) -> Tensor:
    """The two-sided p-value of the test of two proportions for every bin, ``[K]``; 1 for bins without samples."""
    n, m = real.sum().double(), fake.sum().double()
    pooled = (real + fake) / (n + m)
    error = (pooled * (1 - pooled) * (1 / n + 1 / m)).sqrt()
    z = (real / n - fake / m).abs() / error.where(error > 0, 1)
    return torch.special.erfc(z / 2**0.5)


def divergence(real: Tensor, fake: Tensor) -> float:
    """The Jensen-Shannon divergence in nats of the shares of reals and of fakes, from their counts ``[K]``."""
    p, q = real.double() / real.sum(), fake.double() / fake.sum()
    middle = torch.special.entr((p + q) / 2).sum()
    value = (middle - (torch.special.entr(p).sum() + torch.special.entr(q).sum()) / 2).item()
    return min(max(value, 0.0), NDB.ranges["ndb_js"][1] or 0.0)  # rounding may exceed the limits; keeps a NaN


@hookimpl
def ganbench_metric() -> Metric:
    """Build the metric."""
    return NDB()
