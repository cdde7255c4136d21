"""NDB: its test by closed forms, statsmodels' formulas and scipy, and missing classes that it finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, jensenshannon
from scipy.stats import chi2_contingency
from torch import Tensor

from ganbench import DataSpec, Evaluation, Extractor, Unsupported
from ganbench_baselines.metric import ndb

METRIC = ndb.ganbench_metric()


class Same(Extractor):
    """Samples are their own features."""

    name, version = "same", "1"

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x.double(), None


def judged(real: Tensor, fake: Tensor) -> dict[str, float]:
    return dict(METRIC(Evaluation(real, fake, DataSpec((real.shape[1],)), torch.Generator(), extractor=Same())))


def clusters(n: int, seed: int, kinds: int = 10, d: int = 8) -> Tensor:
    """Ten far clusters, of which the first few are in use."""
    rng = torch.Generator().manual_seed(seed)
    centre = 6 * torch.randn(10, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return centre[torch.randint(kinds, (n,), generator=rng)] + torch.randn(n, d, generator=rng, dtype=torch.float64)


def test_p_values_are_those_of_pearsons_test_without_correction() -> None:
    real, fake = torch.tensor([30, 5, 65, 0]), torch.tensor([80, 12, 100, 8])
    found = ndb.p_values(real, fake)
    for a, b, p in zip(real, fake, found, strict=True):
        table = np.array([[a, 100 - a], [b, 200 - b]])
        assert p.item() == pytest.approx(chi2_contingency(table, correction=False).pvalue, rel=1e-9)


def test_a_bin_without_samples_does_not_differ() -> None:
    assert ndb.p_values(torch.tensor([50, 50, 0]), torch.tensor([70, 30, 0]))[2] == 1
    assert ndb.p_values(torch.tensor([50]), torch.tensor([70]))[0] == 1  # nor does the only one


def test_the_share_of_bins_is_that_after_the_step_up_procedure() -> None:
    real = torch.full((20,), 500)
    fake = real + torch.tensor([120, -120, 80, -80, 70, -70, *[0] * 14])
    p = np.sort(ndb.p_values(real, fake).numpy())
    last = max(i for i in range(20) if p[i] <= 0.05 * (i + 1) / 20)  # Benjamini and Hochberg's rule
    assert ndb.different(real, fake) == (last + 1) / 20
    assert 0 < last + 1 < (p <= 0.05).sum()  # fewer than without the correction


@pytest.mark.parametrize("fake", [[10, 40, 50, 0], [25, 25, 25, 25], [0, 0, 0, 100]])
def test_the_divergence_is_that_of_scipy(fake) -> None:
    real = [40, 50, 10, 0]
    expected = jensenshannon(np.array(real) / 100, np.array(fake) / 100) ** 2
    assert ndb.divergence(torch.tensor(real), torch.tensor(fake)) == pytest.approx(expected, abs=1e-12)


def test_samples_in_other_bins_alone_reach_the_largest_divergence() -> None:
    assert ndb.divergence(torch.tensor([3, 0]), torch.tensor([0, 7])) == METRIC.ranges["ndb_js"][1] == math.log(2)


def test_every_sample_counts_in_the_bin_of_its_nearest_centre() -> None:
    x, centres = clusters(900, 0) + 1e4, clusters(30, 1) + 1e4
    expected = np.bincount(cdist(x, centres).argmin(1), minlength=30)
    assert ndb.counts(x.split(100), centres).tolist() == expected.tolist()


def test_new_reals_differ_in_hardly_any_bin() -> None:
    found = [judged(clusters(2000, seed), clusters(2000, seed + 1)) for seed in range(0, 10, 2)]
    assert sum(one["ndb"] for one in found) / 5 < 0.02
    assert all(one["ndb_js"] < 0.02 for one in found)


def test_a_copy_of_the_reals_differs_in_no_bin() -> None:
    real = clusters(500, 0)
    assert judged(real, real.clone()) == {"ndb": 0, "ndb_js": 0}


def test_missing_classes_are_found() -> None:
    real = clusters(2000, 0)
    nine, five, one = (judged(real, clusters(2000, 1, kinds)) for kinds in (9, 5, 1))
    assert 0.05 < nine["ndb"] < 0.25  # the bins of the missing one, a tenth of all
    assert five["ndb"] > 0.8
    assert nine["ndb_js"] < five["ndb_js"] < one["ndb_js"]
    assert five["ndb_js"] == pytest.approx(0.75 * math.log(4 / 3), abs=0.03)  # of .1 against .2, and 0
    assert one["ndb_js"] > 0.5


@pytest.mark.parametrize(("n", "m", "bins"), [(5000, 3000, 100), (400, 300, 15), (40, 90, 2)])
def test_bins_are_a_hundred_or_as_many_as_have_twenty_samples(n, m, bins, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(ndb, "different", lambda real, fake: seen.append((real, fake)) or 0.0)
    judged(clusters(n, 0), clusters(m, 1))
    ((real, fake),) = seen
    assert (len(real), len(fake), real.sum(), fake.sum()) == (bins, bins, n, m)


def test_fewer_than_forty_samples_are_declined() -> None:
    with pytest.raises(Unsupported, match="need 40 samples of each kind, not 39"):
        judged(clusters(90, 0), clusters(39, 1))


def test_reals_that_are_all_alike_have_bins() -> None:
    real = torch.ones(60, 3)
    assert judged(real, real) == {"ndb": 0, "ndb_js": 0}
