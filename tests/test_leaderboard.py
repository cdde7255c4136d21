"""Tables from records: rows, ranks, failures, what is left out, and files that match their records."""

from __future__ import annotations

import io
import json
import random
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from rich.console import Console
from scipy import stats
from toy import COLUMNS, CPU, GPU, TAG, TOY, diverged, make, seeds, yardstick

from ganbench.errors import GanbenchError, RecordError
from ganbench.leaderboards import cells, publishing
from ganbench.leaderboards.export import to_csv, to_frame, to_json
from ganbench.leaderboards.html import to_page
from ganbench.leaderboards.markdown import to_markdown
from ganbench.leaderboards.publishing import check_folder, records_in, write_folder
from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.statistics import Summary
from ganbench.leaderboards.table import Table, build
from ganbench.leaderboards.terminal import to_rich
from ganbench.records.record import Best, Column, Component, Cost, Look, Record, Speed
from ganbench.records.sealing import as_text, sealed
from ganbench.records.store import read, write
from ganbench.records.timing import Timing


@pytest.fixture
def mixed() -> list[Record]:
    """Some records of every kind."""
    records = seeds("dcgan+wgan-gp", 0.8) + seeds("dcgan+hinge", 0.75) + seeds("mlp+hinge", 0.4)
    records += [make("dcgan+wgan", seed, 0.9) for seed in range(3)] + [diverged("dcgan+wgan", s) for s in (3, 4)]
    records += seeds("mlp+lsgan", 0.6, n=3) + seeds("mlp+lsgan", 0.95, changes={"lr": "0.001"})
    return records + yardstick("real data", 0.97) + yardstick("noise", 0.01)


def names(table: Table, kind: str = "entry") -> list[str]:
    return [table.title(row) for row in table.block(kind)]


def row(table: Table, name: str) -> Row:
    return next(row for row in table.rows if table.title(row) == name)


def shown(table: Table, width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(to_rich(table, width))
    return console.file.getvalue()


# -- columns -------------------------------------------------------------------------------------------------


def test_a_protocol_names_the_columns_of_its_table_and_a_reader_may_choose_others(mixed):
    def columns(named: tuple[str, ...], metrics: tuple[str, ...] = ()) -> list[str]:
        rules = replace(TOY, evaluation=replace(TOY.evaluation, shown=named))
        table = build(mixed, rules, metrics=metrics)
        return [table.label(column) for column in table.shown]

    assert columns(()) == ["coverage", "fid", "is", "modes_covered", "hq_fraction"]
    assert columns(("hq_fraction", "is")) == ["coverage", "hq_fraction", "is"]
    assert columns(("hq_fraction", "of no record")) == ["coverage", "hq_fraction"]
    assert columns(("hq_fraction",), ("fid",)) == ["coverage", "fid"]


# -- rows and ranks ------------------------------------------------------------------------------------------


def test_complete_rows_stand_first_in_the_order_of_the_headline_then_failing_then_incomplete_ones(mixed):
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
        "images/s": 4002,
        "memory_mb": 400,
        "params_g": 99_123,
        "params_d": 34_210,
        "kimg": 100,
        "cpu_s": 27,
    }


def test_components_of_one_name_from_two_packages_are_two_rows_and_say_whose_they_are():
    table = build(seeds("dcgan+hinge", 0.5) + seeds("other:dcgan+hinge", 0.6), TOY)
    assert names(table) == ["other:dcgan+hinge", "ganbench:dcgan+hinge"]
    assert "other:dcgan" in to_markdown(table)


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


# -- failures, missing seeds, custom rows, yardsticks --------------------------------------------------------


def test_an_entry_with_failures_stands_below_every_complete_one_however_good_its_survivors(mixed):
    table = build(mixed, TOY)
    failing = row(table, "dcgan+wgan")
    best = max(r.scores[table.headline].centre for r in table.block("entry") if r is not failing)
    assert failing.scores[table.headline].centre > best
    assert (failing.rank, failing.part) == (None, "unstable")
    assert failing.verdict == "3/5, 2 diverged"
    text = to_markdown(table)
    assert text.index("| dcgan | wgan |") > text.index("## Rows with a failed or collapsed seed")
    assert "a rule, not a finding" in text
    assert "a rule, not a finding" in shown(table)


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


def test_seeds_that_agree_on_a_count_of_modes_share_ranks_with_those_of_one_mode_less():
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
    assert table.left_out == ("b+x: skipped: needs pairs",)


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
    by_speed = build(mixed, TOY, sort="images/s").rows_of("ranked")
    assert [r.kind for r in by_speed] == ["entry"] * 3 + ["yardstick"] * 2


def test_a_row_that_does_not_beat_the_gaussian_fit_says_so(mixed):
    wide = [make("wide+x", seed, 0.5) for seed in range(5)]
    wide = [
        msgspec.structs.replace(r, scores={**r.scores, f"coverage@{TAG}": v}, draws=[])
        for r, v in zip(wide, (0.1, 0.9, 0.3, 0.8, 0.9), strict=True)
    ]
    records = mixed + wide + yardstick("gaussian fit", 0.5) + seeds("mlp+r1", 0.5) + seeds("a+x", 0.3, n=1)
    table = build(records, TOY)
    marked = {table.title(r) for r in table.rows if r.not_beaten}
    assert marked == {"mlp+hinge", "mlp+r1", "wide+x", "a+x"}
    p = [
        stats.ttest_ind(
            [x.scores[table.headline] for x in ours.records],
            row(table, "gaussian fit").scores[table.headline].values,
            equal_var=False,
        ).pvalue
        for ours in [row(table, "wide+x")]
    ]
    assert p[0] > 0.05
    text = to_markdown(table)
    assert "| mlp‡ | hinge |" in text
    assert "| dcgan | wgan |" in text
    assert "‡: not significantly better than gaussian fit" in text
    assert "‡" in shown(table)
    assert "‡" not in to_markdown(build(mixed, TOY))
    assert [r["name"] for r in json.loads(to_json(table))["rows"] if r["not_better_than"] == "gaussian fit"] == [
        table.title(r) for r in table.rows if r.not_beaten
    ]


# -- which records count -------------------------------------------------------------------------------------


def test_records_of_another_digest_are_left_out_and_counted(mixed):
    strangers = seeds("mlp+r1", 0.99, n=3, digest="ffffffffffff")
    table = build(mixed + strangers, TOY)
    assert "mlp+r1" not in names(table)
    assert table.left_out == ("3 records of another protocol digest left out",)
    assert table.left_out[0] in to_markdown(table)
    assert table.left_out[0] in shown(table)


@pytest.mark.parametrize("other", [{"extractor": "inception:6726825d"}, {"dataset_hash": "d2"}])
def test_scores_of_another_judge_or_other_data_never_share_a_table(mixed, other):
    table = build([*mixed, make("mlp+r1", 0, 0.9, **other)], TOY)
    assert "mlp+r1" not in names(table)
    assert table.left_out == ("1 record judged on other data or by another extractor left out",)


def revised(records: list[Record], **revisions: int) -> list[Record]:
    """Records that were judged by these revisions of two metrics, and say which column is whose."""
    owner = {
        f"fid@{TAG}": "fid",
        f"is@{TAG}": "is",
        f"coverage@{TAG}": "near",
        "modes_covered": "m",
        "hq_fraction": "m",
    }
    parts = {name: Component(name, "ganbench", "0.1.0", "s", revisions.get(name, 1)) for name in ("fid", "near", "m")}
    columns = {name: replace(column, metric=owner[name]) for name, column in COLUMNS.items()}
    return [replace(record, metrics=parts, columns=columns) for record in records]


