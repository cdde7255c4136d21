"""Tables from records: rows, ranks, failures, yardsticks, collapse."""

from __future__ import annotations

import json
import re

import msgspec
import numpy as np
import pytest
from scipy import stats
from table_reading import names, row, shown
from toy import COLUMNS, TAG, TOY, diverged, make, seeds, yardstick

from ganbench.leaderboards.export import to_frame, to_json
from ganbench.leaderboards.table import Table, build
from ganbench.pages.markdown import to_markdown
from ganbench.records.record import Column, Record

# -- rows and ranks --------------------------------------------------------------------------------------------


def test_complete_rows_stand_first_by_headline_then_failing_then_incomplete_ones(mixed):
    table = build(mixed, TOY)
    assert [(table.title(r), r.part, r.rank) for r in table.block("entry")] == [
        ("dcgan+wgan-gp", "ranked", (1, 1)),
        ("dcgan+hinge", "ranked", (2, 2)),
        ("mlp+hinge", "ranked", (3, 3)),
        ("dcgan+wgan", "unstable", None),
        ("mlp+lsgan", "incomplete", None),
    ]


def test_entries_that_five_seeds_cannot_tell_apart_share_a_range():
    table = build(seeds("a+x", 0.5) + seeds("b+x", 0.501) + seeds("c+x", 0.3), TOY)
    assert [str(r.rank) for r in table.rows] == ["1-2", "1-2", "3"]
    assert "| 1-2 | b | x |" in to_markdown(table)
    assert [(r["rank"]["best"], r["rank"]["worst"]) for r in json.loads(to_json(table))["rows"]] == [(1, 2)] * 2 + [
        (3, 3)
    ]
    assert to_frame(table)[["rank", "rank worst"]].values.tolist() == [[1, 2], [1, 2], [3, 3]]


def test_a_headline_to_be_minimised_puts_the_smallest_first(mixed):
    rules = msgspec.structs.replace(TOY.evaluation, headline="fid")
    protocol = msgspec.structs.replace(TOY, evaluation=rules)
    records = [msgspec.structs.replace(r, digest=protocol.digest) for r in mixed]
    table = build(records, protocol)
    assert table.headline == f"fid@{TAG}"
    assert names(table)[:3] == ["dcgan+wgan-gp", "dcgan+hinge", "mlp+hinge"]
    assert "t-test of the logarithms" in to_markdown(table)
    zero = {**records[0].scores, f"fid@{TAG}": 0.0}
    records[0] = msgspec.structs.replace(records[0], scores=zero)
    plain = build(records, protocol)
    assert "of the logarithms" not in to_markdown(plain)
    assert not any(summary.log for r in plain.rows for name, summary in r.scores.items() if name == table.headline)


def test_a_score_on_the_log_scale_is_averaged_and_sorted_there():
    """Of two rows the arithmetic means say the opposite of what is tested."""
    column = f"fid@{TAG}"
    rules = msgspec.structs.replace(TOY, evaluation=msgspec.structs.replace(TOY.evaluation, headline="fid"))

    def row_of(entry: str, values: list[float]) -> list[Record]:
        return [
            make(entry, seed, scores={column: v}, draws=[], columns={column: COLUMNS[column]}, digest=rules.digest)
            for seed, v in enumerate(values)
        ]

    table = build(row_of("a+x", [1.0, 1.0, 1.0, 1.0, 9.0]) + row_of("b+x", [2.0, 2.1, 1.9, 2.0, 2.0]), rules)
    assert names(table) == ["a+x", "b+x"]
    first = table.rows[0].scores[column]
    low, high = stats.t.interval(0.95, 4, np.log(first.values).mean(), stats.sem(np.log(first.values)))
    assert (first.centre, first.low, first.high) == pytest.approx((9**0.2, np.exp(low), np.exp(high)))
    assert "| 1.6 [0.5, 5] |" in to_markdown(table)
    assert "fid: geometric mean over seeds" in to_markdown(table)


