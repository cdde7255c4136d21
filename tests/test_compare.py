"""``ganbench compare``: two rows against each other, as sentences, as numbers, and as a user meets it."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy import stats
from toy import COLUMNS, CPU, GPU, TAG, TOY, diverged, make, yardstick

from ganbench.errors import GanbenchError
from ganbench.leaderboards.comparison import Comparison, Contender, compare
from ganbench.leaderboards.table import build
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Component, Record
from ganbench.records.store import write

FID = f"fid@{TAG}"


def scored(entry: str, values: list[float], noise=0.001, draws=2, column=FID, **changed) -> list[Record]:
    """Records with these scores, judged ``draws`` times with about this noise."""
    records = []
    for seed, value in enumerate(values):
        scores = make(entry, seed).scores | {column: value}
        around = [{**scores, column: value + noise * (-1) ** draw / math.sqrt(2)} for draw in range(draws)]
        records.append(make(entry, seed, scores=scores, draws=around, **changed))
    return records


def against(a: list[Record], b: list[Record], column: str = FID) -> Comparison:
    tables = [build(records, TOY) for records in (a, b)]
    (one,), (other,) = (table.rows for table in tables)
    label = column.partition("@")[0]
    return compare(Contender(one, one.entry.name), Contender(other, other.entry.name), column, COLUMNS[column], label)


LOW, HIGH = [0.80, 0.82, 0.78, 0.81, 0.79], [1.5, 1.7, 1.6, 1.4, 1.8]
NEAR = [0.81, 0.79, 0.85, 0.80, 0.78]


# -- what is said --------------------------------------------------------------------------------------------


def test_a_clear_winner_is_named_with_ratio_and_p():
    found = against(scored("a+x", LOW), scored("b+x", HIGH))
    ratio = stats.gmean(LOW) / stats.gmean(HIGH)
    p = stats.ttest_ind(np.log(LOW), np.log(HIGH), equal_var=False).pvalue
    assert (found.difference.estimate, found.difference.p) == pytest.approx((ratio, p))
    low, high = np.exp(stats.ttest_ind(np.log(LOW), np.log(HIGH), equal_var=False).confidence_interval(0.95))
    ends = f"ratio {ratio:.3g} [{low:.3g}, {high:.3g}]"
    assert found.verdict == f"a+x has the lower fid: 0.800 against 1.59 ({ends}), p < 0.0001"
    assert (found.in_table, found.settled) == (None, True)
    assert (found.more_seeds, found.chance.estimate) == (0, 1)


def test_the_winner_is_named_first_whichever_side_it_stands_on():
    found, turned = (
        against(scored("a+x", LOW), scored("b+x", HIGH)),
        against(scored("b+x", HIGH), scored("a+x", LOW)),
    )
    assert found.verdict == turned.verdict
    assert turned.difference.estimate == pytest.approx(1 / found.difference.estimate)
    assert turned.chance.estimate == 0


def test_where_more_is_better_the_higher_wins_by_a_difference():
    column, ours, theirs = f"coverage@{TAG}", [0.80, 0.79, 0.81, 0.80, 0.82], [0.50, 0.52, 0.49, 0.51, 0.50]
    found = against(scored("a+x", theirs, column=column), scored("b+x", ours, column=column), column)
    low, high = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    ends = f"difference 0.300 [{low:.3f}, {high:.3f}]"
    assert found.verdict == f"b+x has the higher coverage: 0.804 against 0.504 ({ends}), p < 0.0001"
    assert not found.difference.log


def test_what_cannot_be_told_apart_is_said_with_the_seeds_that_would_settle_it():
    found = against(scored("a+x", LOW), scored("b+x", NEAR))
    assert found.difference.p > 0.05
    assert found.verdict == (
        f"these seeds cannot tell a+x and b+x apart by fid (p = {found.difference.p:.3f}); about {found.more_seeds} "
        "more seeds each would, with a probability of 80 %, if the difference is as large as it looks"
    )
    a, b = np.log(LOW), np.log(NEAR)
    d = abs(a.mean() - b.mean()) / math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    by_normal = 2 * ((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) / d) ** 2
    assert found.more_seeds + 5 == pytest.approx(by_normal, rel=0.1)


def test_rows_that_hardly_differ_are_called_a_tie():
    found = against(scored("a+x", [0.8, 0.9, 0.7]), scored("b+x", [0.9, 0.7, 0.80001]))
    assert found.more_seeds is None
    assert found.verdict.endswith("even 1000 seeds each would probably not be enough: call it a tie")
    same = against(scored("a+x", [0.8] * 5), scored("b+x", [0.8] * 5))
    assert (same.difference.p, same.more_seeds, same.difference.effect) == (1, None, None)


def test_seeds_that_go_together_are_compared_in_pairs_and_that_is_said():
    luck = [1.0, 2.0, 3.0, 4.0, 5.0]
    found = against(scored("a+x", luck), scored("b+x", [v * 1.1 + 0.01 * (-1) ** i for i, v in enumerate(luck)]))
    assert found.difference.paired
    assert found.test == "paired t-test of the logarithms: over 5 common seeds the scores correlate with r = 1.00"
    assert "a+x has the lower fid" in found.verdict
    alone = against(scored("a+x", luck), scored("b+x", [5.0, 1.0, 4.0, 2.0, 3.0]))
    assert alone.test.startswith("Welch's t-test of the logarithms; not paired: over 5 common seeds")


def test_the_pairs_are_those_of_the_same_seed_and_left_out_seeds_are_told():
    luck = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    six = msgspec.structs.replace(TOY, seeds=tuple(range(7)))
    a = scored("a+x", luck, digest=six.digest)
    b = scored("b+x", [9.0, *(v * 1.1 for v in luck[1:]), 7.7], digest=six.digest)[1:]
    (one,), (other,) = (build(records, six).rows for records in (a, b))
    found = compare(Contender(one, "a+x"), Contender(other, "b+x"), FID, COLUMNS[FID], "fid")
    assert found.difference.estimate == pytest.approx(1 / 1.1)
    assert "the paired test uses only the seeds that both rows have" in found.notes


def test_a_score_that_is_not_positive_is_compared_as_it_is_and_that_is_said():
    found = against(scored("a+x", [0.0, 0.1, 0.2]), scored("b+x", [0.5, 0.6, 0.9]))
    assert found.test.startswith("Welch's t-test (not of the logarithms, because a value is not positive)")
    assert found.difference.estimate == pytest.approx(0.1 - 2 / 3)


@pytest.fixture
def troubled() -> Comparison:
    """A row with a failed seed, against one that collapsed, is custom, edited, and ran on two machines."""
    failing = [*scored("a+x", LOW[:3]), diverged("a+x", 3)]
    alike = msgspec.structs.replace(make().self_checks, spread=0.01)
    odd = [make("b+x", seed, 0.5, self_checks=alike, changes={"lr": "1"}) for seed in range(5)]
    odd[4] = msgspec.structs.replace(odd[4], arch=Component("b", "ganbench", "0.1.0", "zz"), environment=GPU)
    return against(failing, odd)


@pytest.mark.parametrize(
    "note",
    [
        "a+x: 3/5, 1 diverged, 1 missing; the comparison covers only the runs with a score",
        "a+x: seeds 4 of the protocol are missing",
        "b+x lr=1: 5/5 collapsed: samples all alike (spread at most 0.02 of the reals')",
        "b+x lr=1 is custom",
        "b+x lr=1 is edited: the source hash of its arch is zz, while that of most runs is a1",
        "the two rows differ in the machine: Some CPU, 1 thread and Some CPU, 1 thread, Some GPU",
        "fewer than 5 runs",
    ],
)
def test_what_troubles_a_comparison_is_said(troubled, note):
    assert note in " | ".join(troubled.notes)


def test_a_row_with_a_failed_or_collapsed_seed_is_not_tested(troubled):
    assert troubled.difference is None


def test_where_judging_is_as_noisy_as_seeds_that_is_said():
    found = against(scored("a+x", LOW, noise=0.1), scored("b+x", HIGH, noise=0.001))
    doubts = [note for note in found.notes if "evaluation noise" in note]
    assert len(doubts) == 1
    assert doubts[0].startswith(
        "a+x: most of the spread between seeds is evaluation noise (sd 0.1 per evaluation, 2 per run)"
    )
    assert found.a.noise_share == pytest.approx(0.1**2 / 2 / np.var(LOW, ddof=1))
    once = against(scored("a+x", LOW, draws=1), scored("b+x", HIGH, draws=1))
    assert once.a.noise_share is None


# -- beside the table ----------------------------------------------------------------------------------------


def in_one_table(a: str, b: str, *groups: list[Record], column: str = FID) -> Comparison:
    table = build([record for group in groups for record in group], TOY)
    rows = {table.title(row): row for row in table.rows}
    label = column.partition("@")[0]
    return compare(Contender(rows[a], a), Contender(rows[b], b), column, COLUMNS[column], label, table.standing(column))


NARROW, ABOVE = [1.0, 1.1, 1.2, 0.9, 1.0], [1.2, 1.3, 1.1, 1.25, 1.2]


def test_rows_of_a_table_have_its_adjusted_p_and_its_ranges():
    groups = [scored(f"{name}+x", [v * factor for v in LOW]) for name, factor in (("c", 2.0), ("d", 3.0), ("e", 4.0))]
    found = in_one_table("a+x", "b+x", scored("a+x", NARROW), scored("b+x", ABOVE), *groups)
    logs = [np.log(values) for values in (NARROW, ABOVE, *([v * f for v in LOW] for f in (2.0, 3.0, 4.0)))]
    p = sorted(stats.ttest_ind(a, b, equal_var=False).pvalue for i, a in enumerate(logs) for b in logs[:i])
    mine = stats.ttest_ind(logs[0], logs[1], equal_var=False).pvalue
    assert p.index(pytest.approx(mine)) == 9  # the largest of ten: it is not multiplied, but never falls
    adjusted = max(min(1.0, value * (10 - step)) for step, value in enumerate(p))
    assert (found.in_table.adjusted, found.difference.p) == pytest.approx((adjusted, mine))
    assert (found.in_table.ranks, found.in_table.tests) == (("1", "2"), 10)


def test_what_the_table_does_not_tell_apart_is_not_settled_by_a_test_of_two():
    groups = [
        scored(f"{name}+x", [v * factor for v in ABOVE]) for name, factor in zip("cdefgh", range(2, 8), strict=True)
    ]
    alone = against(scored("a+x", NARROW), scored("b+x", ABOVE))
    near = scored("z+x", [v * 1.02 for v in NARROW])
    found = in_one_table("a+x", "b+x", scored("a+x", NARROW), scored("b+x", ABOVE), near, *groups)
    assert alone.settled
    assert found.difference.p == pytest.approx(alone.difference.p)
    assert not found.settled
    assert found.in_table.ranks[0] == "1-3"
    assert f"p = {found.in_table.adjusted:.3f} adjusted for the 36 pairs of the table" in found.verdict
    assert found.more_seeds > 0


def test_a_comparison_of_ranked_rows_never_contradicts_the_table():
    rng = np.random.default_rng(4)
    for _ in range(20):
        groups = [scored(f"{i}+x", np.exp(rng.normal(i / 6, 0.15, 5)).tolist()) for i in range(6)]
        table = build([record for group in groups for record in group], TOY)
        standing = table.standing(f"fid@{TAG}")
        for i, one in enumerate(standing.rows):
            for j, other in enumerate(standing.rows[:i]):
                found = compare(Contender(one, "a"), Contender(other, "b"), FID, COLUMNS[FID], "fid", standing)
                assert found.settled == (standing.ranking.adjusted[i, j] <= 0.05)
                assert not found.difference.paired
                disjoint = standing.ranking.ranges[i].best > standing.ranking.ranges[j].worst
                assert found.settled or not disjoint


def test_a_row_with_a_collapsed_seed_is_not_tested():
    alike = msgspec.structs.replace(make().self_checks, spread=0.01)
    fallen = [*scored("b+x", HIGH[:4]), msgspec.structs.replace(scored("b+x", HIGH)[4], self_checks=alike)]
    found = in_one_table("a+x", "b+x", scored("a+x", LOW), fallen, scored("c+x", NEAR))
    assert (found.difference, found.settled, found.more_seeds, found.in_table) == (None, False, None, None)
    assert found.test == "none: a seed failed or collapsed"
    assert found.verdict == (
        "not tested, because 1 of 5 seeds of b+x failed or collapsed: median fid 0.800 against 1.60; by rule, the "
        "table lists b+x below all complete rows"
    )


def test_against_the_gaussian_fit_the_tables_own_test_decides():
    """Four rows and a fit: what is significant alone is not among four."""
    fit = [
        msgspec.structs.replace(fit, scores=row.scores, draws=row.draws, columns=row.columns)
        for fit, row in zip(yardstick("gaussian fit", 0.5), scored("g+f", ABOVE), strict=True)
    ]
    rules = msgspec.structs.replace(TOY, evaluation=msgspec.structs.replace(TOY.evaluation, headline="fid"))
    groups = [scored("a+x", NARROW), *(scored(f"{n}+x", [v * 1.02 for v in ABOVE]) for n in "bcd"), fit]
    records = [msgspec.structs.replace(r, digest=rules.digest, headline="fid") for group in groups for r in group]
    table = build(records, rules)
    rows = {table.title(row): row for row in table.rows}
    assert rows["a+x"].not_beaten == "gaussian fit"
    both = [Contender(rows[name], name) for name in ("a+x", "gaussian fit")]
    found = compare(*both, FID, COLUMNS[FID], "fid", table.standing(FID))
    assert found.difference.p < 0.05 < found.in_table.adjusted == pytest.approx(4 * found.difference.p)
    assert not found.settled
    assert "adjusted for the 4 rows tested against gaussian fit" in found.verdict
    by_another = compare(*both, f"is@{TAG}", COLUMNS[f"is@{TAG}"], "is", None)
    assert by_another.in_table is None


# -- what is refused -----------------------------------------------------------------------------------------


def test_a_single_run_is_no_sample():
    with pytest.raises(GanbenchError, match=r"a\+x has 1 run with a score for fid, but a comparison needs two"):
        against(scored("a+x", LOW[:1]), scored("b+x", HIGH))


def test_a_row_that_was_only_begun_is_refused():
    with pytest.raises(GanbenchError, match=r"a\+x has no finished run"):
        against([make("a+x", status="interrupted")], scored("b+x", HIGH))


def test_a_column_without_direction_has_no_winner():
    both = [Contender(build(scored(entry, LOW), TOY).rows[0], entry) for entry in ("a+x", "b+x")]
    column = msgspec.structs.replace(COLUMNS[FID], goal="info")
    with pytest.raises(GanbenchError, match="neither higher nor lower is better"):
        compare(*both, FID, column, "fid")


@pytest.mark.parametrize(
    ("other", "why"),
    [({"digest": "ffffffffffff"}, "under different rules"), ({"dataset_hash": "d2"}, "judged on other data")],
)
def test_unequal_protocols_and_judges_are_never_compared(other, why):
    one, two = build(scored("a+x", LOW), TOY).rows[0], build(scored("b+x", HIGH, **other)).rows[0]
    with pytest.raises(GanbenchError, match=why):
        compare(Contender(one, "a+x"), Contender(two, "b+x"), FID, COLUMNS[FID], "fid")


# -- the command ---------------------------------------------------------------------------------------------

RULES = load_protocol("digits-16-v1")
ENTRIES = {"dcgan+r1": LOW, "dcgan+hinge": HIGH, "mlp+r1": NEAR, "mlp+wgan": LOW[:1]}


def own(entry: str, values: list[float], **changed) -> list[Record]:
    headline = RULES.evaluation.headline
    facts = {"protocol": RULES.name, "digest": RULES.digest, "headline": headline, "columns": {headline: COLUMNS[FID]}}
    records = []
    for seed, value in enumerate(values):
        both = {"scores": {headline: value}, "draws": [{headline: value}] * 2}
        records.append(make(entry, seed, environment=CPU, **(facts | both | changed)))
    return records


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with runs of digits-16-v1, where nothing is published."""
    (tmp_path / "leaderboards" / RULES.name).mkdir(parents=True)
    for entry, values in ENTRIES.items():
        for record in own(entry, values):
            write(record, tmp_path / "runs" / RULES.name / entry / f"seed{record.seed}" / "record.json")
    return tmp_path