def test_of_records_judged_by_another_revision_of_a_metric_only_its_columns_are_left_out():
    table = build(revised(seeds("b+x", 0.6), m=2), TOY, published=revised(seeds("a+x", 0.5) + seeds("c+x", 0.4)))
    mine = row(table, "b+x")
    assert (mine.rank, mine.here) == ((1, 1), True)
    assert set(mine.scores) == {f"fid@{TAG}", f"is@{TAG}", f"coverage@{TAG}"}
    assert "hq_fraction" in row(table, "a+x").scores
    assert table.left_out == ("5 records judged by another revision of m: its scores left out",)


def test_records_whose_headline_is_of_another_revision_are_left_out_with_the_reason():
    table = build(revised(seeds("b+x", 0.6), near=2), TOY, published=revised(seeds("a+x", 0.5) + seeds("c+x", 0.4)))
    assert names(table) == ["a+x", "c+x"]
    sentence = "5 records judged by another revision of near left out (`--no-published` shows them)"
    assert table.left_out == (sentence,)


def test_records_that_do_not_say_whose_their_columns_are_do_not_share_a_table_with_another_revision():
    old = [replace(record, columns=COLUMNS) for record in revised(seeds("b+x", 0.6), m=2)]
    table = build(old, TOY, published=revised(seeds("a+x", 0.5) + seeds("c+x", 0.4)))
    assert names(table) == ["a+x", "c+x"]


def test_seeds_that_the_protocol_does_not_have_do_not_narrow_an_interval():
    table = build([*seeds("a+x", 0.5), make("a+x", 99, 0.5)], TOY)
    assert table.rows[0].scores[table.headline].n == 5
    assert table.left_out == ("1 record of seeds that the protocol does not have left out",)


def test_of_two_records_of_one_seed_the_newer_counts():
    old, new = make("a+x", 0, 0.1, started="2026-01-01"), make("a+x", 0, 0.9, started="2026-02-01")
    for records in ([old, new], [new, old]):
        table = build([*records, *seeds("a+x", 0.5)[1:]], TOY)
        assert table.rows[0].records[0] == new
    assert table.left_out == ("1 record replaced by a newer one of the same entry and seed left out",)


def test_an_interrupted_rerun_does_not_hide_a_result():
    stopped = make("a+x", 0, status="interrupted", started="2027-01-01")
    assert build([*seeds("a+x", 0.5), stopped], TOY).rows[0].verdict == "5/5"


def test_without_a_protocol_the_records_say_what_it_was(mixed):
    table = build([*mixed, make("mlp+r1", digest="ffffffffffff")])
    assert (table.name, table.digest, table.seeds) == (TOY.name, TOY.digest, TOY.seeds)
    assert table.headline == f"coverage@{TAG}"
    assert [r.rank for r in table.rows] == [r.rank for r in build(mixed, TOY).rows]
    assert f"digest: `{TOY.digest}`" in to_markdown(table)


def test_no_records_make_an_empty_table_or_without_protocol_an_error():
    assert "No runs yet." in to_markdown(build([], TOY))
    assert shown(build([], TOY))
    with pytest.raises(GanbenchError, match="no records"):
        build([])


# -- made here beside published ------------------------------------------------------------------------------


def test_a_complete_row_made_here_takes_the_place_of_the_published_one_and_is_marked(mixed):
    table = build(seeds("mlp+hinge", 0.45), TOY, published=mixed)
    rows = [r for r in table.rows if table.title(r) == "mlp+hinge"]
    assert [(r.here, r.rank, r.scores[table.headline].centre) for r in rows] == [
        (True, (3, 3), pytest.approx(0.45, abs=0.01))
    ]
    marked = [line for line in shown(table).splitlines() if line.rstrip().endswith("here")]
    assert len(marked) == 1
    assert "here" not in shown(build(mixed, TOY))


def test_one_seed_made_here_stands_beside_the_complete_published_row_without_a_rank(mixed):
    table = build(seeds("mlp+hinge", 0.99, n=1), TOY, published=mixed)
    rows = [(r.here, r.rank, r.verdict) for r in table.rows if table.title(r) == "mlp+hinge"]
    assert rows == [(False, (3, 3), "5/5"), (True, None, "1/5, 4 missing")]
    assert (
        "mlp+hinge: the runs made here lack 4 seeds; they are shown beside the published row, without a rank"
        in table.notes
    )
    ranked = {table.title(r): r.rank for r in table.rows if r.rank}
    assert ranked == {r.entry.name: r.rank for r in build(mixed, TOY).rows if r.rank}


def test_a_row_made_here_counts_with_its_failures(mixed):
    local = [*seeds("mlp+hinge", 0.99, n=4), diverged("mlp+hinge", 4)]
    table = build(local, TOY, published=mixed)
    rows = [(r.here, r.verdict) for r in table.rows if table.title(r) == "mlp+hinge"]
    assert rows == [(True, "4/5, 1 diverged")]


def test_an_interrupted_or_foreign_run_made_here_displaces_nothing(mixed):
    local = [make("mlp+hinge", 0, status="interrupted"), make("dcgan+hinge", 0, digest="ffffffffffff")]
    table = build(local, TOY, published=mixed)
    assert row(table, "mlp+hinge").verdict == row(table, "dcgan+hinge").verdict == "5/5"
    assert not any(r.here for r in table.rows)


def test_of_yardsticks_the_fuller_row_is_shown_alone(mixed):
    few = build(yardstick("noise", 0.02)[:2], TOY, published=mixed)
    all_of_them = build(yardstick("noise", 0.02), TOY, published=mixed)
    assert [(r.here, r.ok) for r in few.block("yardstick") if r.entry.yardstick == "noise"] == [(False, 5)]
    assert [(r.here, r.ok) for r in all_of_them.block("yardstick") if r.entry.yardstick == "noise"] == [(True, 5)]


def test_a_record_made_here_does_not_mend_a_published_row(mixed):
    table = build([make("mlp+lsgan", seed, 0.6) for seed in (3, 4)], TOY, published=mixed)
    rows = [(r.here, r.missing) for r in table.block("entry") if table.title(r) == "mlp+lsgan"]
    assert sorted(rows) == [(False, (3, 4)), (True, (0, 1, 2))]


# -- edited components ---------------------------------------------------------------------------------------


def edited(entry: str, level: float, source: str = "a2", n: int = 5, **changed) -> list[Record]:
    """Records of an arch whose file was changed without a new version."""
    arch = Component(entry.partition("+")[0], "ganbench", "0.1.0", source)
    return seeds(entry, level, n, arch=arch, **changed)


def test_other_source_under_the_published_version_marks_a_row_edited_and_takes_its_rank(mixed):
    table = build(edited("dcgan+hinge", 0.99), TOY, published=mixed)
    assert [(table.title(r), r.here, r.rank) for r in table.block("edited")] == [("dcgan+hinge", True, None)]
    assert {table.title(r): r.rank for r in table.block("entry")} == {
        r.entry.name: r.rank for r in build(mixed, TOY).block("entry")
    }
    note = next(note for note in table.notes if "edited" in note)
    assert note == (
        "the arch dcgan (ganbench 0.1.0) was edited without a new version: its source is a2, that of the published one "
        "a1. Not ranked: dcgan+hinge. Give the plugin a new version, or run again"
    )
    assert re.search(r"edited +dcgan +hinge .*here", shown(table))
    assert [r["edited"][0]["source"] for r in json.loads(to_json(table))["rows"] if r["edited"]] == ["a2"]


