"""Data that no score is right for: refused, or said in one sentence; a floor at the rows' own number of samples."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from PIL import Image
from torch import Tensor
from toy import TOY, make, seeds

from ganbench import Absent, Dataset, DataSpec, Evaluating, Evaluation, Extractor, Protocol, Split, Training
from ganbench.errors import DataError, Doubt, Unsupported
from ganbench.evaluation import yardsticks
from ganbench.evaluation.judge import Judge
from ganbench.evaluation.selfcheck import SelfCheck
from ganbench.leaderboards.table import build
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Record
from ganbench.runs.setup import doubts_of, prepare
from ganbench_baselines.metric import density_coverage, fid, intra_fid, modes, translation

CPU = torch.device("cpu")


class Raw(Extractor):
    """``x[B, F]``, as it is."""

    name, version = "raw", "1"

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x.double(), None


def points(n: int, features: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(n, features, generator=torch.Generator().manual_seed(seed))


def judged(real: Tensor, fake: Tensor, metric, **facts) -> dict:
    spec = DataSpec(tuple(real.shape[1:]), bounded=False)
    return metric(Evaluation(real, fake, spec, torch.Generator().manual_seed(0), extractor=Raw(), **facts))


# -- absent scores -----------------------------------------------------------------------------------------------------


def test_the_balance_of_modes_is_absent_where_hardly_anything_is_of_high_quality() -> None:
    pi = torch.full((8,), 1 / 8, dtype=torch.float64)
    mode = torch.full((2500,), -1)
    mode[:32] = torch.arange(8).repeat(4)  # perfectly balanced, and 1.3 % of all
    found = modes.score(mode, pi, None, 0.98889)
    assert found["mode_kl"] == Absent("only 1.3 % of the samples are of high quality") == found["mode_kl_raw"]
    assert (found["modes_hit"], found["hq_fraction"]) == (8, 32 / 2500)
    mode[:800] = torch.arange(8).repeat(100)
    assert modes.score(mode, pi, None, 0.98889)["mode_kl"] == 0
    assert isinstance(modes.score(torch.full((9,), -1), pi, None, 1.0)["mode_kl"], Absent)


def test_the_balance_of_more_modes_than_samples_is_absent() -> None:
    pi = torch.full((1000,), 1e-3, dtype=torch.float64)
    found = modes.score(torch.arange(900), pi, None, 1.0)
    assert found["mode_kl"] == Absent("900 samples of high quality are fewer than the 1000 modes")


def test_intra_fid_is_absent_where_the_fakes_lack_a_class() -> None:
    labels = torch.arange(100) % 4
    score = partial(judged, points(100), points(100, seed=1), intra_fid.ganbench_metric(), real_labels=labels)
    found = score(fake_labels=labels.where(labels != 3, 0))
    assert set(found.values()) == {Absent("class 3 has 25 real and 0 fake samples; both need 2")}
    assert score(fake_labels=labels)["intra_fid"] > 0


def test_unpaired_translations_keep_their_cycle_error() -> None:
    class Shifted:
        def __call__(self, like: Split) -> Split:
            return Split(like.x, source=like.source + 0.5)

    real = points(20)
    spec = DataSpec((2,), bounded=False, source=(2,))
    given = Evaluation(
        real, points(20, seed=1), spec, torch.Generator(), real_source=points(20), fake_source=points(20),
        remake=lambda like: Split(real, source=points(20)),
    )  # fmt: skip
    found = translation.ganbench_metric()(given)
    assert "not paired" in found["paired_error"].reason
    assert found["cycle_error"] == 0


class Half:
    """One column that exists, and one that does not."""

    columns: ClassVar[Mapping[str, str]] = {"there": "min", "gone": "max"}
    version = 1

    def __call__(self, evaluation: Evaluation) -> dict:
        return {"there": 1.0, "gone": Absent("nothing to see")}


class Declines:
    columns: ClassVar[Mapping[str, str]] = {"never": "min"}
    version = 1

    def __call__(self, evaluation: Evaluation) -> dict:
        raise Unsupported("needs labels")


def dataset(n: int = 300, features: int = 2) -> Dataset:
    spec, halves = DataSpec((features,), bounded=False), (Split(points(n, features, seed)) for seed in (0, 1))
    return Dataset("plain", spec, *halves)


def test_one_absent_column_costs_neither_the_others_nor_another_metric() -> None:
    data = dataset()
    judge = Judge(data, data.train, {"half": Half(), "fid": fid.ganbench_metric(), "no": Declines()}, Raw(), CPU)
    verdict = judge.score(data.test, 0)
    assert set(verdict.scores) == {"there", f"fid@{judge.tag}"} == set(verdict.columns)
    assert verdict.absent == {"gone": "nothing to see", "never": "needs labels"}


def test_a_fid_of_no_samples_is_absent() -> None:
    data = dataset()
    verdict = Judge(data, data.train, {"fid": fid.ganbench_metric()}, Raw(), CPU).score(Split(points(0)), 0)
    assert verdict.absent == {"fid": "a covariance needs 2 samples of each kind, not 0"}


def without(record: Record, column: str, reason: str) -> Record:
    """The record, as it were if the score ``column``, in full, did not exist."""

    def rest(facts: Mapping) -> dict:
        return {name: value for name, value in facts.items() if name != column}

    kept = {
        "scores": rest(record.scores),
        "draws": [rest(draw) for draw in record.draws],
        "columns": rest(record.columns),
    }
    return replace(record, **kept, absent={column.partition("@")[0]: reason})


def test_a_table_says_which_score_is_missing_why_and_of_how_many() -> None:
    records = seeds("dcgan+hinge", 0.5)
    tag = next(name for name in records[0].scores if name.startswith("fid@"))
    table = build([*records[:3], *(without(record, tag, "no samples") for record in records[3:])], TOY)
    (row,) = table.block("entry")
    assert row.scores[tag].n == 3
    assert "no fid in 2 records (dcgan+hinge): no samples" in table.notes


def test_a_row_without_a_headline_in_some_seed_stands_below_others_and_says_so() -> None:
    records = seeds("dcgan+hinge", 0.9)
    headline = next(name for name in records[0].scores if name.startswith("coverage@"))
    lacking = without(records[4], headline, "no neighbours")
    table = build([*records[:4], lacking, *seeds("mlp+hinge", 0.1)], TOY)
    best, worst = table.block("entry")
    assert (best.entry.name, worst.entry.name) == ("mlp+hinge", "dcgan+hinge")
    assert (best.rank, worst.rank, worst.part) == ((1, 1), None, "unstable")
    assert worst.verdict == "4/5, 1 without a headline"


# -- radii of nothing --------------------------------------------------------------------------------------------------


def test_copies_of_reals_are_covered_by_copies_and_real_data_cover_themselves() -> None:
    copies = points(30).repeat(6, 1)  # every real has five copies beside it: radii are 0
    found = judged(copies, copies.clone(), density_coverage.ganbench_metric())
    assert found["coverage"] == 1
    assert found["density"] == pytest.approx(6 / 5)
    far = judged(copies, copies + 1, density_coverage.ganbench_metric())
    assert far == {"coverage": 0, "density": 0}


ALIKE = '''
    """Points, all of them alike but for the last, which is whatever is asked for."""
    import torch
    from ganbench import Dataset, DataSpec, Split, hookimpl
    @hookimpl
    def ganbench_dataset(argument):
        x = torch.full((50, 2), 0.3)
        x[-1] = float(argument)
        return Dataset("alike", DataSpec((2,), bounded=False), Split(x), Split(x))
'''


@pytest.mark.filterwarnings("ignore::ganbench.errors.Doubt")
def test_data_without_any_variance_are_refused(install_here) -> None:
    install_here("third-party", "dataset", "alike", ALIKE, module="alike_dataset")
    judging = Evaluating(samples=50, metrics=("density-coverage",), headline="coverage", extractor="raw")
    rules = Protocol(
        name="mine-v1", dataset="alike:0.3", seeds=(0,), training=Training(budget_kimg=0.1), evaluation=judging
    )
    with pytest.raises(DataError, match="all samples of 'alike' are alike"):
        prepare(rules, "cpu")
    assert prepare(replace(rules, dataset="alike:0.4"), "cpu").dataset.name == "alike"


@pytest.mark.parametrize("alike", [True, False])
def test_pictures_are_looked_at_before_a_run_of_them_begins(alike, tmp_path) -> None:
    numbers = np.random.default_rng(0)
    for i in range(40):
        pixels = np.full((8, 8), 90) if alike else numbers.integers(0, 256, (8, 8))
        (tmp_path / f"class{i % 2}").mkdir(exist_ok=True)
        Image.fromarray(pixels.astype("uint8")).save(tmp_path / f"class{i % 2}" / f"{i}.png")
    smoke = load_protocol("smoke-v1")
    rules = replace(smoke, dataset=f"folder:{tmp_path}", resolution=16)
    rules = replace(rules, evaluation=replace(rules.evaluation, samples=10))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(DataError, match=r"all samples of 'folder:.*' are alike") if alike else nullcontext():
            assert prepare(rules, "cpu").doubts == tuple(str(one.message) for one in said)
    assert any("tells 10 classes apart, but folder:" in str(one.message) for one in said) != alike


# -- floors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "train", "test", "n", "expected"),
    [
        ("train", 400, 400, 300, 300),  # the other part suffices
        ("train", 400, 50, 150, 150),  # two halves of the same part do
        ("train", 400, 50, 300, 200),  # nothing does: the larger halves
        ("test", 90, 400, 200, 200),
        ("all", 300, 100, 200, 200),
        ("all", 300, 100, 300, 200),
    ],
)
def test_the_floor_is_scored_at_the_rows_own_number_wherever_the_data_suffice(part, train, test, n, expected) -> None:
    spec = DataSpec((2,), bounded=False)
    data = Dataset("plain", spec, Split(points(train)), Split(points(test, seed=1)))
    reference = data.part(part)[torch.arange(n)]
    real, fake = yardsticks.real(data, reference, part, 3)
    assert (len(real), len(fake)) == (expected, expected)
    assert not {tuple(x) for x in real.x.tolist()} & {tuple(x) for x in fake.x.tolist()}


# -- a Gaussian of large samples ---------------------------------------------------------------------------------------


def wide(n: int, features: int, rank: int) -> Dataset:
    """Points around a subspace of ``rank`` dimensions, with different means."""
    rng = torch.Generator().manual_seed(0)
    directions = torch.randn(rank, features, generator=rng, dtype=torch.float64)
    x = torch.randn(n, rank, generator=rng, dtype=torch.float64) @ directions + torch.rand(features, generator=rng)
    x = (x + 0.3 * torch.randn(n, features, generator=rng)).float()
    return Dataset("wide", DataSpec((features,), bounded=False), Split(x), Split(x))


def fitted(data: Dataset, n: int) -> yardsticks.Drawn:
    """A Gaussian fit of ``n`` samples."""
    return yardsticks.draw("gaussian fit", data, Split(torch.zeros(n, *data.spec.shape)), "train", 1)


def test_a_gaussian_of_large_samples_is_of_low_rank_and_says_so_in_its_name() -> None:
    data = wide(400, 3 * 40 * 40, 5)
    drawn = fitted(data, 2000)
    assert drawn.name == "low-rank gaussian fit"
    x, made = data.train.x.double(), drawn.fake.x.double()
    torch.testing.assert_close(made.mean(0), x.mean(0), atol=0.35, rtol=0)
    assert (made.var(0) / x.var(0)).mean().item() == pytest.approx(1, abs=0.08)
    along = torch.linalg.svd(x - x.mean(0), full_matrices=False).Vh[:5].T  # these directions hold their covariance
    torch.testing.assert_close((made @ along).var(0), (x @ along).var(0), rtol=0.15, atol=0)
    small = Dataset("small", DataSpec((2,), bounded=False), Split(points(50)), Split(points(50)))
    assert fitted(small, 50).name == "gaussian fit"


def test_a_low_rank_gaussian_has_the_means_and_the_variances_of_the_data(monkeypatch) -> None:
    monkeypatch.setattr(yardsticks, "LARGEST", 11)
    monkeypatch.setattr(yardsticks, "RANK", 2)
    data = wide(400, 12, 4)
    made, x = fitted(data, 200_000).fake.x.double(), data.train.x.double()
    deviation = x.std(0)
    torch.testing.assert_close(made.mean(0), x.mean(0), atol=5 * deviation.max().item() / 200_000**0.5, rtol=0)
    torch.testing.assert_close(made.std(0), deviation, rtol=0.01, atol=0)
    along = torch.linalg.svd(x - x.mean(0), full_matrices=False).Vh[:2].T
    torch.testing.assert_close(torch.cov((made @ along).T), torch.cov((x @ along).T), rtol=0.1, atol=0.2)


# -- doubts ------------------------------------------------------------------------------------------------------------


def test_fewer_samples_than_features_are_said_with_the_score() -> None:
    data = dataset(20, features=30)
    verdict = Judge(data, data.train, {"fid": fid.ganbench_metric()}, Raw(), CPU).score(data.test, 0)
    (doubt,) = verdict.doubts
    assert doubt.startswith("20 samples are no more than the 30 features, so a Fréchet distance is mostly bias")
    enough = dataset(200, features=30)
    assert not Judge(enough, enough.train, {"fid": fid.ganbench_metric()}, Raw(), CPU).score(enough.test, 0).doubts


def test_a_target_of_an_error_against_known_pairs_is_in_reach() -> None:
    data = load_protocol("digits-edges-v2")
    judge = prepare(data, "cpu").judge
    check = SelfCheck(judge, "test", "translation", 0, "paired_error", data.evaluation.target)
    assert check.floor["paired_error"] > data.evaluation.target
    assert not [doubt for doubt in check.doubts if "out of reach" in doubt]


def test_a_target_beyond_what_real_data_reach_is_said() -> None:
    data = dataset()
    judge = Judge(data, data.train, {"fid": fid.ganbench_metric()}, Raw(), CPU)
    (doubt,) = SelfCheck(judge, "train", "fid", 0, "fid", 1e-9).doubts
    assert doubt.startswith("the target fid 1e-09 is out of reach: real data score 0.0")
    assert SelfCheck(judge, "train", "fid", 0, "fid", 5.0).doubts == []


def test_an_extractor_made_for_other_data_is_said_with_its_classes() -> None:
    class Digits(Raw):
        name, trained_on = "digits-cnn", ("digits",)

    logits = torch.zeros(2, 10)
    own = Dataset("folder:mine", DataSpec((1, 16, 16), classes=9), Split(torch.zeros(2)), Split(torch.zeros(2)))
    first, second = doubts_of(Digits(), "folder", own, logits)
    assert first == "the extractor digits-cnn was made for digits, so its scores of folder:mine may mean little"
    assert second == "the extractor digits-cnn tells 10 classes apart, but folder:mine has 9"
    assert doubts_of(Digits(), "digits", own, logits) == []
    assert doubts_of(Raw(), "folder", own, logits) == []


def test_doubts_stand_under_the_table() -> None:
    table = build([make(seed=seed, doubts=("too few samples",)) for seed in range(5)], TOY)
    assert "too few samples (5 of 5 records: dcgan+hinge)" in table.notes


def test_a_doubt_is_a_warning_of_one_line() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.warn(Doubt("too few samples"), stacklevel=1)
    assert str(said[0].message) == "too few samples"


def test_no_published_protocol_has_a_doubtful_extractor() -> None:
    from ganbench import plugins

    for source in plugins.of_kind("protocol"):
        rules = plugins.build(source)
        rules = rules if isinstance(rules, Protocol) else Protocol(**rules)
        if rules.evaluation.extractor not in (None, "inception"):  # which judges any image, and may not be here
            extractor = plugins.build(plugins.find("extractor", rules.evaluation.extractor), argument="")
            assert not extractor.trained_on or rules.dataset_ref.name in extractor.trained_on, rules.name


def test_a_protocol_that_ranks_by_what_does_not_exist_is_refused_before_training() -> None:
    from ganbench.runs.setup import Bench

    data = dataset()
    judge = Judge(data, data.train, {"half": Half()}, None, CPU)
    rules = Protocol(
        name="p-v1", dataset="plain", seeds=(0,), training=Training(budget_kimg=1),
        evaluation=Evaluating(samples=300, metrics=("half",), headline="gone"),
    )  # fmt: skip
    bench = Bench(rules, CPU, data, judge, judge, {}, {})
    with pytest.raises(Unsupported, match="ranks by gone, which has no score even for its real data: nothing to see"):
        _ = bench.self_check