def folder(entry: str) -> str:
    return f"runs/{RULES.name}/{entry}"


def test_folders_of_runs_are_compared_and_the_report_says_everything(home, ganbench_command):
    done = ganbench_command("compare", folder("dcgan+r1"), folder("dcgan+hinge"), env={"COLUMNS": "80"})
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    for word in ("geometric mean", "sd of one evaluation", "seed 4", "test", "Welch's t-test"):
        assert word in done.stdout
    plain = " ".join(done.stdout.split())
    assert re.search(r"chance that a run of A beats one of B 1.00 \[0.64, 1.00\]", plain)
    assert "seeds still needed, each none: it is settled" in plain
    assert "runs/digits-16-v1/dcgan+r1 has the lower fid: 0.800 against 1.59" in plain


def test_rows_are_found_by_name_among_the_runs_here(home, ganbench_command):
    done = ganbench_command("compare", "dcgan+r1", "mlp+r1", "--protocol", RULES.name, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["a"]["name"], found["b"]["name"], found["protocol"]) == ("dcgan+r1", "mlp+r1", RULES.name)
    assert found["a"]["values"] == dict(zip("01234", LOW, strict=True))
    assert set(found["difference"]) >= {"estimate", "low", "high", "p", "paired", "log", "effect"}


def test_a_folder_is_compared_with_a_row(home, ganbench_command):
    done = ganbench_command("compare", folder("dcgan+r1"), "mlp+r1")
    assert done.returncode == 0, done.stderr
    assert "these seeds cannot tell runs/digits-16-v1/dcgan+r1 and mlp+r1 apart" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dcgan+r2", "mlp+r1", "--protocol", "digits-16-v1"], "called 'dcgan+r2' - did you mean 'dcgan+r1'?"),
        (["dcgan+r1", "dcgan+r1", "--protocol", "digits-16-v1"], "are the same row"),
        (["dcgan+r1", "mlp+wgan", "--protocol", "digits-16-v1"], "mlp+wgan has 1 run"),
        (["dcgan+r1", "mlp+r1", "--protocol", "digits-16-v1", "--metric", "nonsense"], "no column called 'nonsense'"),
        (
            ["dcgan+r1", "mlp+r1", "--protocol", "digits-16-v9"],
            "no protocol called 'digits-16-v9' - did you mean 'digits-16-v2'?",
        ),
        (["runs/nowhere", "mlp+r1"], "runs/nowhere does not exist"),
        (["runs", "mlp+r1", "--protocol", "digits-16-v1"], "no row of digits-16-v1 is called 'runs'"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_sentence(home, ganbench_command, arguments, words):
    done = ganbench_command("compare", *arguments)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_runs_of_another_digest_are_refused_by_the_command(home, ganbench_command):
    for record in own("old+r1", LOW, digest="ffffffffffff"):
        write(record, home / "old" / f"seed{record.seed}" / "record.json")
    done = ganbench_command("compare", "old", folder("mlp+r1"))
    assert done.returncode == 2
    assert "were run under different rules" in " ".join(done.stderr.split())


def test_runs_of_a_protocol_that_is_not_installed_are_compared_by_their_folders(home, ganbench_command):
    for entry, values in (("a+x", LOW), ("b+x", HIGH)):
        for record in own(entry, values, protocol="gone-v1", digest="ffffffffffff"):
            write(record, home / entry / f"seed{record.seed}" / "record.json")
    done = ganbench_command("compare", "a+x", "b+x")
    assert done.returncode == 0, done.stderr
    assert "a+x has the lower" in done.stdout


def test_a_folder_of_several_rows_is_refused(home, ganbench_command):
    for i, record in enumerate(own("a+x", LOW[:2]) + own("b+x", LOW[:2])):
        write(record, home / "both" / f"seed{i}" / "record.json")
    done = ganbench_command("compare", "both", folder("mlp+r1"))
    assert done.returncode == 2
    assert "both holds 2 rows: a+x, b+x" in " ".join(done.stderr.split())


def test_an_incomplete_row_made_here_does_not_stand_for_the_published_one(tmp_path, ganbench_command):
    published = own("dcgan+r1", LOW) + own("mlp+r1", HIGH)
    for record in published:
        write(record, tmp_path / "leaderboards" / RULES.name / "records" / record.file_name)
    for record in own("dcgan+r1", [9.0] * 4):
        write(record, tmp_path / "runs" / RULES.name / "dcgan+r1" / f"seed{record.seed}" / "record.json")
    done = ganbench_command("compare", "dcgan+r1", "mlp+r1", "--protocol", RULES.name, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["a"]["values"] == dict(zip("01234", LOW, strict=True))


def test_runs_that_no_published_row_shares_a_judge_with_are_ranked_among_themselves(home, ganbench_command):
    other = {"fid": Component("fid", "ganbench", "0.1.0", "f1", revision=2)}
    for entry, values in (("mlp+hinge", LOW), ("mlp+lsgan", HIGH), ("sngan+hinge", NEAR), ("sngan+r1", HIGH)):
        for record in own(entry, values, metrics=other):
            write(record, home / "leaderboards" / RULES.name / "records" / record.file_name)
    done = ganbench_command("compare", folder("dcgan+r1"), folder("dcgan+hinge"), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["in_table"]["ranks"], found["in_table"]["tests"]) == (["1-2", "3"], 3)


def test_runs_judged_by_another_revision_of_a_metric_are_compared_by_the_others(home, ganbench_command):
    headline = RULES.evaluation.headline
    fid = Component("fid", "ganbench", "0.1.0", "f1", revision=1)
    old, new = ({"fid": fid, "m": Component("m", "ganbench", "0.1.0", "m", revision=n)} for n in (1, 2))
    for entry, values in (("sngan+hinge", NEAR), ("sngan+r1", HIGH), ("mlp+hinge", LOW), ("mlp+lsgan", HIGH)):
        for record in own(entry, values, metrics=old):
            write(record, home / "leaderboards" / RULES.name / "records" / record.file_name)
    owned = {headline: msgspec.structs.replace(COLUMNS[FID], metric="fid")}
    for record in own("stylegan2+r1", LOW, metrics=new, columns=owned):
        write(record, home / "runs" / RULES.name / "stylegan2+r1" / f"seed{record.seed}" / "record.json")
    done = ganbench_command("compare", "stylegan2+r1", "sngan+r1", "--protocol", "digits-16-v1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["in_table"] is not None


def test_compare_starts_without_torch_pandas_or_scipy_stats(home, ganbench_command):
    code = (
        "import sys; sys.argv = ['ganbench', 'compare', 'dcgan+r1', 'mlp+r1', '--protocol', 'digits-16-v1', '--json']\n"
        "from ganbench.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print({'torch', 'pandas', 'scipy.stats'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "set()"