def test_a_new_version_is_another_row_state_but_no_edit(mixed):
    newer = Component("dcgan", "ganbench", "0.2.0", "a2")
    table = build(seeds("dcgan+hinge", 0.99, arch=newer), TOY, published=mixed)
    assert (row(table, "dcgan+hinge").here, row(table, "dcgan+hinge").rank) == (True, (1, 1))
    assert table.block("edited") == []


def test_the_published_source_is_the_reference_however_many_runs_were_made_here(mixed):
    local = edited("dcgan+x", 0.5) + edited("dcgan+y", 0.5) + edited("dcgan+z", 0.5) + edited("dcgan+hinge", 0.5)
    table = build(local, TOY, published=seeds("dcgan+wgan", 0.5), installed=lambda kind, part: "a2")
    assert len(table.block("edited")) == 4
    assert names(table) == ["dcgan+wgan"]


def test_without_published_records_the_installed_plugin_is_the_reference():
    asked = []

    def installed(kind: str, part: Component) -> str:
        asked.append((kind, part.name, part.version))
        return {"arch": "a2", "loss": ""}[kind]

    table = build(seeds("a+x", 0.5) + edited("a+y", 0.5, n=2), TOY, published=(), installed=installed)
    assert [table.title(r) for r in table.block("edited")] == ["a+x"]
    assert "that of the installed plugin a2" in " ".join(table.notes)
    assert set(asked) == {("arch", "a", "0.1.0"), ("loss", "x", "0.1.0"), ("loss", "y", "0.1.0")}


def test_without_either_the_most_common_source_is_the_reference_and_of_as_many_the_earliest():
    table = build(seeds("a+x", 0.5) + edited("a+y", 0.5, n=4), TOY)
    assert [table.title(r) for r in table.block("edited")] == ["a+y"]
    assert "that of most runs a1" in " ".join(table.notes)
    late = [msgspec.structs.replace(r, started="2027-01-01") for r in seeds("a+x", 0.5)]
    assert [r.entry.loss for r in build(late + edited("a+y", 0.5), TOY).block("edited")] == ["x"]


def test_one_seed_of_other_source_marks_the_whole_row():
    odd = edited("a+x", 0.5)[4]
    table = build([*seeds("a+x", 0.5, n=4), odd, *seeds("b+x", 0.4)], TOY)
    assert [(table.title(r), r.rank) for r in table.rows] == [("b+x", (1, 1)), ("a+x", None)]


def test_a_row_both_custom_and_edited_is_called_custom_and_told_to_be_edited(mixed):
    table = build(edited("dcgan+hinge", 0.9, changes={"lr": "1"}), TOY, published=mixed)
    assert row(table, "dcgan+hinge lr=1").kind == "custom"
    assert any("was edited" in note and "dcgan+hinge lr=1" in note for note in table.notes)


def test_sources_of_an_older_record_format_are_compared_among_themselves_only():
    old = edited("dcgan+hinge", 0.5, format=2)
    table = build(
        seeds("dcgan+x", 0.5), TOY, published=old, installed=lambda kind, part: "a1" if kind == "arch" else ""
    )
    assert table.block("edited") == []
    mixed_formats = [*old[:4], make("dcgan+hinge", 4, 0.5)]
    assert build(mixed_formats, TOY).block("edited") == []
    assert build([*old, *edited("dcgan+x", 0.5, "a0", n=1, format=2)], TOY).block("edited") != []


def test_edited_rows_have_a_block_of_their_own_in_markdown_and_are_named_in_the_csv():
    table = build(seeds("a+x", 0.5) + edited("a+y", 0.9, n=4), TOY)
    text = to_markdown(table)
    block = text[text.index("## Edited runs") :]
    assert "| a | y |" in block
    assert "| a | y |" not in text[: text.index("## Edited runs")]
    assert [line.partition(",")[0] for line in to_csv(table).splitlines()] == ["kind", "entry", "edited"]


def test_a_folder_never_asks_what_is_installed(tmp_path):
    write_folder(seeds("dcgan+hinge", 0.5), TOY, tmp_path)
    assert "Edited" not in (tmp_path / "README.md").read_text()
    assert check_folder(tmp_path, TOY) == []


# -- best so far, time to target -----------------------------------------------------------------------------


def looked(entry: str, level: float, first: dict[int, int], n: int = 5, **changed) -> list[Record]:
    """Records with curves of four looks; ``first``: seed -> the look that first has a coverage of .5 or more."""
    records = []
    for seed in range(n):
        scores = [0.6 if seed in first and look >= first[seed] else 0.4 for look in range(4)]
        curve = tuple(Look(10.0 * (i + 1), 99.0, score, 2.0 * (i + 1) + seed) for i, score in enumerate(scores))
        records.append(make(entry, seed, level, **({"curve": curve} | changed)))
    return records


def best_of(entry: str, level: float, gain: float, n: int = 5) -> list[Record]:
    head = f"coverage@{TAG}"
    return [
        msgspec.structs.replace(r, best=Best(10.0 * (r.seed + 1), {head: r.scores[head] + gain}, []))
        for r in seeds(entry, level, n)
    ]


TIMED = msgspec.structs.replace(TOY, evaluation=msgspec.structs.replace(TOY.evaluation, target=0.5))


def timed(records: list[Record]) -> list[Record]:
    return [msgspec.structs.replace(r, digest=TIMED.digest) for r in records]


def test_the_best_generator_on_the_way_is_a_column_of_its_own_and_ranks_nothing():
    records = best_of("a+x", 0.3, gain=0.6) + seeds("b+x", 0.5)
    table = build(records, TOY)
    assert [(table.title(r), r.rank) for r in table.rows] == [("b+x", (1, 1)), ("a+x", (2, 2))]
    line = next(line for line in to_markdown(table).splitlines() if "| a | x |" in line)
    cells = dict(zip(_markdown_headings(table), [c.strip() for c in line.strip("|").split("|")], strict=True))
    assert (cells["best coverage"], cells["coverage"].split()[0]) == ("0.900", "0.3000")
    assert "best coverage: of the best generator during training" in to_markdown(table)
    assert "best coverage" in shown(table)
    assert [table.title(r) for r in build(records, TOY, sort="best coverage").rows] == ["a+x", "b+x"]


def test_the_best_generators_are_summed_up_in_csv_and_json():
    table = build(best_of("a+x", 0.3, gain=0.6) + seeds("b+x", 0.5), TOY)
    frame = to_frame(table).set_index("arch")
    assert frame.loc["a", "best coverage centre"] == pytest.approx(0.9)
    assert frame.loc["a", "best coverage low"] < 0.9 < frame.loc["a", "best coverage high"]
    assert (frame.loc["a", "best coverage n"], frame.loc["b", "best coverage n"], frame.loc["a", "best kimg"]) == (
        5,
        0,
        30,
    )
    whole = {r["name"]: r["best"] for r in json.loads(to_json(table))["rows"]}
    assert len(whole["a+x"]["values"]) == 5
    assert whole["b+x"] is None


def test_where_no_record_kept_its_best_there_is_no_such_column(mixed):
    table = build(mixed, TOY)
    assert not any("best" in name for name in [*to_frame(table), *_markdown_headings(table)])
    assert "best coverage" not in to_markdown(table)
    with pytest.raises(GanbenchError, match="no column called 'best coverage'"):
        build(mixed, TOY, sort="best coverage")