def test_scores_are_summed_up_over_seeds(mixed):
    entry = row(build(mixed, TOY), "dcgan+wgan-gp")
    values = tuple(r.scores[f"coverage@{TAG}"] for r in mixed if r.entry == "dcgan+wgan-gp")
    assert entry.scores[f"coverage@{TAG}"].values == values
    assert entry.scores[f"coverage@{TAG}"].centre == pytest.approx(sum(values) / 5)
    assert entry.noise[f"coverage@{TAG}"] == pytest.approx(0.001 * 2**0.5)


def test_costs_are_medians_over_seeds(mixed):
    costs = row(build(mixed, TOY), "dcgan+wgan-gp").costs
    assert costs == {
        "samples/s": 4002,
        "memory_mb": 400,
        "params_g": 99_123,
        "params_d": 34_210,
        "kimg": 100,
        "cpu_s": 27,
    }


def test_components_of_one_name_from_two_packages_are_two_rows_with_package_names():
    table = build(seeds("dcgan+hinge", 0.5) + seeds("other:dcgan+hinge", 0.6), TOY)
    assert names(table) == ["other:dcgan+hinge", "ganbench:dcgan+hinge"]
    assert "other:dcgan" in to_markdown(table)


def test_equal_rows_stand_by_arch_then_loss_then_package_and_after_them_yardsticks():
    entries = ["other:dcgan+x", "dcgan+y", "dcgan+x", "mlp+a"]
    records = [*yardstick("constant", 0.5), *(record for entry in entries for record in seeds(entry, 0.5))]
    expected = ["ganbench:dcgan+x", "other:dcgan+x", "ganbench:dcgan+y", "mlp+a", "constant"]
    table = build(records, TOY)
    assert [table.title(row) for row in table.rows] == expected


def test_a_single_seed_has_neither_interval_nor_rank():
    protocol = msgspec.structs.replace(TOY, seeds=(0,))
    records = [make("a+x", 0, 0.5, digest=protocol.digest), make("b+x", 0, 0.6, digest=protocol.digest)]
    records += [msgspec.structs.replace(diverged("c+x", 0), digest=protocol.digest)]
    table = build(records, protocol)
    assert [(table.title(r), r.rank) for r in table.rows] == [("b+x", None), ("a+x", None), ("c+x", None)]
    assert "| – | b | x | 0.592 |" in to_markdown(table)


def test_fewer_than_five_seeds_are_flagged():
    three = msgspec.structs.replace(TOY, seeds=(0, 1, 2))
    table = build(seeds("a+x", 0.5, n=3, digest=three.digest) + seeds("b+x", 0.7, 3, digest=three.digest), three)
    assert [r.rank for r in table.rows] == [(1, 1), (2, 2)]
    assert "3/3†" in to_markdown(table)
    assert "fewer than 5 runs" in to_markdown(table)
    assert "†" not in to_markdown(build(seeds("a+x", 0.5), TOY))


# -- failures, missing seeds, custom rows, yardsticks ----------------------------------------------------------


def test_an_entry_with_failures_stands_below_every_complete_one_however_good(mixed):
    table = build(mixed, TOY)
    failing = row(table, "dcgan+wgan")
    best = max(r.scores[table.headline].centre for r in table.block("entry") if r is not failing)
    assert failing.scores[table.headline].centre > best
    assert (failing.rank, failing.part) == (None, "unstable")
    assert failing.verdict == "3/5, 2 diverged"
    text = to_markdown(table)
    assert text.index("| dcgan | wgan |") > text.index("## Rows with a failed or collapsed seed")
    assert "by rule; no test has found them worse" in text
    assert "medians, not tested" in shown(table)


def test_the_survivors_show_their_median_and_extremes_in_place_of_an_interval(mixed):
    line = next(line for line in to_markdown(build(mixed, TOY)).splitlines() if "| wgan |" in line)
    assert "| 0.900 (0.892 to 0.908) |" in line
    assert "[" not in line


def test_rows_with_failures_stand_in_the_order_of_how_many_then_of_the_median():
    def failing(entry: str, level: float, n: int) -> list[Record]:
        return seeds(entry, level, n=5 - n) + [diverged(entry, seed) for seed in range(5 - n, 5)]

    records = failing("a+x", 0.9, 3) + failing("b+x", 0.2, 1) + failing("c+x", 0.3, 1) + failing("d+x", 0.9, 5)
    assert names(build(records, TOY)) == ["c+x", "b+x", "a+x", "d+x"]


