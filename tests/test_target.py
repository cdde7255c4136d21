"""Time to target: the first look of each run that reaches it."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from table_reading import markdown_headings, names, shown
from toy import GPU, TAG, TIMED, TOY, diverged, looked, seeds, timed

from ganbench.leaderboards.export import to_csv, to_frame, to_json
from ganbench.leaderboards.layout import lay_out
from ganbench.leaderboards.table import KIMG_TO_TARGET, SECONDS_TO_TARGET, build
from ganbench.pages.markdown import to_markdown
from ganbench.records.record import Best


def test_time_to_target_is_the_median_of_the_first_looks_that_reach_it():
    table = build(timed(looked("a+x", 0.7, {0: 0, 1: 1, 2: 1, 3: 3, 4: 3})), TIMED)
    reached = table.rows[0].reached
    assert (reached.kimg, reached.seconds, reached.hits, reached.runs) == (20, 6, 5, 5)
    line = next(line for line in to_markdown(table).splitlines() if "| a | x |" in line)
    cells = dict(zip(markdown_headings(table), [c.strip() for c in line.strip("|").split("|")], strict=True))
    assert (cells["kimg to target"], cells["s to target"]) == ("20", "~6")
    assert "first evaluation on the selection split with coverage >= 0.5" in to_markdown(table)
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
    assert "until fid <= 0.5 on the selection split" in shown(table)


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
    evaluation = msgspec.structs.replace(TIMED.evaluation, shown=("fid", "modes_covered"))
    rules = msgspec.structs.replace(TIMED, evaluation=evaluation)
    table = build(records, rules)
    text, headings = shown(table, width), lay_out(table, width).headings
    assert max(map(len, text.splitlines())) <= width
    assert re.search(r"0.7000( \[0.692, 0.708\])?", text)
    assert ("20 (3/5)" in text) == (KIMG_TO_TARGET in headings) == (width >= 120)
    assert ("best coverage: score of the best generator" in text) == (table.best_label in headings) == (width >= 100)
    assert ("to target: training until" in text) == (SECONDS_TO_TARGET in headings or KIMG_TO_TARGET in headings)
