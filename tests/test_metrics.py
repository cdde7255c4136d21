"""The built-in metrics: each against its judge, against closed forms, and against generators with known flaws."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fidelity_images import Images
from torch import Tensor
from torch.testing import assert_close

from ganbench import Absent
from ganbench.contracts.data import DataSpec, Oracle
from ganbench.contracts.evaluation import Evaluation
from ganbench.contracts.extractor import Extractor, Features
from ganbench.contracts.features import FeatureStore
from ganbench.contracts.metric import Metric
from ganbench.errors import Unsupported
from ganbench_baselines.metric import kid, modes, neighbours

NAMES = ["fid", "inception_score", "kid", "precision_recall", "density_coverage", "modes"]
ON_FEATURES = ["fid", "kid", "precision_recall", "density_coverage"]
ACCURACY, PER_CLASS, TRIPLES = 0.9925, 180, 26_000

every_metric = pytest.mark.parametrize("name", NAMES)


class Columns(Extractor):
    """Samples that are their own features, with their logits in the columns behind: ``x[B, d + prod(logits)]``."""

    name, version = "columns", "1"

    def __init__(self, d: int, logits: tuple[int, ...] = (), confusion: Tensor | None = None, gate: float = 0.0):
        super().__init__()
        self.d, self.logits, self.confusion, self.gate = d, logits, confusion, gate

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return x[:, : self.d], x[:, self.d :].reshape(len(x), *self.logits) if self.logits else None


def build(name: str) -> Metric:
    return importlib.import_module(f"ganbench_baselines.metric.{name}").ganbench_metric()


def evaluation(real: Tensor, fake: Tensor, extractor: Extractor | None = None, **more: Any) -> Evaluation:
    extractor = extractor or Columns(real.shape[1])
    rng = torch.Generator().manual_seed(0)
    return Evaluation(real=real, fake=fake, spec=DataSpec(tuple(real.shape[1:])), rng=rng, extractor=extractor, **more)


def score(name: str, real: Tensor, fake: Tensor, extractor: Extractor | None = None, **more: Any) -> dict[str, float]:
    return dict(build(name)(evaluation(real, fake, extractor, **more)))


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def close(value: float) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


# -- every metric ---------------------------------------------------------------------------------------------------


def clusters(n: int, kinds: int = 10, noise: float = 0.0) -> tuple[Tensor, Columns]:
    """Ten far clusters in eight dimensions, ``kinds`` of them in use, and a sure classifier of them: ``x[n, 18]``."""
    rng = torch.Generator().manual_seed(n + kinds)
    centre = 4 * torch.randn(10, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    kind = torch.arange(n) % kinds
    x = centre[kind] + (1 + noise) * torch.randn(n, 8, generator=rng, dtype=torch.float64)
    logits = -torch.cdist(x, centre).square() / (1 + noise) ** 2
    return torch.cat([x, logits], dim=1), Columns(8, (10,), torch.eye(10) * PER_CLASS, gate=0.9)


def score_clusters(name: str, n: int = 500, **how: Any) -> dict[str, float]:
    real, extractor = clusters(600)
    fake, _ = clusters(n, **how)
    return score(name, real[:n], fake, extractor, oracle=Oracle(torch.full((10,), 0.1)))


@every_metric
def test_a_metric_returns_a_finite_number_within_range_for_every_column_it_declares(name):
    metric = build(name)
    assert isinstance(metric.version, int)
    assert set(metric.columns.values()) <= {"min", "max", "info"}
    scores = score_clusters(name)
    assert set(scores) == set(metric.columns)
    assert set(metric.ranges) <= set(metric.columns)
    for column, value in scores.items():
        low, high = metric.ranges.get(column, (None, None))
        assert type(value) is float
        assert -math.inf < value < math.inf
        assert low is None or low <= value
        assert high is None or value <= high


@every_metric
def test_the_first_line_of_a_metric_names_its_paper(name):
    first = (importlib.import_module(f"ganbench_baselines.metric.{name}").__doc__ or "").splitlines()[0]
    assert first.endswith(").")
    assert "20" in first


@every_metric
def test_a_generator_that_repeats_one_sample_is_scored(name):
    real, extractor = clusters(100)
    scores = score(name, real, real[:1].expand(100, -1), extractor, oracle=Oracle(torch.full((10,), 0.1)))
    assert all(map(math.isfinite, scores.values()))


@every_metric
def test_a_single_sample_is_declined(name):
    with pytest.raises(Unsupported, match=r"sampl|neighbours"):
        score_clusters(name, n=1)


@every_metric
def test_a_metric_without_an_extractor_declines(name):
    real = normal(10, 2)
    given = replace(evaluation(real, real, oracle=Oracle(torch.full((10,), 0.1))), extractor=None)
    with pytest.raises(Unsupported, match="extractor"):
        build(name)(given)


@every_metric
def test_the_same_samples_score_the_same(name):
    assert score_clusters(name) == score_clusters(name)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("fid", "fid"),
        ("kid", "kid"),
        ("precision_recall", "precision"),
        ("density_coverage", "density"),
        ("density_coverage", "coverage"),
    ],
)
def test_more_noise_scores_worse(name, column):
    sign = 1 if build(name).columns[column] == "min" else -1
    seen = [sign * score_clusters(name, noise=noise)[column] for noise in (0, 0.5, 1, 2)]
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("fid", "fid"),
        ("inception_score", "is"),
        ("kid", "kid"),
        ("precision_recall", "recall"),
        ("density_coverage", "coverage"),
        ("modes", "modes_covered"),
        ("modes", "modes_hit"),
        ("modes", "modes_effective"),
        ("modes", "mode_kl"),
    ],
)
def test_fewer_kinds_of_samples_score_worse(name, column):
    sign = 1 if build(name).columns[column] == "min" else -1
    seen = [sign * score_clusters(name, kinds=kinds)[column] for kinds in (10, 5, 2, 1)]
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("name", ["precision_recall", "density_coverage"])
def test_features_that_are_not_finite_are_an_error_and_no_score(name):
    real = normal(20, 2)
    broken = real.clone()
    broken[3, 1] = math.nan
    store = FeatureStore(real, real, None, torch.device("cpu"))
    store.known = Features(broken, broken)
    with pytest.raises(ValueError, match="not finite"):
        build(name)(evaluation(real, real, shared=store))


@pytest.mark.parametrize("name", ["inception_score", "modes"])
def test_logits_that_are_not_finite_are_an_error_and_no_score(name):
    real, extractor = clusters(20)
    broken = real.clone()
    broken[3, 10] = math.nan
    with pytest.raises(ValueError, match="not finite"):
        score(name, real, broken, extractor, oracle=Oracle(torch.full((10,), 0.1)))


# -- torch-fidelity end to end --------------------------------------------------------------------------------------


class Tiny(Extractor):
    """``x[B, 3, 8, 8]`` in uint8 -> six features and five logits of a fixed linear map, in float64."""

    name, version = "tiny", "1"

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randn(192, 11, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        self.register_buffer("weight", weight / 192**0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out = (x.flatten(1).double() / 40 - 2) @ self.weight
        return out[:, :6], out[:, 6:]


@pytest.fixture(scope="module")
def judged() -> tuple[Evaluation, dict[str, float]]:
    """Reals and fakes, and what ``torch_fidelity.calculate_metrics`` makes of the images themselves."""
    import torch_fidelity
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    class Judge(FeatureExtractorBase):
        def __init__(self, name: str, features_list: list[str], **kwargs: Any) -> None:
            super().__init__(name, features_list)
            self.tiny = Tiny()

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return "features", "logits"

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "logits" if metric == "isc" else "features"

        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            out = dict(zip(("features", "logits"), self.tiny(x), strict=True))
            return tuple(out[name] for name in self.features_list)

    torch_fidelity.register_feature_extractor("ganbench-test-tiny", Judge)
    rng = torch.Generator().manual_seed(2)
    real = torch.randint(0, 256, (300, 3, 8, 8), generator=rng).to(torch.uint8)
    fake = torch.randint(0, 200, (300, 3, 8, 8), generator=rng).to(torch.uint8)
    verdict = torch_fidelity.calculate_metrics(
        input1=Images(fake), input2=Images(real), feature_extractor="ganbench-test-tiny",
        isc=True, fid=True, kid=True, prc=True, isc_splits=1, kid_subsets=1, kid_subset_size=300,
        cuda=False, cache=False, save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    return evaluation(real, fake, Tiny()), verdict


@pytest.mark.parametrize(
    ("name", "column", "theirs", "rel"),
    [
        ("fid", "fid", "frechet_inception_distance", 1e-9),
        ("inception_score", "is", "inception_score_mean", 1e-9),
        ("kid", "kid", "kernel_inception_distance_mean", 1e-9),
        ("precision_recall", "precision", "precision", 1e-6),
        ("precision_recall", "recall", "recall", 1e-6),
    ],
)
def test_a_score_equals_that_of_torch_fidelity_on_the_same_images(judged, name, column, theirs, rel):
    given, verdict = judged
    assert build(name)(given)[column] == pytest.approx(verdict[theirs], rel=rel)
    assert 0.01 < verdict[theirs] < 100  # neither trivial nor saturated
    assert given.used_extractor


# -- Fréchet distance -----------------------------------------------------------------------------------------------


def with_moments(n: int, mean: Tensor, root: Tensor) -> Tensor:
    """``n`` samples whose mean is exactly ``mean`` and whose covariance is exactly root^T root."""
    x = normal(n, len(mean))
    x -= x.mean(dim=0)
    white = x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / (n - 1)).T)
    return white @ root + mean


def test_fid_of_gaussians_with_a_common_basis_is_the_closed_form():
    a, b = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 4.0, 1.0]).double()  # standard deviations
    shift, turn = torch.tensor([1.0, -2.0, 0.5]).double(), torch.linalg.qr(normal(3, 3)).Q
    real, fake = with_moments(50, shift * 0, a.diag() @ turn), with_moments(70, shift, b.diag() @ turn)
    expected = shift.square().sum() + (a - b).square().sum()
    assert score("fid", real, fake)["fid"] == close(expected.item())


def test_fid_of_gaussians_without_a_common_basis_is_the_closed_form():
    a, b = normal(4, 4), normal(4, 4)
    left = with_moments(60, torch.zeros(4).double(), a)
    right = with_moments(60, torch.zeros(4).double(), b)
    coupled = torch.linalg.svdvals(a @ b.T).sum()  # tr (A^T A B^T B)^½ is the nuclear norm of A B^T
    expected = a.square().sum() + b.square().sum() - 2 * coupled
    assert score("fid", left, right)["fid"] == close(expected.item())


def test_fid_of_a_single_feature_is_the_closed_form():
    one = torch.ones(1, 1).double()
    real, fake = with_moments(40, torch.zeros(1).double(), 2 * one), with_moments(40, torch.ones(1).double(), 5 * one)
    assert score("fid", real, fake)["fid"] == close(1 + 9)


def test_fid_of_samples_with_themselves_is_zero_and_never_below():
    for n in (3, 20, 200):  # fewer samples than features, too
        x = normal(n, 5)
        assert 0 <= score("fid", x, x)["fid"] < 1e-6


# -- inception score ------------------------------------------------------------------------------------------------


def inception_score(logits: Tensor) -> float:
    return score("inception_score", logits, logits, Columns(0, (logits.shape[1],)))["is"]


def test_inception_score_of_sure_and_balanced_samples_is_the_number_of_classes():
    assert inception_score(50 * torch.eye(7).double().repeat(4, 1)) == close(7)


def test_inception_score_of_sure_samples_of_some_classes_is_their_number():
    assert inception_score(1e5 * torch.eye(7).double()[:3].repeat(4, 1)) == close(3)


def test_inception_score_of_samples_that_all_look_alike_is_one():
    assert inception_score(normal(1, 7).expand(20, -1)) == close(1)


def test_inception_score_of_two_kinds_is_the_closed_form():
    p = torch.tensor([[0.9, 0.1], [0.5, 0.5]], dtype=torch.float64)
    q = p.mean(dim=0)
    expected = (p * (p / q).log()).sum(dim=1).mean().exp()
    assert inception_score(p.log().repeat(10, 1)) == close(expected.item())


@pytest.mark.parametrize(("n", "splits"), [(4999, 1), (5000, 10)])
def test_inception_score_has_ten_shuffled_splits_from_5000_samples_on(n, splits):
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = 3 * normal(n, 4)
    logits = logits[logits.argmax(dim=1).argsort()]  # sorted by class, as conditional generators deliver them
    expected = isc_features_to_metric(logits, splits, True, 2020)["inception_score_mean"]
    assert inception_score(logits) == close(expected)
    assert expected > 1.5 > isc_features_to_metric(logits, 10, False)["inception_score_mean"]


def test_inception_score_declines_without_logits_and_for_groups_of_classes():
    x = normal(10, 12)
    with pytest.raises(Unsupported, match="does not classify"):
        score("inception_score", x, x)
    with pytest.raises(Unsupported, match="3 parts"):
        score("inception_score", x, x, Columns(0, (3, 4)))


# -- kernel distance ------------------------------------------------------------------------------------------------


def test_kid_of_unequal_numbers_is_the_mean_over_distinct_pairs():
    real, fake = normal(9, 3), normal(7, 3) + 0.5

    def mean(pairs: list[tuple[Tensor, Tensor]]) -> float:
        return sum(((a @ b).item() / 3 + 1) ** 3 for a, b in pairs) / len(pairs)

    within = [mean([(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]) for x in (real, fake)]
    expected = sum(within) - 2 * mean([(a, b) for a in real for b in fake])
    assert score("kid", real, fake)["kid"] == close(expected)


def test_kid_does_not_depend_on_the_block_size(monkeypatch):
    real, fake = normal(50, 3), normal(41, 3)
    whole = score("kid", real, fake)["kid"]
    monkeypatch.setattr(kid, "ROWS", 8)
    assert score("kid", real, fake)["kid"] == close(whole)


def test_kid_of_equal_distributions_is_about_zero_on_either_side():
    scores = torch.tensor([score("kid", normal(60, 3), normal(60, 3))["kid"] for _ in range(100)])
    assert 20 < (scores > 0).sum() < 80
    assert scores.mean().abs() < 4 * scores.std() / 10


def test_the_standard_error_of_kid_is_the_spread_of_kid_over_repetitions():
    repeated = [score("kid", normal(200, 3), 0.7 + normal(200, 3)) for _ in range(60)]
    spread = torch.tensor([s["kid"] for s in repeated]).std()
    assert 0.7 < torch.tensor([s["kid_se"] for s in repeated]).mean() / spread < 1.4


def test_the_standard_error_of_kid_does_not_depend_on_the_order_of_samples():
    real, fake = normal(500, 3).sort(dim=0).values, normal(500, 3)  # blocks in order would differ wildly
    shuffled = real[torch.randperm(500)]
    assert score("kid", real, fake)["kid_se"] == pytest.approx(score("kid", shuffled, fake)["kid_se"], rel=0.6)


# -- precision and recall, density and coverage ---------------------------------------------------------------------


def two_islands(n: int) -> Tensor:
    """Points of two islands, in turn."""
    return normal(n, 2) + torch.tensor([[0.0, 0.0], [100.0, 0.0]]).double().repeat(n // 2, 1)


def test_precision_counts_fakes_among_reals_and_recall_reals_among_fakes():
    real, fake = two_islands(400), two_islands(400)
    fake[1::2] = fake[::2] + 0.1  # one island only
    scores = score("precision_recall", real, fake)
    assert scores["precision"] > 0.9
    assert 0.4 < scores["recall"] <= 0.5


def test_density_counts_neighbourhoods_and_coverage_the_neighbourhoods_hit():
    real = torch.arange(12).double()[:, None]  # on a line: radius 5 at the ends, falling to 3 in the middle
    fake = torch.tensor([-1.0, 5.5, 5.5, 40.0] + [90.0] * 4).double()[:, None]
    radius = torch.tensor([5, 4, 3, 3, 3, 3, 3, 3, 3, 3, 4, 5]).double()
    held = ((real - fake.T).abs() < radius[:, None]).sum(dim=1)
    scores = score("density_coverage", real, fake)
    assert scores == {"density": close(held.sum().item() / (5 * 8)), "coverage": close((held > 0).sum().item() / 12)}
    assert 0 < scores["coverage"] < 1


@pytest.mark.parametrize(("n", "m", "d"), [(300, 300, 4), (150, 260, 16), (260, 150, 2)])
def test_density_and_coverage_equal_those_of_the_authors(capsys, n, m, d):
    from prdc import compute_prdc

    real, fake = normal(n, d) + 30, 1.2 * normal(m, d) + 30.3
    expected = compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
    scores = score("density_coverage", real, fake)
    assert scores == {key: pytest.approx(float(expected[key]), rel=1e-9) for key in ("density", "coverage")}
    assert 0.1 < scores["coverage"] < 0.99


@pytest.mark.parametrize("name", ["precision_recall", "density_coverage"])
def test_neighbours_do_not_depend_on_the_block_size_or_on_an_offset(name, monkeypatch):
    real, fake = normal(190, 6), 1.3 * normal(180, 6)
    whole = score(name, real, fake)
    offset = score(name, real + 1e8, fake + 1e8)
    monkeypatch.setattr(neighbours, "ROWS", 16)
    monkeypatch.setattr(neighbours, "COLUMNS", 24)
    assert offset == whole == score(name, real, fake)
    assert all(0.1 < value < 1 for value in whole.values())


@pytest.mark.parametrize("offset", [0, 10])
def test_what_lies_exactly_at_a_radius_is_in_no_neighbourhood(offset):
    lattice = torch.cartesian_prod(*[torch.arange(8)] * 3)
    kind = lattice[torch.randint(len(lattice), (300,))]  # copies of reals: whole numbers tell who is how far
    d2 = (lattice[:, None] - lattice).square().sum(dim=2)
    across = (lattice[:, None] - kind).square().sum(dim=2)
    radius = d2.kthvalue(6, dim=1, keepdim=True).values
    turn = torch.linalg.qr(normal(40, 40)).Q[:3]
    real, fake = (x.double() @ turn + offset for x in (lattice, kind))
    inside = across < radius
    expected = {"density": inside.sum().item() / (5 * 300), "coverage": inside.any(dim=1).double().mean().item()}
    assert score("density_coverage", real, fake) == expected
    assert (across == radius).sum() > 100


@pytest.mark.parametrize("offset", [0, 10])
def test_what_lies_exactly_at_a_radius_is_among_the_reals(offset):
    rows = torch.cartesian_prod(
        torch.arange(4), 50 * torch.arange(60)
    )  # four reals in a row, and far away the next four
    before = torch.cartesian_prod(torch.tensor([-3]), 50 * torch.arange(60))  # as far from a first as its fourth is
    turn = torch.linalg.qr(normal(40, 40)).Q[:2]
    real, fake = (x.double() @ turn + offset for x in (rows, before))
    assert score("precision_recall", real, fake)["precision"] == 1
    assert score("precision_recall", fake, real)["recall"] == 1
    assert score("precision_recall", real, fake - 1e-6 * turn[0])["precision"] == 0


def test_a_generator_that_repeats_the_reals_covers_them_all():
    x = normal(100, 4)
    assert score("density_coverage", x, x) == {"density": close(1), "coverage": 1}
    assert score("precision_recall", x, x) == {"precision": 1, "recall": 1}


def test_fakes_far_from_all_reals_score_zero():
    real = normal(50, 4)
    for name in ("precision_recall", "density_coverage"):
        assert set(score(name, real, real + 100).values()) == {0}


# -- modes the oracle assigns ---------------------------------------------------------------------------------------


def mixture(centres: Tensor, std: float) -> tuple[Oracle, Callable[[Tensor], Tensor]]:
    """Its oracle, and a sampler ``mode[n] -> x[n, 2]``."""

    def assign(x: Tensor) -> Tensor:
        distance, mode = torch.cdist(x, centres, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1)
        return torch.where(distance <= 3 * std, mode, -1)

    oracle = Oracle(torch.full((len(centres),), 1 / len(centres)), assign, ceiling=1 - math.exp(-4.5))
    return oracle, lambda mode: centres[mode] + std * normal(len(mode), 2)


def ring() -> tuple[Oracle, Callable[[Tensor], Tensor]]:
    angle = torch.arange(8).double() * math.pi / 4
    return mixture(torch.stack([angle.cos(), angle.sin()], dim=1), 0.01)


def grid() -> tuple[Oracle, Callable[[Tensor], Tensor]]:
    axis = torch.arange(-4, 5, 2).double()
    return mixture(torch.cartesian_prod(axis, axis), 0.05)


def score_points(fake: Tensor, oracle: Oracle) -> dict[str, float]:
    given = evaluation(fake[:10], fake, oracle=oracle)
    scores = build("modes")(given)
    assert not given.used_extractor
    return dict(scores)


@pytest.mark.parametrize(("data", "number"), [(ring, 8), (grid, 25)])
def test_a_perfect_sampler_covers_every_mode_at_the_ceiling_of_quality(data, number):
    oracle, draw = data()
    scores = score_points(draw(torch.randint(number, (2500,))), oracle)
    assert scores["modes_hit"] == scores["modes_covered"] == number
    assert scores["hq_ceiling"] == pytest.approx(0.98889, abs=1e-5)
    assert scores["hq_fraction"] == pytest.approx(0.98889, abs=4 * (0.98889 * 0.01111 / 2500) ** 0.5)
    assert scores["mode_kl"] < 0.005
    assert scores["modes_effective"] == pytest.approx(number, rel=0.01)


@pytest.mark.parametrize(("blob", "hit"), [(lambda x: 10 * torch.rand_like(x) - 5, 21), (lambda x: 3 * x, 18)])
def test_a_broad_blob_hits_most_modes_of_the_grid_and_covers_none(blob, hit):
    oracle, _ = grid()
    scores = score_points(blob(normal(2500, 2)), oracle)
    assert abs(scores["modes_hit"] - hit) <= 3
    assert scores["modes_covered"] == 0
    assert scores["hq_fraction"] < 0.05


def test_a_generator_of_one_mode_covers_one_and_is_as_far_as_can_be():
    oracle, draw = ring()
    scores = score_points(draw(torch.full((2500,), 3)), oracle)
    assert scores["modes_hit"] == scores["modes_covered"] == 1
    assert scores["modes_effective"] == close(1)
    good = scores["hq_fraction"] * 2500
    assert scores["mode_kl"] == scores["mode_kl_raw"] == pytest.approx(math.log(8) - 7 / (2 * good), abs=1e-6)


def test_a_generator_of_three_modes_covers_three_with_their_entropy_and_divergence():
    oracle, _ = ring()
    mode = torch.tensor([0] * 500 + [4] * 300 + [6] * 200)
    oracle = Oracle(oracle.probabilities, lambda x: mode)
    q = np.array([0.5, 0.3, 0.2])
    scores = score_points(normal(1000, 2), oracle)
    assert scores["modes_covered"] == 3
    assert scores["modes_effective"] == close(math.exp(-(q * np.log(q)).sum()))
    assert scores["mode_kl"] == pytest.approx((q * np.log(8 * q)).sum() - 7 / 2000, abs=1e-6)
    assert scores["hq_fraction"] == 1


def assigned(mode: Tensor, probabilities: Tensor) -> dict[str, float]:
    return score_points(normal(len(mode), 2), Oracle(probabilities, lambda x: mode))


@pytest.mark.parametrize("n", [200, 2500, 26_000])
def test_a_mode_is_covered_from_the_first_count_too_large_for_a_tenth_of_its_share(n):
    from scipy.stats import binom

    pi = torch.tensor([0.05, 0.15, 0.2, 0.6], dtype=torch.float64)
    first = next(m for m in range(n) if binom.sf(m - 1, n, 0.1 * 0.05) <= 0.05 / 4)
    for count, covered in ((first - 1, 1), (first, 2)):
        mode = torch.full((n,), 3)
        mode[:count] = 0
        scores = assigned(mode, pi)
        assert (scores["modes_hit"], scores["modes_covered"]) == (2, covered)


def test_quality_is_judged_before_modes_are_counted_but_the_null_knows_all_samples():
    mode = torch.full((2500,), -1)
    mode[:40] = 0  # 40 of 2,500: fewer than a tenth of the share of a ring's mode could give
    assert assigned(mode, torch.full((8,), 0.125))["modes_covered"] == 0
    assert assigned(mode[:100], torch.full((8,), 0.125))["modes_covered"] == 1


def test_modes_of_a_tenth_of_their_share_are_seldom_covered():
    pi = torch.full((25,), 0.04).double()
    starved = pi.clone()
    starved[:24] *= 0.1
    starved[24] += 0.9 * 0.96
    runs = [assigned(torch.multinomial(starved, 2500, True), pi)["modes_covered"] - 1 for _ in range(300)]
    wrong = sum(extra > 0 for extra in runs) / len(runs)
    assert 0 < wrong <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


def test_without_a_sample_of_high_quality_there_is_no_mode_and_no_divergence():
    pi = torch.tensor([0.05, 0.15, 0.2, 0.6], dtype=torch.float64)
    scores = assigned(torch.full((100,), -1), pi)
    none = Absent("no sample is of high quality")
    assert scores == {
        "modes_hit": 0, "modes_covered": 0, "modes_effective": 0, "hq_fraction": 0,
        "mode_kl": none, "mode_kl_raw": none, "hq_ceiling": 1,
    }  # fmt: skip


def test_a_handful_of_good_samples_does_not_make_a_balanced_generator():
    few, many = torch.full((2500,), -1), torch.full((2500,), -1)
    few[:2] = torch.arange(2)
    many[:500] = torch.arange(500) % 25
    pi = torch.full((25,), 0.04).double()
    assert assigned(many, pi)["mode_kl"] == 0
    assert assigned(few, pi)["mode_kl"] == Absent("only 0.08 % of the samples are of high quality")


def test_the_raw_divergence_keeps_what_the_correction_takes_below_zero():
    scores = assigned(torch.arange(800) % 8, torch.full((8,), 0.125))
    assert scores["mode_kl"] == 0
    assert scores["mode_kl_raw"] == close(-7 / 1600)


def test_the_order_of_samples_does_not_matter():
    oracle, draw = grid()
    fake = draw(torch.randint(20, (2500,)))
    assert score_points(fake, oracle) == score_points(fake[torch.randperm(2500)], oracle)


def test_data_whose_modes_are_unknown_are_declined():
    with pytest.raises(Unsupported, match="not known"):
        score("modes", normal(10, 2), normal(10, 2))


def test_an_oracle_with_an_impossible_mode_is_declined():
    with pytest.raises(Unsupported, match="of probability 0"):
        assigned(torch.zeros(10).long(), torch.tensor([1.0, 0.0]))


def test_an_oracle_that_assigns_a_mode_it_does_not_have_is_an_error():
    with pytest.raises(ValueError, match="mode 5 of 2"):
        assigned(torch.tensor([0, 5]), torch.tensor([0.5, 0.5]))


# -- modes a classifier judges --------------------------------------------------------------------------------------


def spread(accuracy: float = ACCURACY) -> Tensor:
    """Rates ``[10, 10]`` of a classifier whose mistakes are spread over all other digits."""
    return torch.full((10, 10), (1 - accuracy) / 9).double().fill_diagonal_(accuracy)


def clustered(accuracy: float = ACCURACY) -> Tensor:
    """Rates ``[10, 10]`` of a classifier that takes each digit for a few others, at random."""
    off = torch.distributions.Dirichlet(torch.full((9,), 0.3).double()).sample((10,)) * (1 - accuracy)
    rates = torch.eye(10).double() * accuracy
    rates[~torch.eye(10, dtype=torch.bool)] = off.flatten()
    return rates


def estimated(rates: Tensor, images: int = PER_CLASS) -> Tensor:
    """The confusion counts of a classifier, from so many held-out images a class."""
    return torch.stack([torch.multinomial(row, images, True).bincount(minlength=10) for row in rates])


def taken_for(digit: Tensor, rates: Tensor) -> Tensor:
    """What a classifier of these rates makes of digits."""
    return torch.multinomial(rates[digit.flatten()], 1).reshape(digit.shape)


def logits_of(digit: Tensor, sure: float = 20.0) -> Tensor:
    """``digit[n, G] -> x[n, G * 10]``: logits as samples, each group sure of its digit."""
    return sure * torch.nn.functional.one_hot(digit, 10).double().flatten(1)


def classify(fake: Tensor, confusion: Tensor, groups: int, real: Tensor | None = None) -> dict[str, float]:
    extractor = Columns(0, (groups, 10) if groups > 1 else (10,), confusion, gate=0.9)
    oracle = Oracle(torch.full((10**groups,), 0.1**groups).double())
    return score("modes", fake[:10] if real is None else real, fake, extractor, oracle=oracle)


def stacked(number: int, rates: Tensor, confusion: Tensor) -> dict[str, float]:
    """Modes of 26,000 triples of a generator of ``number`` random modes, as the classifier sees them."""
    chosen = torch.randperm(1000)[:number]
    mode = chosen[torch.randint(number, (TRIPLES,))]
    digit = torch.stack([mode // 100, mode // 10 % 10, mode % 10], dim=1)
    return classify(logits_of(taken_for(digit, rates)), confusion, 3)


@pytest.mark.parametrize("mistakes", [spread, clustered])
@pytest.mark.parametrize(("number", "least"), [(1, 1), (200, 200), (1000, 990)])
def test_a_classifier_that_errs_sees_the_modes_there_are(mistakes, number, least):
    rates = mistakes()
    scores = stacked(number, rates, estimated(rates))
    assert least <= scores["modes_covered"] <= number
    assert scores["hq_fraction"] == scores["hq_ceiling"] == 1
    assert scores["mode_kl"] == pytest.approx(math.log(1000 / number), abs=0.2)


@pytest.mark.parametrize("mistakes", [spread, clustered])
def test_unseen_mistakes_of_a_classifier_are_not_credited_to_a_one_mode_generator(mistakes):
    hit = []
    for _ in range(12):
        rates = mistakes()
        scores = stacked(1, rates, estimated(rates))
        assert scores["modes_covered"] == 1
        hit.append(scores["modes_hit"])
    assert sum(hit) / len(hit) > (25 if mistakes is spread else 10)  # which is what the naive count makes of it


def test_with_a_well_known_classifier_a_perfect_generator_loses_hardly_a_mode():
    rates = spread()
    assert stacked(1000, rates, rates * 1e6)["modes_covered"] >= 995


def test_a_class_that_is_never_generated_is_missing():
    rates = spread(0.99)
    digit = torch.arange(1797)[:, None] % 9
    scores = classify(logits_of(taken_for(digit, rates)), estimated(rates), 1)
    assert scores["modes_hit"] == 10
    assert scores["modes_covered"] == 9


def test_noise_that_the_classifier_is_unsure_of_has_no_mode():
    scores = classify(normal(TRIPLES, 30), estimated(spread()), 3)
    assert scores["modes_hit"] == scores["modes_covered"] == scores["hq_fraction"] == 0
    assert scores["mode_kl"] == Absent("no sample is of high quality")


def test_a_sample_is_good_only_if_the_classifier_is_sure_of_every_channel():
    good = logits_of(torch.randint(10, (400, 3)))
    fake = good.clone()
    fake[:100, 10:20] = 0  # one channel of a quarter
    scores = classify(fake, estimated(spread()), 3, real=good.where(torch.arange(400)[:, None] < 360, 0))
    assert scores["hq_fraction"] == 0.75
    assert scores["hq_ceiling"] == 0.9


def test_the_gate_is_a_confidence():
    logits = torch.tensor([[0.89, 0.11], [0.91, 0.09], [0.09, 0.91]]).double().log()
    assert modes.judge(logits, 0.9).tolist() == [-1, 0, 1]
    assert modes.judge(logits, 0.0).tolist() == [0, 0, 1]


def test_the_mode_of_a_triple_is_its_digits_read_as_a_number():
    digit = torch.tensor([[1, 2, 3], [0, 0, 7], [9, 0, 0]])
    assert modes.judge(logits_of(digit).reshape(3, 3, 10), 0.9).tolist() == [123, 7, 900]


def test_the_order_of_judged_samples_does_not_matter():
    fake, confusion = logits_of(torch.randint(10, (500, 1))), estimated(spread())
    assert classify(fake, confusion, 1) == classify(fake[torch.randperm(500)], confusion, 1)


def test_the_divergence_is_that_of_what_was_generated_and_not_of_what_was_seen():
    rates = torch.eye(10).double()
    rates[0, :2] = 0.5  # half of all zeros are taken for ones
    fake = logits_of(taken_for(torch.arange(5000)[:, None] % 10, rates))
    assert classify(fake, rates * 1e6, 1)["mode_kl"] < 0.01
    assert classify(fake, torch.eye(10) * 1e6, 1)["mode_kl"] > 0.02


def test_the_effective_modes_are_those_that_were_seen():
    rates = torch.eye(10).double()
    rates[0, :2] = 0.5
    fake = logits_of(taken_for(torch.zeros(5000, 1).long(), rates))
    assert classify(fake, rates * 1e6, 1)["modes_effective"] == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_confusion_is_undone_group_by_group_as_by_the_whole_matrix(groups):
    counts = 5 + 200 * torch.eye(4) + torch.rand(4, 4)
    mistakes = modes.Mistakes(counts, groups)
    whole = torch.ones(1, 1).double()
    for _ in range(groups):
        whole = torch.kron(whole, mistakes.rate)
    p = torch.rand(4**groups).double()
    p /= p.sum()
    assert_close(mistakes.undo(whole.T @ p), p)
    assert_close(mistakes.kept(), whole.diagonal())
    assert_close(mistakes.leak(p)[0], whole.T @ p - p * whole.diagonal())


CONFUSED = torch.tensor([[700, 90, 0], [240, 950, 9], [15, 50, 600]], dtype=torch.float64)


def test_the_leak_varies_as_the_confusion_that_could_have_been():
    p = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    rate = torch.distributions.Dirichlet(CONFUSED + 0.5 / 3).sample((20_000,))
    leak = torch.einsum("j,njk->nk", p, rate) - p * rate.diagonal(dim1=1, dim2=2)
    mean, variance = modes.Mistakes(CONFUSED).leak(p)
    assert_close(leak.mean(dim=0), mean, rtol=0.01, atol=0)
    assert_close(leak.var(dim=0), variance, rtol=0.05, atol=0)


def test_the_leak_of_two_groups_varies_by_the_mistakes_of_either():
    p = torch.rand(3, 3).double()
    mistakes = modes.Mistakes(CONFUSED, 2)
    rate, of_rate = mistakes.rate, mistakes.variance
    expected = torch.zeros(3, 3).double()
    for a in range(3):
        for b in range(3):
            for other in range(3):
                expected[a, b] += of_rate[other, a] * sum(p[other, j] * rate[j, b] for j in range(3)) ** 2
                expected[a, b] += of_rate[other, b] * sum(p[i, other] * rate[i, a] for i in range(3)) ** 2
    assert_close(mistakes.leak(p.flatten())[1], expected.flatten())
    assert not of_rate.diagonal().any()


def test_a_mode_is_covered_from_the_first_count_too_large_for_any_confusion():
    counts = torch.tensor([[60, 9, 0, 4], [1, 40, 2, 2], [12, 0, 80, 0], [0, 3, 0, 30]], dtype=torch.float64)
    p = torch.tensor([0.05, 0.4, 0.1, 0.45], dtype=torch.float64)
    pi = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    n, hq, draws = 400, 0.5, 400_000
    rate = torch.distributions.Dirichlet(counts + 0.5 / 4).sample((draws,))
    kept = rate.diagonal(dim1=1, dim2=2)
    # C_kk varies too, but is no part of the leak: its mean stands for it
    q0 = hq * (torch.einsum("j,njk->nk", p, rate) - p * kept) + 0.1 * pi * kept.mean(dim=0)
    seen = torch.poisson(n * q0)
    first = modes.needed(n, hq, p, pi, modes.Mistakes(counts))
    assert ((seen >= first).double().mean(dim=0) < 1.2 * 0.05 / 4).all()
    assert ((seen >= first - 1).double().mean(dim=0) > 0.95 * 0.05 / 4).all()


def test_a_confusion_matrix_is_smoothed_by_half_an_image_a_row():
    rate = modes.Mistakes(torch.tensor([[9.0, 1.0], [0.0, 4.0]])).rate
    assert_close(rate, torch.tensor([[9.25, 1.25], [0.25, 4.25]]).double() / torch.tensor([[10.5], [4.5]]).double())


def test_a_classifier_that_cannot_tell_its_classes_apart_is_declined():
    with pytest.raises(Unsupported, match="apart"):
        classify(logits_of(torch.zeros(10, 1).long()), torch.ones(10, 10), 1)


@pytest.mark.parametrize("what", ["logits", "confusion", "classes", "shape"])
def test_an_extractor_that_cannot_tell_the_modes_is_declined(what):
    x = normal(10, 20)
    given: dict[str, Columns] = {
        "logits": Columns(20, (), torch.eye(10)),
        "confusion": Columns(10, (10,)),
        "classes": Columns(15, (5,), torch.eye(5)),
        "shape": Columns(10, (10,), torch.eye(9)),
    }
    with pytest.raises(Unsupported, match="extractor"):
        score("modes", x, x, given[what], oracle=Oracle(torch.full((10,), 0.1)))