def test_below_the_line_the_median_decides_and_not_the_mean():
    def failing(entry: str, levels: tuple[float, ...]) -> list[Record]:
        return [make(entry, s, level) for s, level in enumerate(levels)] + [diverged(entry, 4)]

    high_mean, high_median = failing("a+x", (0.1, 0.2, 0.3, 0.99)), failing("b+x", (0.01, 0.3, 0.31, 0.32))
    table = build(high_mean + high_median, TOY)
    assert names(table) == ["b+x", "a+x"]
    means = [r.scores[table.headline].centre for r in table.rows]
    assert means[0] < means[1]


def test_seeds_that_agree_on_a_count_of_modes_share_ranks_with_one_mode_less():
    """Without the least deviation of one count, three seeds of 100 modes and three of 99 would differ for sure."""
    evaluation = msgspec.structs.replace(TOY.evaluation, headline="modes_hit")
    rules = msgspec.structs.replace(TOY, seeds=(0, 1, 2), evaluation=evaluation)
    columns = {"modes_hit": Column("max", 0, None)}

    def hits(entry: str, modes: float) -> list[Record]:
        scores = {"modes_hit": modes}
        return seeds(entry, 0.5, 3, digest=rules.digest, scores=scores, draws=[scores], columns=columns)

    table = build(hits("a+x", 100.0) + hits("b+x", 99.0) + hits("c+x", 20.0), rules)
    assert [(table.title(r), str(r.rank)) for r in table.rows] == [("a+x", "1-2"), ("b+x", "1-2"), ("c+x", "3")]


def test_a_failure_is_told_with_its_reason_everywhere(mixed):
    table = build(mixed, TOY)
    sentence = "dcgan+wgan: 2/5 diverged: d_loss is not finite at iteration 120"
    assert table.failures == [sentence]
    assert sentence in to_markdown(table)
    assert sentence in shown(table)
    failures = next(r for r in json.loads(to_json(table))["rows"] if r["name"] == "dcgan+wgan")["failures"]
    assert [(f["seed"], f["status"]) for f in failures] == [(3, "diverged"), (4, "diverged")]


def test_an_entry_of_failures_only_is_still_a_row():
    table = build(seeds("a+x", 0.5) + [diverged("b+x", seed) for seed in range(5)], TOY)
    assert [(table.title(r), r.rank, r.verdict) for r in table.rows] == [
        ("a+x", (1, 1), "5/5"),
        ("b+x", None, "0/5, 5 diverged"),
    ]
    assert "| – | b | x | – |" in to_markdown(table)


def test_a_table_of_failures_only_has_no_winner():
    table = build([diverged("b+x", seed) for seed in range(5)], TOY)
    assert [r.rank for r in table.rows] == [None]
    assert "0/5, 5 diverged" in to_markdown(table)
    assert "0/5" in shown(table)


def test_survivors_of_a_table_without_a_complete_entry_win_nothing():
    table = build([*seeds("a+x", 0.9, n=4), diverged("a+x", 4)], TOY)
    assert [(r.verdict, r.rank) for r in table.rows] == [("4/5, 1 diverged", None)]


def test_scores_of_a_run_that_failed_do_not_count():
    late = make("a+x", 4, 0.99)
    late = msgspec.structs.replace(late, status="timeout", reason="9 s")
    assert build([*seeds("a+x", 0.5, n=4), late], TOY).rows[0].scores[f"fid@{TAG}"].n == 4


def test_of_many_reasons_two_are_told_and_the_others_counted():
    failed = [make("b+x", seed, status="error", reason=f"reason {seed}") for seed in range(4)]
    assert build(failed[:3], TOY).failures == ["b+x: 3/5 error: reason 0; reason 1 (and 1 other reason)"]
    assert build(failed, TOY).failures == ["b+x: 4/5 error: reason 0; reason 1 (and 2 other reasons)"]