def test_time_to_target_is_the_median_of_the_first_looks_that_reach_it():
    table = build(timed(looked("a+x", 0.7, {0: 0, 1: 1, 2: 1, 3: 3, 4: 3})), TIMED)
    reached = table.rows[0].reached
    assert (reached.kimg, reached.seconds, reached.hits, reached.runs) == (20, 6, 5, 5)
    line = next(line for line in to_markdown(table).splitlines() if "| a | x |" in line)
    cells = dict(zip(_markdown_headings(table), [c.strip() for c in line.strip("|").split("|")], strict=True))
    assert (cells["kimg to target"], cells["s to target"]) == ("20", "~6")
    assert "first look (on the selection split) with coverage >= 0.5" in to_markdown(table)
    assert to_frame(table).loc[0, "kimg to target"] == 20


@pytest.mark.parametrize(
    ("first", "text"),
    [({0: 0, 1: 1, 2: 2, 3: 3}, "30 (4/5)"), ({0: 0, 1: 0}, "– (2/5)"), ({}, "–"), ({0: 0, 1: 0, 2: 0}, "10 (3/5)")],
)
def test_a_run_that_never_reaches_the_target_counts_as_infinite_and_is_told(first, text):
    table = build(timed(looked("a+x", 0.7, first)), TIMED)
    assert f"| {text} |" in to_markdown(table)
    assert text in shown(table)
    assert json.loads(to_json(table))["rows"][0]["target"]["reached target"] == len(first)


def test_a_failed_run_has_not_reached_the_target_and_a_target_to_get_below_is_one():
    failed = [*looked("a+x", 0.7, {0: 0, 1: 0, 2: 0, 3: 0}, n=4), diverged("a+x", 4)]
    assert build(timed(failed), TIMED).rows[0].reached[2:] == (4, 5)
    rules = msgspec.structs.replace(TIMED.evaluation, headline="fid")
    below = msgspec.structs.replace(TIMED, evaluation=rules)
    table = build(looked("a+x", 0.7, {0: 2}, digest=below.digest), below)  # .4 before the target is passed
    assert table.rows[0].reached == (10, 4, 5, 5)
    assert "with fid <= 0.5, median" in shown(table)


def test_seconds_to_target_are_not_mixed_across_machines():
    records = timed(looked("a+x", 0.7, dict.fromkeys(range(5), 1)))
    records[4] = msgspec.structs.replace(records[4], environment=GPU)
    assert build(records, TIMED).rows[0].reached == (20, None, 5, 5)


def test_a_table_can_be_sorted_by_time_to_target():
    slow, fast = looked("a+x", 0.9, dict.fromkeys(range(5), 3)), looked("b+x", 0.6, dict.fromkeys(range(5), 0))
    never = looked("c+x", 0.8, {})
    for column in ("kimg to target", "s to target"):
        assert names(build(timed(slow + fast + never), TIMED, sort=column)) == ["b+x", "a+x", "c+x"]


@pytest.mark.parametrize("rules", [TOY, TIMED])
def test_without_a_target_or_a_curve_there_are_no_such_columns(rules):
    records = looked("a+x", 0.7, {0: 0}) if rules is TOY else timed(seeds("a+x", 0.7))
    assert "to target" not in to_markdown(build(records, rules)) + to_csv(build(records, rules))


@pytest.mark.parametrize("width", [80, 100, 120, 160, 250])
def test_the_terminal_drops_the_extra_columns_before_the_headline(width):
    records = looked("dcgan-upsample+rpgan-r1-r2", 0.7, {0: 0, 1: 1, 2: 1})
    records = [msgspec.structs.replace(r, best=Best(10.0, {f"coverage@{TAG}": 0.9}, [])) for r in timed(records)]
    rules = replace(TIMED, evaluation=replace(TIMED.evaluation, shown=("fid", "modes_covered")))
    text = shown(build(records, rules), width)
    assert max(map(len, text.splitlines())) <= width
    assert re.search(r"0.7000 \[0.692, 0.708\]", text)
    assert ("20 (3/5)" in text) == ("to target: until" in text) == (width >= 160)
    assert ("best coverage: of" in text) == (width >= 120)


# -- collapse, self-checks, determinism ----------------------------------------------------------------------


def test_a_row_with_a_collapsed_seed_keeps_its_scores_and_loses_its_rank():
    alike = msgspec.structs.replace(make().self_checks, spread=0.01)
    records = seeds("a+x", 0.5, n=3) + [make("a+x", s, 0.5, self_checks=alike) for s in (3, 4)]
    table = build(records + seeds("b+x", 0.3), TOY)
    sentence = "collapsed, samples all alike (spread at most 0.02 of the reals'): a+x 2/5"
    assert table.collapses == [sentence]
    assert names(table) == ["b+x", "a+x"]
    fallen = row(table, "a+x")
    assert (fallen.rank, fallen.verdict, fallen.part) == (None, "3/5, 2 collapsed", "unstable")
    assert fallen.scores[table.headline].n == 5
    assert sentence in shown(table)
    assert f"* {sentence}" in to_markdown(table)
    assert to_frame(table)["collapsed"].tolist() == [0, 2]
    assert [len(r["collapsed"]) for r in json.loads(to_json(table))["rows"]] == [0, 2]
    calm = build(seeds("b+x", 0.3), TOY)
    assert "collapsed" not in to_markdown(calm) + shown(calm)


def test_a_collapsed_seed_takes_no_rank_from_others():
    """Nor does it widen their ranges: it is not tested."""
    alike = msgspec.structs.replace(make().self_checks, spread=0.01)
    wild = [make("w+x", seed, level, self_checks=alike) for seed, level in enumerate((0.1, 0.9, 0.5, 0.2, 0.7))]
    without, with_it = seeds("a+x", 0.5) + seeds("b+x", 0.3), seeds("a+x", 0.5) + seeds("b+x", 0.3) + wild
    ranked = [[(r.entry.name, r.rank) for r in build(records, TOY).rows if r.rank] for records in (without, with_it)]
    assert ranked[0] == ranked[1] == [("a+x", (1, 1)), ("b+x", (2, 2))]


def test_a_failed_self_check_is_a_note():
    bad = msgspec.structs.replace(make().self_checks, failed=("real against itself scores 2.1",))
    table = build([*seeds("a+x", 0.5, n=3), *(make("a+x", s, 0.5, self_checks=bad) for s in (3, 4))], TOY)
    sentence = "a self-check of the evaluation failed in 2 records (a+x): real against itself scores 2.1"
    assert table.notes == (sentence,)
    assert sentence in to_markdown(table)


def test_operations_without_a_deterministic_form_are_named():
    free = msgspec.structs.replace(CPU, nondeterministic=("cumsum", "bicubic"))
    table = build([*seeds("a+x", 0.5, n=4), make("a+x", 4, 0.5, environment=free)], TOY)
    assert table.notes == (
        "1 of 5 records used operations without a deterministic form, and may not repeat bit for bit: bicubic, cumsum",
    )


