"""The columns of a table: which are shown, what it is sorted by, the best generator on the way."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec.structs import replace
from table_reading import markdown_headings, names, shown
from toy import TAG, TOY, make, seeds, yardstick

from ganbench.errors import GanbenchError
from ganbench.leaderboards.export import to_frame, to_json
from ganbench.leaderboards.layout import lay_out
from ganbench.leaderboards.table import build
from ganbench.pages.markdown import to_markdown
from ganbench.records.record import Best, Column, Record


def test_a_protocol_names_the_columns_of_its_table_and_a_reader_may_choose_others(mixed):
    def columns(named: tuple[str, ...], metrics: tuple[str, ...] = ()) -> list[str]:
        rules = replace(TOY, evaluation=replace(TOY.evaluation, shown=named))
        table = build(mixed, rules, metrics=metrics)
        return [table.label(column) for column in table.shown]

    assert columns(()) == ["coverage", "fid", "is", "modes_covered", "hq_fraction"]
    assert columns(("hq_fraction", "is")) == ["coverage", "hq_fraction", "is"]
    assert columns(("hq_fraction", "of no record")) == ["coverage", "hq_fraction"]
    assert columns(("hq_fraction",), ("fid",)) == ["coverage", "fid"]


def best_of(entry: str, level: float, gain: float, n: int = 5) -> list[Record]:
    head = f"coverage@{TAG}"
    return [
        msgspec.structs.replace(r, best=Best(10.0 * (r.seed + 1), {head: r.scores[head] + gain}, []))
        for r in seeds(entry, level, n)
    ]


def test_the_best_generator_on_the_way_is_a_column_of_its_own_and_ranks_nothing():
    records = best_of("a+x", 0.3, gain=0.6) + seeds("b+x", 0.5)
    table = build(records, TOY)
    assert [(table.title(r), r.rank) for r in table.rows] == [("b+x", (1, 1)), ("a+x", (2, 2))]
    line = next(line for line in to_markdown(table).splitlines() if "| a | x |" in line)
    cells = dict(zip(markdown_headings(table), [c.strip() for c in line.strip("|").split("|")], strict=True))
    assert (cells["best coverage"], cells["coverage"].split()[0]) == ("0.900", "0.3000")
    assert "best coverage: score of the best generator during training" in to_markdown(table)
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
    assert not any("best" in name for name in [*to_frame(table), *markdown_headings(table)])
    assert "best coverage" not in to_markdown(table)
    with pytest.raises(GanbenchError, match="no column called 'best coverage'"):
        build(mixed, TOY, sort="best coverage")


def test_any_column_can_be_sorted_by_in_its_own_direction():
    slow = msgspec.structs.replace(make().speed, train_cpu=10.0)
    records = seeds("a+x", 0.5) + seeds("b+x", 0.9, speed=slow) + seeds("c+x", 0.7)
    assert names(build(records, TOY)) == ["b+x", "c+x", "a+x"]
    assert names(build(records, TOY, sort="fid")) == ["b+x", "c+x", "a+x"]
    assert names(build(records, TOY, sort="samples/s")) == [
        "c+x",
        "a+x",
        "b+x",
    ]  # of equals, the better by the headline
    assert names(build(records, TOY, sort="arch")) == ["a+x", "b+x", "c+x"]
    assert names(build(records, TOY, sort="rank")) == ["b+x", "c+x", "a+x"]


def test_what_a_user_chose_or_sorted_by_is_shown_before_other_columns(mixed):
    chosen = shown(build(mixed, TOY, metrics=["hq_fraction"]), 92)
    assert "hq_fraction" in chosen.split("rank:")[0]
    by_norm, usual = (lay_out(build(mixed, TOY, sort=by), 70).headings for by in ("hq_fraction", ""))
    assert "hq_fraction" in by_norm.values()
    assert "hq_fraction" not in usual.values()


def test_sorted_by_rank_equal_ranges_and_yardsticks_stay_in_order_of_the_headline(mixed):
    records = seeds("a+x", 0.5) + seeds("b+x", 0.501) + yardstick("noise", 0.01) + yardstick("gaussian fit", 0.2)
    table = build(records, TOY, sort="rank")
    assert [table.title(r) for r in table.rows] == ["b+x", "a+x", "gaussian fit", "noise"]


def test_an_unknown_column_is_refused_with_a_suggestion(mixed):
    with pytest.raises(GanbenchError, match="no column called 'covrage' - did you mean 'coverage'") as caught:
        build(mixed, TOY, sort="covrage")
    assert "samples/s" in caught.value.hint
    with pytest.raises(GanbenchError, match="did you mean 'fid'"):
        build(mixed, TOY, metrics=["fiid"])


def test_columns_are_headed_by_their_short_names(mixed):
    headings = markdown_headings(build(mixed, TOY))
    scores = ["coverage", "fid", "is", "modes_covered", "hq_fraction"]
    noises = ["seed sd", "eval sd"]
    assert headings == ["rank", "arch", "loss", *scores, *noises, "samples/s", "params G/D", "D norm", "ok"]
    line = next(line for line in to_markdown(build(mixed, TOY)).splitlines() if "| wgan-gp |" in line)
    assert "| 0.0063 | 0.0014 |" in line


def test_chosen_metrics_stand_beside_the_headline_with_their_intervals(mixed):
    table = build(mixed, TOY, metrics=["hq_fraction", "modes_covered"])
    assert markdown_headings(table)[3:6] == ["coverage", "hq_fraction", "modes_covered"]
    line = next(line for line in to_markdown(table).splitlines() if "| wgan-gp |" in line)
    assert line.count("[") == 3


def test_a_protocol_that_names_no_columns_shows_the_first_five_with_a_direction():
    columns = {name: Column("max", 0, 1) for name in "abcdefg"} | {"b": Column("info")}
    scores = dict.fromkeys(columns, 0.5)
    rules = replace(TOY, evaluation=replace(TOY.evaluation, headline="d", extractor=None))
    table = build(seeds("mlp+x", 0.5, digest=rules.digest, scores=scores, columns=columns, draws=[]), rules)
    assert markdown_headings(table)[3:10] == ["d", "a", "c", "e", "f", "g", "seed sd"]


def test_two_columns_of_one_short_name_are_shown_in_full():
    both = {f"fid@{TAG}": 1.0, "fid": 2.0, f"coverage@{TAG}": 0.5}
    columns = {name: Column("min", 0) for name in both}
    table = build(seeds("a+x", 0.5, scores=both, columns=columns, draws=[]), TOY)
    assert {f"fid@{TAG} centre", "fid centre"} <= set(to_frame(table))