def test_different_ways_to_fail_are_told_apart():
    records = [make("b+x", 0), diverged("b+x", 1), make("b+x", 2, status="error", reason="E: a | b\nc")]
    records += [make("b+x", 3, status="timeout", reason="9 s")]
    table = build(records, TOY)
    assert table.rows[0].verdict == "1/5, 1 diverged, 1 error, 1 timeout, 1 missing"
    assert "b+x: 1/5 error: E: a | b c" in table.failures
    assert r"E: a \| b c" in to_markdown(table)
    assert table.rows[0].rank is None


def test_missing_seeds_are_no_failures_and_leave_an_entry_without_rank(mixed):
    table = build(mixed, TOY)
    incomplete = row(table, "mlp+lsgan")
    assert (incomplete.missing, incomplete.rank, incomplete.verdict) == ((3, 4), None, "3/5, 2 missing")
    assert names(table)[-1] == "mlp+lsgan"


def test_an_interrupted_run_counts_as_missing_and_a_skipped_one_is_told():
    records = [*seeds("a+x", 0.5, n=4), make("a+x", 4, status="interrupted", reason="stopped at 3 kimg")]
    records += [make("b+x", seed, status="skipped", reason="needs pairs") for seed in range(5)]
    table = build(records, TOY)
    assert [(table.title(r), r.verdict) for r in table.rows] == [("a+x", "4/5, 1 missing")]
    assert table.left_out == ("b+x was skipped: needs pairs",)


def test_an_entry_that_was_only_begun_is_a_row_without_scores():
    table = build([make("a+x", 0, status="interrupted")], TOY)
    assert [(r.verdict, r.rank) for r in table.rows] == [("0/5, 5 missing", None)]
    assert "| – | a | x |" in to_markdown(table)
    assert "0/5" in shown(table)
    assert len(to_frame(table)) == len(json.loads(to_json(table))["rows"]) == 1


def test_custom_rows_are_never_ranked_and_stand_below(mixed):
    table = build(mixed, TOY)
    assert [(table.title(r), r.rank) for r in table.block("custom")] == [("mlp+lsgan lr=0.001", None)]
    ranked = [r.rank for r in table.block("entry")]
    without = build([r for r in mixed if r.entry != "mlp+lsgan lr=0.001"], TOY)
    assert ranked == [r.rank for r in without.block("entry")]
    text = to_markdown(table)
    assert text.index("lsgan lr=0.001") > text.index("## Custom runs") > text.index("## Ranking")
    failing = build(mixed + seeds("mlp+r1", 0.5, changes={"lr": "1"}, status="diverged"), TOY)
    assert all(r.rank is None for r in failing.block("custom"))
    assert re.search(r"custom +mlp +lsgan lr=0.001", shown(table))


def test_yardsticks_stand_in_the_order_of_the_table_without_a_rank(mixed):
    table = build(mixed + yardstick("one class", 0.6), TOY)
    assert [table.title(r) for r in table.rows_of("ranked")] == [
        "real data", "dcgan+wgan-gp", "dcgan+hinge", "one class", "mlp+hinge", "noise",
    ]  # fmt: skip
    assert all(r.rank is None for r in table.block("yardstick"))
    assert [r.rank for r in table.rows_of("ranked") if r.rank] == [(1, 1), (2, 2), (3, 3)]
    text = to_markdown(table)
    assert text.index("| *one class* | *yardstick* |") < text.index("| mlp | hinge |") < text.index("| *noise* |")
    assert re.search(r"one class +yardstick", shown(table))
    by_speed = build(mixed, TOY, sort="samples/s").rows_of("ranked")
    assert [r.kind for r in by_speed] == ["entry"] * 3 + ["yardstick"] * 2


@pytest.fixture
def beside_a_fit(mixed) -> Table:
    """Rows of every kind, one of seeds that differ widely, and one of a single seed, beside a Gaussian fit."""
    levels = enumerate((0.1, 0.9, 0.3, 0.8, 0.9))
    wide = [make("wide+x", seed, scores={**make().scores, f"coverage@{TAG}": v}, draws=[]) for seed, v in levels]
    few = seeds("mlp+r1", 0.5) + seeds("a+x", 0.3, n=1)
    return build(mixed + wide + yardstick("gaussian fit", 0.5) + few, TOY)


