"""A table as a frame with the columns that are printed."""

from __future__ import annotations

import math

import pytest
from nasty import controls, nasty
from toy import TAG, TOY, diverged, make, seeds, yardstick

from ganbench.leaderboards.brief import to_brief_frame
from ganbench.leaderboards.table import build
from ganbench.records.record import Column, Component

COLUMNS = ["rank", "arch", "loss", "coverage", "coverage low", "coverage high", "fid", "is", "modes_covered"]


def test_its_columns_are_those_of_the_printed_table_and_its_numbers_are_floats() -> None:
    table = build(seeds("dcgan+hinge", 0.8) + seeds("mlp+hinge", 0.4) + yardstick("noise", 0.01), TOY)
    frame = to_brief_frame(table)
    assert list(frame) == [*COLUMNS, "hq_fraction", "samples/s", "ok"]
    assert {str(frame[name].dtype) for name in [*COLUMNS[3:], "samples/s"]} == {"float64"}
    assert frame[["rank", "arch", "loss", "ok"]].to_numpy().tolist() == [
        ["1", "dcgan", "hinge", "5/5"],
        ["2", "mlp", "hinge", "5/5"],
        ["", "noise", "yardstick", "5"],
    ]
    best, score = frame.iloc[0], table.rows[0].scores[f"coverage@{TAG}"]
    assert (best["coverage low"], best["coverage"], best["coverage high"]) == (score.low, score.centre, score.high)
    assert best["samples/s"] == 4002.0
    assert math.isnan(frame.iloc[2]["samples/s"])


def test_a_row_with_a_failed_seed_has_a_median_and_no_interval() -> None:
    frame = to_brief_frame(build([*seeds("a+x", 0.8, 4), diverged("a+x", 4)], TOY))
    (row,) = frame.to_dict("records")
    assert row["ok"] == "4/5, 1 diverged"
    assert row["coverage"] == pytest.approx(0.8, abs=0.01)
    assert math.isnan(row["coverage low"])
    assert math.isnan(row["coverage high"])
    assert row["rank"] == ""


def test_tricks_settings_and_places_have_columns_only_where_rows_differ_in_them() -> None:
    plain = seeds("a+x", 0.5)
    ema = Component("ema:0.9", "ganbench", "0.1.0", "c1")
    assert {"tricks", "settings", "here"}.isdisjoint(to_brief_frame(build(plain, TOY)))
    tricky = to_brief_frame(build(plain + seeds("a+x", 0.8, tricks=(ema,)), TOY))
    assert tricky["tricks"].tolist() == ["ema:0.9", ""]
    custom = to_brief_frame(build(plain + seeds("a+x", 0.8, changes={"lr": "1"}), TOY))
    assert custom[["rank", "settings"]].to_numpy().tolist() == [["1", ""], ["custom", "lr=1"]]
    mixed = to_brief_frame(build(plain, TOY, published=seeds("b+x", 0.8)))
    assert mixed[["arch", "here"]].to_numpy().tolist() == [["b", False], ["a", True]]


def test_a_score_named_like_a_column_of_every_table_keeps_apart_from_it() -> None:
    record = make("a+x")
    record = make("a+x", scores={**record.scores, "loss": 7.0}, columns={**record.columns, "loss": Column("min")})
    (row,) = to_brief_frame(build([record], TOY, metrics=["loss"])).to_dict("records")
    assert (row["loss"], row["loss score"]) == ("x", 7.0)


def test_a_table_without_rows_is_an_empty_frame() -> None:
    frame = to_brief_frame(build([], TOY))
    assert len(frame) == 0
    assert {"rank", "arch", "coverage low"} <= set(frame)


def test_a_frame_of_nasty_records_prints_without_control_characters() -> None:
    frame = to_brief_frame(build([nasty(record, TOY.name, TOY.digest) for record in seeds("a+x", 0.5)], TOY))
    text = frame.to_string()
    assert controls(text) == set()
    assert "[/][bold][batch, 1]:smile:" in text