def test_the_row_of_survivors_is_grey_in_the_terminal(mixed):
    console = Console(width=200, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(to_rich(build(mixed, TOY), 200))
    grey = [line for line in console.file.getvalue().splitlines() if "\x1b[2m" in line and "5" in line and "/5" in line]
    assert len(grey) == 1
    assert "0.900 (0.892 to 0.908)" in grey[0]


# -- sorting and choosing columns ----------------------------------------------------------------------------


def test_any_column_can_be_sorted_by_in_its_own_direction():
    slow = msgspec.structs.replace(make().speed, train_cpu=10.0)
    records = seeds("a+x", 0.5) + seeds("b+x", 0.9, speed=slow) + seeds("c+x", 0.7)
    assert names(build(records, TOY)) == ["b+x", "c+x", "a+x"]
    assert names(build(records, TOY, sort="fid")) == ["b+x", "c+x", "a+x"]
    assert names(build(records, TOY, sort="images/s")) == ["c+x", "a+x", "b+x"]  # of equals, the better by the headline
    assert names(build(records, TOY, sort="arch")) == ["a+x", "b+x", "c+x"]
    assert names(build(records, TOY, sort="rank")) == ["b+x", "c+x", "a+x"]


def test_what_a_user_chose_or_sorted_by_is_shown_before_other_columns(mixed):
    chosen = shown(build(mixed, TOY, metrics=["hq_fraction"]), 92)
    assert "hq_fraction" in chosen.split("rank:")[0]
    by_fid, usual = (shown(build(mixed, TOY, sort=by), 76).split("rank:")[0] for by in ("fid", ""))
    assert "fid" in by_fid
    assert "images/s" in usual
    assert "fid" not in usual


def test_sorted_by_rank_equal_ranges_and_yardsticks_stay_in_the_order_of_the_headline(mixed):
    records = seeds("a+x", 0.5) + seeds("b+x", 0.501) + yardstick("noise", 0.01) + yardstick("gaussian fit", 0.2)
    table = build(records, TOY, sort="rank")
    assert [table.title(r) for r in table.rows] == ["b+x", "a+x", "gaussian fit", "noise"]


def test_an_unknown_column_is_refused_with_a_suggestion(mixed):
    with pytest.raises(GanbenchError, match="no column called 'covrage' - did you mean 'coverage'") as caught:
        build(mixed, TOY, sort="covrage")
    assert "images/s" in caught.value.hint
    with pytest.raises(GanbenchError, match="did you mean 'fid'"):
        build(mixed, TOY, metrics=["fiid"])


def test_columns_are_headed_by_their_short_names(mixed):
    headings = _markdown_headings(build(mixed, TOY))
    scores = ["coverage", "fid", "is", "modes_covered", "hq_fraction"]
    noises = ["seed sd", "eval sd"]
    assert headings == ["rank", "arch", "loss", *scores, *noises, "images/s", "params G/D", "D norm", "ok"]
    line = next(line for line in to_markdown(build(mixed, TOY)).splitlines() if "| wgan-gp |" in line)
    assert "| 0.0063 | 0.0014 |" in line


def test_the_noise_of_seeds_and_of_evaluations_is_shown_in_wide_tables_and_pages(mixed):
    table = build(mixed, TOY)
    console = Console(width=300, file=io.StringIO(), color_system=None)
    console.print(to_rich(table, noises=True))
    for text in (console.file.getvalue(), to_page(table)):
        assert "seed sd" in text
        assert "eval sd" in text
    assert "seed sd" not in shown(table, 300)


def test_chosen_metrics_stand_beside_the_headline_with_their_intervals(mixed):
    table = build(mixed, TOY, metrics=["hq_fraction", "modes_covered"])
    assert _markdown_headings(table)[3:6] == ["coverage", "hq_fraction", "modes_covered"]
    line = next(line for line in to_markdown(table).splitlines() if "| wgan-gp |" in line)
    assert line.count("[") == 3


def test_a_protocol_that_names_no_columns_shows_the_first_five_with_a_direction():
    columns = {name: Column("max", 0, 1) for name in "abcdefg"} | {"b": Column("info")}
    scores = dict.fromkeys(columns, 0.5)
    rules = replace(TOY, evaluation=replace(TOY.evaluation, headline="d", extractor=None))
    table = build(seeds("mlp+x", 0.5, digest=rules.digest, scores=scores, columns=columns, draws=[]), rules)
    assert _markdown_headings(table)[3:10] == ["d", "a", "c", "e", "f", "g", "seed sd"]


def _markdown_headings(table: Table) -> list[str]:
    line = next(line for line in to_markdown(table).splitlines() if line.startswith("| rank"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_two_columns_of_one_short_name_are_shown_in_full():
    both = {f"fid@{TAG}": 1.0, "fid": 2.0, f"coverage@{TAG}": 0.5}
    columns = {name: Column("min", 0) for name in both}
    table = build(seeds("a+x", 0.5, scores=both, columns=columns, draws=[]), TOY)
    assert {f"fid@{TAG} centre", "fid centre"} <= set(to_frame(table))


# -- machines ------------------------------------------------------------------------------------------------


def test_the_machine_is_named_where_there_is_one(mixed):
    text = to_markdown(build(mixed, TOY))
    assert "~: by the run's own CPU time; images/s: real images shown to D per second, on Some CPU, 1 thread" in text
    assert "device" not in _markdown_headings(build(mixed, TOY))


def test_throughput_is_never_compared_across_devices(mixed):
    fast = seeds("gpu+x", 0.5, environment=GPU, speed=Speed(train=90_000.0))
    table = build(mixed + fast, TOY)
    assert _markdown_headings(table)[-1] == "device"
    assert "never compare it across machines" in to_markdown(table)
    assert "Some GPU" in shown(table)
    complete = [r for r in build(mixed + fast, TOY, sort="images/s").block("entry") if r.part == "ranked"]
    assert [r.machines for r in complete] == [("Some CPU, 1 thread",)] * 3 + [("Some GPU",)]


def test_a_runs_own_figure_is_by_cpu_time_and_marked_and_wall_time_is_not_shown(mixed):
    """The toy's wall time gives 1000 to 5000 images a second, its CPU time 4000 to 4004."""
    text = to_markdown(build(mixed, TOY))
    assert "| ~4002 |" in next(line for line in text.splitlines() if "| wgan-gp |" in line)
    assert "3000" not in text + to_csv(build(mixed, TOY))
    assert "~4002" in shown(build(mixed, TOY))


@pytest.mark.parametrize(("workers", "text"), [(1, "~3000"), (4, "–")])
def test_on_a_gpu_wall_time_counts_where_a_run_was_alone(workers, text):
    alone = msgspec.structs.replace(GPU, workers=workers)
    records = [
        make("a+x", seed, environment=alone, speed=Speed(train=3000.0), cost=Cost(100_000, 25.0, 3.0, None, 24.0))
        for seed in range(5)
    ]
    assert f"| {text} |" in to_markdown(build(records, TOY))


def test_records_without_cpu_time_show_no_speed_and_say_so():
    records = [make("a+x", s, speed=Speed(train=3000.0), cost=Cost(100_000, 25.0, 3.0)) for s in range(5)]
    text = to_markdown(build(records, TOY))
    assert "3000" not in text
    assert "images/s –: the records hold no CPU time" in text


def timing(entry: str, rate: float, **changed) -> Timing:
    record, where = make(entry), changed.pop("environment", CPU)
    facts = {
        "format": 1, "protocol": TOY.name, "digest": TOY.digest, "arch": record.arch, "loss": record.loss,
        "environment": where, "train": rate, "train_iqr": 10.0, "train_cpu": rate, "sample": 9000.0, "step_ms": 4.0,
        "d_flops": 1e6, "g_flops": 1e6, "peak_flops_per_second": 1e11, "peak_share": 0.12, "peak_memory_mb": 300.0,
        "mode": "eager", "rounds": (), "repeated": 1, "started": "2026-01-09",
    }  # fmt: skip
    return Timing(**(facts | changed))


ALL_THREE = [("dcgan+wgan-gp", 900.0), ("dcgan+hinge", 2100.0), ("mlp+hinge", 5000.0), ("dcgan+wgan", 1200.0)]


def test_timings_of_one_machine_that_cover_the_rows_make_the_speed_columns(mixed):
    table = build(mixed, TOY, timings=[timing(entry, rate) for entry, rate in ALL_THREE])
    assert table.timed_on == "Some CPU, 1 thread"
    text = to_markdown(table)
    assert "| 2100 |" in next(line for line in text.splitlines() if "| dcgan | hinge |" in line)
    assert "each row timed alone on Some CPU, 1 thread" in text
    frame = to_frame(table)
    first = frame.query("arch == 'dcgan' and loss == 'wgan-gp' and changes == ''").iloc[0]
    assert (first["images/s"], first["samples/s"], first["step_ms"], first["peak_share"]) == (900, 9000, 4, 0.12)
    assert first["timed on"] == "Some CPU, 1 thread"
    by_speed = [
        table.title(r) for r in build(mixed, TOY, timings=[timing(*t) for t in ALL_THREE], sort="images/s").rows
    ]
    assert by_speed[:3] == ["mlp+hinge", "dcgan+hinge", "dcgan+wgan-gp"]


@pytest.mark.parametrize(
    "stale",
    [
        {"digest": "ffffffffffff"},
        {"environment": msgspec.structs.replace(CPU, core="c1")},
        {"loss": Component("hinge", "ganbench", "0.1.0", "b2")},
        {"environment": msgspec.structs.replace(CPU, device="Another CPU")},
    ],
)
def test_a_timing_of_other_code_rules_or_machine_shows_nothing(mixed, stale):
    others = [timing(entry, rate) for entry, rate in ALL_THREE if entry != "dcgan+hinge"]
    table = build(mixed, TOY, timings=[*others, timing("dcgan+hinge", 2100.0, **stale)])
    assert table.timed_on == ""
    assert "2100" not in to_markdown(table)
    assert "| ~4002 |" in to_markdown(table)


def test_of_two_timings_the_newer_counts_and_of_two_machines_the_one_used_last(mixed):
    other = msgspec.structs.replace(CPU, device="Another CPU")
    old = [timing(entry, rate) for entry, rate in ALL_THREE]
    new = [timing(entry, 2 * rate, environment=other, started="2026-02-01") for entry, rate in ALL_THREE]
    newest = timing("dcgan+hinge", 77.0, environment=other, started="2026-03-01")
    for given in ([*old, *new, newest], [newest, *new, *old]):
        table = build(mixed, TOY, timings=given)
        assert table.timed_on == "Another CPU, 1 thread"
        assert row(table, "dcgan+hinge").costs["images/s"] == 77
        assert row(table, "mlp+hinge").costs["images/s"] == 10_000
        assert "in 2 sessions, between which speeds compare less well" in to_markdown(table)


def test_seconds_to_target_follow_from_a_timing():
    records = timed(looked("a+x", 0.7, {0: 0, 1: 1, 2: 1, 3: 3, 4: 3}))
    (line,) = build(records, TIMED, timings=[timing("a+x", 500.0)]).rows
    assert (line.reached.kimg, line.reached.seconds) == (20, 40)
    assert "| 40 |" in to_markdown(build(records, TIMED, timings=[timing("a+x", 500.0)]))


def test_timings_are_published_beside_the_records(mixed, tmp_path):
    given = [timing(entry, rate) for entry, rate in ALL_THREE]
    written = write_folder(mixed, TOY, tmp_path, [*given, timing("x+y", 1.0, digest="ffff")])
    assert sum(name.startswith("timings/") for name in written) == 4
    assert "each row timed alone" in (tmp_path / "README.md").read_text()
    assert check_folder(tmp_path, TOY) == []
    assert write_folder([], TOY, tmp_path, given) == []
    (path, *_) = sorted((tmp_path / "timings").iterdir())
    path.write_text(path.read_text().replace('"train": ', '"train": 1'))
    assert check_folder(tmp_path, TOY) == [f"timings/{path.name}"]
    with pytest.raises(RecordError, match="was changed after it was written"):
        write_folder([], TOY, tmp_path)


def test_an_entry_whose_seeds_ran_on_two_devices_has_no_throughput():
    records = seeds("a+x", 0.5)[:3] + [make("a+x", seed, 0.5, environment=GPU) for seed in (3, 4)]
    entry = build(records, TOY).rows[0]
    assert "images/s" not in entry.costs
    assert entry.costs["params_g"] == 99_123
    assert entry.rank == (1, 1)


def test_what_changed_between_runs_is_said(mixed):
    changed = msgspec.structs.replace(CPU, torch="2.16.0", dirty=True)
    odd = make("a+x", 4, arch=Component("a", "ganbench", "0.2.0", "a2"), environment=changed)
    notes = build([*mixed, *seeds("a+x", 0.5, n=4), odd], TOY).notes
    assert "the runs differ in torch: 2.15.0, 2.16.0" in notes
    assert "a+x: its arch changed between seeds: versions 0.1.0, 0.2.0" in notes
    assert any(note.startswith("1 of ") and "uncommitted" in note for note in notes)
    assert build(mixed, TOY).notes == ()


# -- what is written -----------------------------------------------------------------------------------------


def test_a_changed_setting_is_not_broken_within_a_word():
    table = build(seeds("mlp+lsgan", 0.6, changes={"arch.d_halvings": "1"}), TOY)
    assert "arch.d_halvings=1" in shown(table, 70)


def test_a_page_speaks_of_real_data_only_where_they_are_a_row(mixed):
    told = "Real data score what a perfect generator would."
    assert told in to_markdown(build(mixed, TOY))
    without = [record for record in mixed if record.entry != "real data"]
    assert told not in to_markdown(build(without, TOY))
    assert "Yardsticks, in italics" in to_markdown(build(without, TOY))


def test_a_page_says_where_the_floor_is_scored_on_fewer_samples_than_rows():
    few = msgspec.structs.replace(make().self_checks, real=500, fake=500)
    floor = [msgspec.structs.replace(r, self_checks=few) for r in yardstick("real data", 0.97)]
    text = to_markdown(build(seeds("a+x", 0.5) + floor, TOY))
    assert "there are only 500 on either side, while rows are scored on 1000." in text


def test_a_seed_that_collapsed_and_has_no_headline_counts_once():
    alike = msgspec.structs.replace(make().self_checks, spread=0.01)
    bare = {k: v for k, v in make().scores.items() if not k.startswith("coverage")}
    odd = make("a+x", 4, self_checks=alike, scores=bare, draws=[])
    table = build([*seeds("a+x", 0.5, n=4), odd, *seeds("b+x", 0.3)], TOY)
    fallen = row(table, "a+x")
    assert (fallen.trouble, fallen.verdict) == (1, "4/5, 1 collapsed")


def test_reasons_that_differ_in_a_number_only_are_one_note():
    def lacking(entry: str, seed: int, share: str) -> Record:
        why = f"only {share} % of the samples are of high quality"
        return make(entry, seed, absent={"mode_kl": why, "mode_kl_raw": why})

    shares = ("0.44", "1.3", "2", "5.5", "9")
    table = build([lacking("a+x", seed, share) for seed, share in enumerate(shares)] + seeds("b+x", 0.3), TOY)
    assert table.notes == (
        "no mode_kl and mode_kl_raw in 5 records (a+x), for example: only 0.44 % of the samples are of high quality",
    )


def test_a_row_with_a_collapsed_seed_has_no_interval_in_any_format():
    alike = msgspec.structs.replace(make().self_checks, spread=0.01)
    records = [*seeds("a+x", 0.5, n=4), make("a+x", 4, 0.9, self_checks=alike), *seeds("b+x", 0.3)]
    table = build(records, TOY)
    fallen = next(r for r in json.loads(to_json(table))["rows"] if r["name"] == "a+x")["scores"][table.headline]
    assert (fallen["centre"], fallen["low"], fallen["high"]) == (None, None, None)
    assert fallen["median"] == pytest.approx(0.5, abs=0.01)
    line = to_frame(table).set_index("arch").loc["a"]
    assert line[["coverage centre", "coverage low", "fid high"]].isna().all()
    assert line["fid max"] > line["fid median"] > line["fid min"]


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        (Summary(0.7123, 0.05, 5, 0.64, 0.7846, ()), "0.712 [0.64, 0.78]"),
        (Summary(54.321, 2.0, 5, 51.3, 57.3, ()), "54.3 [51, 57]"),
        (Summary(1234.5, 200.0, 5, 1000.0, 1469.0, ()), "1234 [1000, 1469]"),
        (Summary(-0.00001, 0.001, 5, -0.002, 0.002, ()), "0.0000 [-0.002, 0.002]"),
        (Summary(10.0, 0.0, 5, 10.0, 10.0, ()), "10 [10, 10]"),
        (Summary(0.7123, None, 1, None, None, ()), "0.712"),
        (Summary(7e-16, 5e-16, 3, 0.0, 2e-15, ()), "0 [0, 0]"),
        (Summary(-3e-17, None, 1, None, None, ()), "0"),
    ],
)
def test_an_interval_is_written_with_digits_that_mean_something(summary, text):
    assert cells.interval(summary) == text


def test_parameters_are_written_for_people():
    sizes = [None, 12, 3_400, 99_123, 1_230_000, 34_000_000]
    assert [cells.count(n) for n in sizes] == ["–", "12", "3.4k", "99k", "1.2M", "34M"]


def test_every_rendering_is_the_same_whatever_the_order_of_the_records(mixed):
    table, shuffled = build(mixed, TOY), list(mixed)
    for seed in range(3):
        random.Random(seed).shuffle(shuffled)
        other = build(shuffled, TOY)
        for render in (to_markdown, to_csv, to_json, shown):
            assert render(other) == render(table)


def test_no_rendering_knows_the_date(mixed):
    later = [msgspec.structs.replace(r, started=r.started.replace("2026", "2031")) for r in mixed]
    for render in (to_markdown, to_csv, to_json, shown):
        assert render(build(later, TOY)) == render(build(mixed, TOY))


def test_the_csv_reads_back_as_the_frame(mixed):
    import pandas as pd

    table = build(mixed, TOY)
    frame, back = to_frame(table), pd.read_csv(io.StringIO(to_csv(table)))
    assert list(back) == list(frame)
    for name in ("coverage centre", "coverage low", "coverage eval_sd", "fid sd", "images/s", "rank", "params_g"):
        expected = frame[name].astype(float).tolist()
        assert back[name].astype(float).tolist() == pytest.approx(expected, rel=1e-5, nan_ok=True)
    assert back["kind"].tolist() == frame["kind"].tolist()
    assert back["failed"].dropna().tolist() == ["diverged:2"]


def test_the_frame_has_one_row_per_entry_and_the_same_columns_without_any(mixed):
    frame = to_frame(build(mixed, TOY))
    assert len(frame) == 8
    first = frame.query("arch == 'dcgan' and loss == 'wgan-gp' and changes == ''").iloc[0]
    assert (first["rank"], first["ok"], first["fid n"], first["loss package"]) == (1, 5, 5, "ganbench 0.1.0")
    assert len(to_frame(build([], TOY))) == 0


def test_the_json_holds_every_raw_value(mixed):
    table = build(mixed, TOY)
    whole = json.loads(to_json(table))
    best = next(r for r in whole["rows"] if r["rank"])
    assert (whole["protocol"], whole["digest"], best["name"]) == (TOY.name, TOY.digest, "dcgan+wgan-gp")
    assert best["scores"][f"coverage@{TAG}"]["values"] == {
        str(r.seed): r.scores[f"coverage@{TAG}"] for r in mixed if r.entry == "dcgan+wgan-gp"
    }
    assert [len(draws) for draws in best["scores"][f"fid@{TAG}"]["draws"].values()] == [2] * 5
    assert whole["columns"][f"fid@{TAG}"] == {"goal": "min", "low": 0, "high": None, "collapsed_at": None, "metric": ""}


def test_the_readme_says_what_was_compared_and_how_to_repeat_it(mixed):
    text = to_markdown(build(mixed, TOY))
    assert text.startswith("# toy-v1\n\nA toy.\n")
    assert "* seeds: 0, 1, 2, 3, 4\n" in text
    assert f"coverage, fid, is: in the feature space of {TAG}" in text
    assert "ganbench run --arch dcgan --loss wgan-gp --protocol toy-v1" in text
    assert "Some CPU, 1 thread; Linux x86_64; Python 3.12.1, torch 2.15.0, ganbench 0.1.0 (38 records)" in text


def test_every_line_of_a_markdown_table_has_as_many_cells(mixed):
    odd = seeds("a|b+x_y", 0.5, changes={"name": "a|b\nc"})
    lines = [line for line in to_markdown(build(mixed + odd, TOY)).splitlines() if line.startswith("|")]
    blocks = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
    assert blocks == {15, 14}


def test_at_80_columns_long_settings_fold_and_neither_verdicts_nor_notes_are_cut():
    changes = {"arch.demodulation": "false"}
    records = seeds("dcgan-upsample+rpgan-r1-r2", 0.6, n=3, changes=changes)
    records += [msgspec.structs.replace(diverged("dcgan-upsample+rpgan-r1-r2", 3), changes=changes)]
    text = shown(build(records + seeds("a+x", 0.5), TOY), 80)
    for words in (
        "diverged",
        "missing",
        "0.600 (0.592 to 0.608)",
        "to the number of",
        "those with a significantly worse",
    ):
        assert words in " ".join(text.split())


@pytest.mark.parametrize("width", [50, 56, 57, 64, 72])
def test_in_a_narrow_terminal_no_figure_is_cut(mixed, width):
    """A column that does not fit is named as not shown; names fold."""
    text = shown(build(mixed, TOY), width)
    assert max(map(len, text.splitlines())) <= width
    assert "0.8000 [0.792, 0.808]" in text
    gone = re.search(r"lack of width:[^:]*\bok\b", " ".join(text.split()))
    assert ("5/5" in text) is (gone is None)


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_terminal_table_keeps_names_headline_and_verdict_at_any_width(mixed, width):
    text = shown(build(mixed, TOY), width)
    assert max(map(len, text.splitlines())) <= width
    for word in ("dcgan", "wgan-gp", "coverage", "5/5", "real data", "custom"):
        assert word in text
    assert ("not shown for lack of width" in text) == (width < 200)


def test_text_in_square_brackets_is_not_swallowed_as_markup():
    changes = {"name": "[red]y[/red]"}
    table = build([make("a+x", 0, status="error", reason="KeyError: [red]x[/red]", changes=changes)], TOY)
    assert "KeyError: [red]x[/red]" in shown(table)
    assert shown(table).count("x name=[red]y[/red]") == 2


# -- folders -------------------------------------------------------------------------------------------------


def test_a_folder_is_written_and_equals_what_its_records_give(mixed, tmp_path):
    written = write_folder(mixed, TOY, tmp_path)
    assert {"README.md", "table.csv", "records/dcgan+wgan-gp+seed0.json"} <= set(written)
    assert len(records_in(tmp_path)) == len(mixed)
    assert (tmp_path / "README.md").read_text() == to_markdown(build(mixed, TOY))
    assert (tmp_path / "table.csv").read_bytes() == to_csv(build(mixed, TOY)).encode()
    assert check_folder(tmp_path, TOY) == []
    assert write_folder([], TOY, tmp_path) == []


def test_what_a_folders_notes_say_stands_under_its_table(mixed, tmp_path):
    (tmp_path / "NOTES.md").write_text("# Notes\n\n* The rows of `mlp` await a rerun,\n  for a *reason*.\n* Another.\n")
    write_folder(mixed, TOY, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "\n* The rows of \\`mlp\\` await a rerun, for a \\*reason\\*.\n* Another.\n" in text
    assert "await a rerun" in (tmp_path / "index.html").read_text()
    assert check_folder(tmp_path, TOY) == []
    (tmp_path / "NOTES.md").unlink()
    assert check_folder(tmp_path, TOY) == ["README.md", "index.html"]


def test_writing_a_folder_twice_writes_nothing(mixed, tmp_path):
    write_folder(mixed, TOY, tmp_path)
    assert write_folder(mixed, TOY, tmp_path) == []
    assert write_folder([read(path) for path in records_in(tmp_path)], TOY, tmp_path) == []


def test_records_of_an_older_format_stay_as_they_are_in_a_folder(tmp_path):
    old = [make("a+x", seed, 0.5, format=2) for seed in range(5)]
    for record in old:
        path = tmp_path / "records" / record.file_name
        write(record, path)
        facts = json.loads(path.read_bytes())
        del facts["curve"]  # a field that came later
        path.write_bytes(as_text(sealed({name: value for name, value in facts.items() if name != "seal"})))
    before = {path.name: path.read_bytes() for path in records_in(tmp_path)}
    changed = write_folder(seeds("b+x", 0.6), TOY, tmp_path)
    assert sorted(changed) == [
        "README.md",
        "index.html",
        *(f"records/b+x+seed{seed}.json" for seed in range(5)),
        "table.csv",
    ]
    assert {name: (tmp_path / "records" / name).read_bytes() for name in before} == before
    assert all(b"curve" not in text for text in before.values())
    assert check_folder(tmp_path, TOY) == []


def test_a_new_record_replaces_the_old_one_of_the_same_entry_and_seed(mixed, tmp_path):
    write_folder(mixed, TOY, tmp_path)
    again = make("mlp+hinge", 0, 0.45, started="2020-01-01")
    assert write_folder([again], TOY, tmp_path) == [
        "README.md",
        "index.html",
        "records/mlp+hinge+seed0.json",
        "table.csv",
    ]
    expected = [again if (r.entry, r.seed) == ("mlp+hinge", 0) else r for r in mixed]
    assert (tmp_path / "README.md").read_text() == to_markdown(build(expected, TOY))
    assert check_folder(tmp_path, TOY) == []


def test_only_finished_records_of_the_protocol_are_published(mixed, tmp_path):
    unfit = [make("a+x", 0, status="interrupted"), make("b+x", 0, status="skipped"), make("c+x", digest="ffff")]
    write_folder(mixed + unfit, TOY, tmp_path)
    assert len(records_in(tmp_path)) == len(mixed)


@pytest.mark.parametrize("name", ["README.md", "index.html", "table.csv"])
def test_a_table_edited_by_hand_is_found_out(mixed, tmp_path, name):
    write_folder(mixed, TOY, tmp_path)
    path = tmp_path / name
    path.write_text(path.read_text().replace("0.8", "0.9", 1))
    assert check_folder(tmp_path, TOY) == [name]
    path.unlink()
    assert check_folder(tmp_path, TOY) == [name]
    assert write_folder([], TOY, tmp_path) == [name]


def test_a_table_is_stale_once_a_record_changes_or_goes(mixed, tmp_path):
    write_folder(mixed, TOY, tmp_path)
    write(make("mlp+hinge", 0, 0.45), tmp_path / "records" / "mlp+hinge+seed0.json")
    assert check_folder(tmp_path, TOY) == ["README.md", "index.html", "table.csv"]
    (tmp_path / "records" / "mlp+hinge+seed0.json").unlink()
    assert check_folder(tmp_path, TOY) == ["README.md", "index.html", "table.csv"]


def test_a_record_under_a_wrong_name_is_found_out_and_put_right(mixed, tmp_path):
    write_folder(mixed, TOY, tmp_path)
    good = tmp_path / "records" / "mlp+hinge+seed0.json"
    good.rename(good.with_name("mine.json"))
    assert check_folder(tmp_path, TOY) == ["records/mine.json", "records/mlp+hinge+seed0.json"]
    write_folder([], TOY, tmp_path)
    assert check_folder(tmp_path, TOY) == []


def test_a_corrupt_record_is_named_and_nothing_is_published_over_it(mixed, tmp_path):
    write_folder(mixed, TOY, tmp_path)
    (tmp_path / "records" / "mlp+hinge+seed0.json").write_text("{")
    assert check_folder(tmp_path, TOY) == ["records/mlp+hinge+seed0.json"]
    before = (tmp_path / "README.md").read_text()
    with pytest.raises(RecordError, match=r"mlp\+hinge\+seed0"):
        write_folder([make("new+x")], TOY, tmp_path)
    assert (tmp_path / "README.md").read_text() == before


def test_records_that_would_share_a_file_keep_apart(tmp_path):
    records = seeds("dcgan+x", 0.5) + seeds("other:dcgan+x", 0.6) + seeds("mlp+x", 0.4) + seeds("MLP+x", 0.7)
    write_folder(records, TOY, tmp_path)
    files = [path.name.lower() for path in records_in(tmp_path)]
    assert len(files) == len(set(files)) == 20
    assert check_folder(tmp_path, TOY) == []
    write_folder(seeds("dcgan+x", 0.4), TOY, tmp_path)
    assert len(records_in(tmp_path)) == 20


def test_a_name_that_nobody_else_has_is_a_files_name_as_it_is():
    assert list(publishing.file_names([make("DCGAN+x")])) == ["DCGAN+x+seed0.json"]


def test_a_setting_with_slashes_stays_inside_the_folder(tmp_path):
    odd = [make("a+x", changes={"loss.path": "../../../evil"}), make("a+x", changes={"long": "y" * 400})]
    write_folder(odd, TOY, tmp_path / "board")
    assert [path.parent for path in records_in(tmp_path / "board")] == [tmp_path / "board" / "records"] * 2
    assert check_folder(tmp_path / "board", TOY) == []


def test_runs_are_found_where_the_runner_leaves_them(tmp_path):
    for entry in ("dcgan+hinge", "real data"):
        for seed in range(2):
            write(make(seed=seed), tmp_path / entry / f"seed{seed}" / "record.json")
    write(make(), tmp_path / "elsewhere" / "record.json")
    found = [path.relative_to(tmp_path).as_posix() for path in records_in(tmp_path)]
    assert found == [
        "dcgan+hinge/seed0/record.json",
        "dcgan+hinge/seed1/record.json",
        "real data/seed0/record.json",
        "real data/seed1/record.json",
    ]
    assert records_in(Path(tmp_path / "nowhere")) == []