def test_rows_that_do_not_beat_the_gaussian_fit_for_sure_are_marked(beside_a_fit):
    marked = {beside_a_fit.title(r) for r in beside_a_fit.rows if r.not_beaten}
    assert marked == {"mlp+hinge", "mlp+r1", "wide+x", "a+x"}
    wide, fit = (row(beside_a_fit, name).scores[beside_a_fit.headline] for name in ("wide+x", "gaussian fit"))
    assert wide.centre > fit.centre
    assert stats.ttest_ind(wide.values, fit.values, equal_var=False).pvalue > 0.05


def test_a_row_that_does_not_beat_the_gaussian_fit_says_so_in_every_format(beside_a_fit):
    text = to_markdown(beside_a_fit)
    assert "| mlp‡ | hinge |" in text
    assert "| dcgan | wgan |" in text
    assert "‡: not significantly better than gaussian fit" in text
    assert "‡" in shown(beside_a_fit)
    rows = json.loads(to_json(beside_a_fit))["rows"]
    assert [r["name"] for r in rows if r["not_better_than"] == "gaussian fit"] == [
        beside_a_fit.title(r) for r in beside_a_fit.rows if r.not_beaten
    ]


def test_without_a_gaussian_fit_no_row_is_marked(mixed):
    assert "‡" not in to_markdown(build(mixed, TOY))


# -- collapse --------------------------------------------------------------------------------------------------


COLLAPSED = "collapsed, samples all alike (spread at most 0.02 of the reals'): a+x 2/5"


@pytest.fixture
def fallen() -> Table:
    """Two of the seeds of ``a+x`` collapsed."""
    alike = msgspec.structs.replace(make().self_checks, spread=0.01)
    records = seeds("a+x", 0.5, n=3) + [make("a+x", s, 0.5, self_checks=alike) for s in (3, 4)]
    return build(records + seeds("b+x", 0.3), TOY)


def test_a_row_with_a_collapsed_seed_keeps_its_scores_and_loses_its_rank(fallen):
    assert names(fallen) == ["b+x", "a+x"]
    row_of_it = row(fallen, "a+x")
    assert (row_of_it.rank, row_of_it.verdict, row_of_it.part) == (None, "3/5, 2 collapsed", "unstable")
    assert row_of_it.scores[fallen.headline].n == 5


def test_collapsed_seeds_are_said_in_every_format(fallen):
    assert fallen.collapses == [COLLAPSED]
    assert COLLAPSED in shown(fallen)
    assert f"* {COLLAPSED}" in to_markdown(fallen)
    assert to_frame(fallen)["collapsed"].tolist() == [0, 2]
    assert [len(r["collapsed"]) for r in json.loads(to_json(fallen))["rows"]] == [0, 2]


def test_where_no_seed_collapsed_nothing_is_said_of_it():
    calm = build(seeds("b+x", 0.3), TOY)
    assert "collapsed" not in to_markdown(calm) + shown(calm)


def test_a_collapsed_seed_takes_no_rank_from_others():
    """Nor does it widen their ranges: it is not tested."""
    alike = msgspec.structs.replace(make().self_checks, spread=0.01)
    wild = [make("w+x", seed, level, self_checks=alike) for seed, level in enumerate((0.1, 0.9, 0.5, 0.2, 0.7))]
    without, with_it = seeds("a+x", 0.5) + seeds("b+x", 0.3), seeds("a+x", 0.5) + seeds("b+x", 0.3) + wild
    ranked = [[(r.entry.name, r.rank) for r in build(records, TOY).rows if r.rank] for records in (without, with_it)]
    assert ranked[0] == ranked[1] == [("a+x", (1, 1)), ("b+x", (2, 2))]


def test_a_seed_that_collapsed_and_has_no_headline_counts_once():
    alike = msgspec.structs.replace(make().self_checks, spread=0.01)
    bare = {k: v for k, v in make().scores.items() if not k.startswith("coverage")}
    odd = make("a+x", 4, self_checks=alike, scores=bare, draws=[])
    table = build([*seeds("a+x", 0.5, n=4), odd, *seeds("b+x", 0.3)], TOY)
    fallen = row(table, "a+x")
    assert (fallen.trouble, fallen.verdict) == (1, "4/5, 1 collapsed")
