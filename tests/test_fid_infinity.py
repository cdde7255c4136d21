"""FID extrapolated to infinitely many fakes: each point by torch-fidelity, the end by a closed form."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
import torch
from scipy.stats import linregress
from torch import Tensor
from torch_fidelity import metric_fid

from ganbench import DataSpec, Evaluation, Extractor, Unsupported
from ganbench_baselines.metric import fid, fid_infinity, frechet

METRIC = fid_infinity.ganbench_metric()


class Same(Extractor):
    """Samples are their own features."""

    name, version = "same", "1"

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x.double(), None


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exactly_standard(d: int) -> Tensor:
    """Samples whose mean is 0 and whose covariance is the identity."""
    x = normal(4 * d, d, 0)
    x -= x.mean(dim=0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T)).T)


def judged(real: Tensor, fake: Tensor, seed: int = 0) -> tuple[dict[str, float], list[str]]:
    """The scores, and the warnings."""
    rng = torch.Generator().manual_seed(seed)
    given = Evaluation(real, fake, DataSpec((real.shape[1],), bounded=False), rng, extractor=Same())
    return dict(METRIC(given)), given.doubts


def test_the_extrapolation_of_gaussians_is_closer_to_the_true_distance() -> None:
    d, scale, shift = 16, 1.3, 0.2
    true = d * (shift**2 + (scale - 1) ** 2)
    real, ends, at_n = exactly_standard(d), [], []
    for seed in range(1, 21):
        fake = scale * normal(500, d, seed) + shift
        ends.append(judged(real, fake, seed)[0]["fid_infinity"])
        at_n.append(fid.FID()(Evaluation(real, fake, DataSpec((d,)), torch.Generator(), extractor=Same()))["fid"])
    assert abs(fmean(ends) - true) < 0.03 * true
    assert fmean(at_n) - true > 0.08 * true
    errors = (np.square(np.array(values) - true).mean() for values in (ends, at_n))
    assert next(errors) < next(errors)  # of a single run, too


def test_reals_against_other_reals_are_at_a_distance_of_about_zero_on_both_sides() -> None:
    ends = [judged(exactly_standard(8), normal(400, 8, seed), seed)[0]["fid_infinity"] for seed in range(1, 21)]
    assert min(ends) < 0 < max(ends)
    assert abs(fmean(ends)) < 0.02


def test_every_point_is_that_of_torch_fidelity_on_as_many_fakes() -> None:
    real, fake = normal(300, 6, 1), 1.5 * normal(240, 6, 2) + 0.3
    counts = fid_infinity.numbers(240, 6)
    found = fid_infinity.distances(frechet.moments([real]), fake, counts, torch.Generator().manual_seed(5))
    rng = torch.Generator().manual_seed(5)
    statistics = metric_fid.fid_features_to_statistics(real)
    for count, value in zip(counts, found, strict=True):
        some = metric_fid.fid_features_to_statistics(fake[torch.randperm(240, generator=rng)[:count]])
        theirs = metric_fid.fid_statistics_to_metric(statistics, some, verbose=False)
        assert value == pytest.approx(theirs["frechet_inception_distance"], rel=1e-8)


def test_the_line_is_that_of_scipy() -> None:
    counts = fid_infinity.numbers(1000, 8)
    values = [3 + 50 / count + 0.01 * (-1) ** count for count in counts]
    line = fid_infinity.fitted(counts, values)
    theirs = linregress(1 / np.array(counts), values)
    assert line.end == pytest.approx(theirs.intercept, rel=1e-9)
    assert line.error == pytest.approx(theirs.intercept_stderr, rel=1e-9)
    assert line.r2 == pytest.approx(theirs.rvalue**2, rel=1e-9)


def test_the_score_is_the_end_of_the_line_and_its_share_of_the_variance(monkeypatch) -> None:
    counts = fid_infinity.numbers(1000, 4)
    monkeypatch.setattr(fid_infinity, "distances", lambda real, fake, numbers, rng: [7 + 30 / n for n in numbers])
    found, doubts = judged(normal(100, 4, 0), normal(1000, 4, 1))
    assert found == {"fid_infinity": pytest.approx(7), "fid_infinity_r2": pytest.approx(1)}
    assert doubts == []
    assert len(counts) == fid_infinity.POINTS


@pytest.mark.parametrize(
    ("n", "d", "smallest"), [(50_000, 64, 5000), (50_000, 2048, 8192), (1000, 64, 256), (90, 64, 45)]
)
def test_the_numbers_are_evenly_spaced_up_to_all(n, d, smallest) -> None:
    counts = fid_infinity.numbers(n, d)
    assert (counts[0], counts[-1], len(counts)) == (smallest, n, 15)
    steps = np.diff(counts)
    assert steps.max() - steps.min() <= 1


def test_samples_that_are_all_alike_have_a_level_line() -> None:
    found, _ = judged(exactly_standard(4), torch.ones(100, 4).double())
    assert found["fid_infinity"] == pytest.approx(8)  # |mean|² and the trace of the reals' covariance
    assert 0 <= found["fid_infinity_r2"] <= 1


def test_too_few_samples_for_a_line_are_said() -> None:
    real = exactly_standard(16)
    shifted = {n: judged(real, normal(n, 16, 1) + 3)[1] for n in (127, 128)}
    assert shifted[128] == []
    (said,) = shifted[127]
    assert said.startswith("127 samples are fewer than 8 times the 16 features")


def test_a_line_that_fits_badly_is_said() -> None:
    (said,) = judged(normal(100, 2, 0), normal(200, 2, 1))[1]  # a distance of hardly more than the noise
    assert "standard error" in said


def test_fewer_than_thirty_samples_are_declined() -> None:
    real = normal(40, 1, 0)
    assert judged(real, normal(30, 1, 1))
    with pytest.raises(Unsupported, match="need 30 samples, not 29"):
        judged(real, normal(29, 1, 1))


def test_the_choice_of_fakes_follows_from_the_evaluations_random_numbers() -> None:
    real, fake = normal(100, 4, 0), normal(100, 4, 1)
    assert judged(real, fake, 1) == judged(real, fake, 1) != judged(real, fake, 2)
