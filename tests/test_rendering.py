"""A table as text: on a terminal, and in Markdown, CSV, JSON and data frames."""

from __future__ import annotations

import io
import json
import random
import re
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console
from table_reading import shown
from toy import TAG, TOY, diverged, make, seeds, yardstick

from ganbench.contracts.score_name import ScoreName
from ganbench.leaderboards import cells
from ganbench.leaderboards.cells import ScoreOf
from ganbench.leaderboards.export import to_csv, to_frame, to_json
from ganbench.leaderboards.gathering import gather
from ganbench.leaderboards.layout import TELLING, fold, lay_out
from ganbench.leaderboards.statistics import Summary
from ganbench.leaderboards.table import build
from ganbench.leaderboards.terminal import to_rich
from ganbench.pages.markdown import to_markdown
from ganbench.pages.page import to_page


def test_the_row_of_survivors_is_grey_in_the_terminal(mixed):
    console = Console(width=200, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(to_rich(build(mixed, TOY), 200))
    grey = [line for line in console.file.getvalue().splitlines() if "\x1b[2m" in line and "/5" in line]
    assert len(grey) == 1
    assert "0.900 (0.892 to 0.908)" in grey[0]


def test_the_noise_of_seeds_and_of_evaluations_is_shown_in_wide_tables_and_pages(mixed):
    table = build(mixed, TOY)
    console = Console(width=300, file=io.StringIO(), color_system=None)
    console.print(to_rich(table, noises=True))
    for text in (console.file.getvalue(), to_page(table)):
        assert "seed sd" in text
        assert "eval sd" in text
    assert "seed sd" not in shown(table, 300)


def test_a_changed_setting_is_not_broken_within_a_word():
    table = build(seeds("mlp+lsgan", 0.6, changes={"arch.d_halvings": "1"}), TOY)
    assert "arch.d_halvings=1" in shown(table, 70)


def test_a_page_speaks_of_real_data_only_where_they_are_a_row(mixed):
    told = "Real data score as well as a perfect generator would."
    assert told in to_markdown(build(mixed, TOY))
    without = [record for record in mixed if record.entry != "real data"]
    assert told not in to_markdown(build(without, TOY))
    assert "Yardsticks, in italics" in to_markdown(build(without, TOY))


def test_a_page_says_where_the_floor_is_scored_on_fewer_samples_than_rows():
    few = msgspec.structs.replace(make().self_checks, real=500, fake=500)
    floor = [msgspec.structs.replace(r, self_checks=few) for r in yardstick("real data", 0.97)]
    text = to_markdown(build(seeds("a+x", 0.5) + floor, TOY))
    assert "there are only 500 samples on either side, while rows are scored on 1000." in text


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
    for name in ("coverage centre", "coverage low", "coverage eval_sd", "fid sd", "samples/s", "rank", "params_g"):
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


# -- on terminals of any width -----------------------------------------------------------------------------------------


def test_at_80_columns_long_settings_fold_and_what_became_of_seeds_stands_below():
    changes = {"arch.demodulation": "false"}
    records = seeds("dcgan-upsample+rpgan-r1-r2", 0.6, n=3, changes=changes)
    records += [msgspec.structs.replace(diverged("dcgan-upsample+rpgan-r1-r2", 3), changes=changes)]
    text = shown(build(records + seeds("a+x", 0.5), TOY), 80)
    assert "dcgan-upsample+rpgan-r1-r2 " in text
    assert " arch.demodulation=false " in text
    for words in ("1/5 diverged: d_loss is not finite", "medians", "missing seeds in 1 row", "3/5†"):
        assert words in " ".join(text.split())


def test_a_row_of_survivors_shows_its_extremes_where_there_is_room():
    records = [*seeds("a+x", 0.6, n=4), diverged("a+x", 4), *seeds("b+x", 0.5)]
    assert re.search(r" 0\.[56]\d\d \(0\.59\d to 0\.60\d\) ", shown(build(records, TOY), 120))


PUBLISHED = sorted(path.name for path in (Path(__file__).parents[1] / "leaderboards").glob("*-v*"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_at_any_width_lines_fit_and_every_cell_of_a_column_is_whole(name):
    table, _ = gather(name, Path("nowhere"))
    for width in range(40, 204, 4):
        layout = lay_out(table, width)
        assert layout.width <= width
        assert ScoreOf(table.headline) in layout.headings
        for row in table.rows:
            full = cells.cells_of(table, row, intervals=layout.shape.intervals)
            for key in layout.headings:
                if isinstance(key, ScoreOf) or key in ("rank", "samples/s"):
                    assert layout.cells[row.key].get(key, "") == full.get(key, "")
                    assert cell_len(full.get(key, "")) <= layout.widths[key]
        lines = shown(table, width).splitlines()
        assert max(map(len, lines)) <= width
        assert not any("…" in line for line in lines)


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_matters_first_is_shown_at_80_columns(name):
    table, _ = gather(name, Path("nowhere"))
    headings = lay_out(table, 80).headings
    assert [key.name for key in headings if isinstance(key, ScoreOf)] == list(table.shown[:TELLING])
    assert {"rank", "ok"} <= {*headings}
    assert "not shown for lack of width" in shown(table, 80)


def test_columns_give_way_one_by_one(mixed):
    table = build(mixed, TOY)
    shapes = [lay_out(table, width).shape for width in range(200, 30, -1)]
    assert [len(shape.keys) for shape in shapes] == sorted((len(shape.keys) for shape in shapes), reverse=True)
    steps = [(shape.intervals, not shape.joined, not shape.folded) for shape in shapes]
    assert steps == sorted(steps, reverse=True)
    assert len(set(shapes)) > 8
    assert lay_out(table, None).shape.keys == tuple(cells.headings_of(table, "ranked", noises=False))


def test_a_column_that_was_chosen_or_sorted_by_goes_last(mixed):
    narrow = lay_out(build(mixed, TOY, metrics=["is", "fid"], sort="params_g"), 60).headings
    assert {"is", "fid"} <= {ScoreName.of(key.name).column for key in narrow if isinstance(key, ScoreOf)}
    by_norm = build(mixed, TOY, sort="fid")
    assert any(key == ScoreOf(by_norm.sorted_by) for key in lay_out(by_norm, 64).headings)


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("dcgan-upsample+rpgan-r1-r2", 30, ["dcgan-upsample+rpgan-r1-r2"]),
        ("dcgan-upsample+rpgan-r1-r2", 20, ["dcgan-upsample", "+rpgan-r1-r2"]),
        ("dcgan-upsample+rpgan-r1-r2", 9, ["dcgan-", "upsample", "+rpgan-", "r1-r2"]),
        ("sngan+hinge arch.spectral=false", 20, ["sngan+hinge", "arch.spectral=false"]),
        ("3/5, 2 collapsed", 9, ["3/5, 2", "collapsed"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("生成器-判别器", 8, ["生成器-", "判别器"]),
        ("", 5, [""]),
    ],
)
def test_names_fold_between_words_then_at_signs(text, width, lines):
    assert fold(text, width) == lines
    assert "".join(fold(text, width)).replace(" ", "") == text.replace(" ", "")


def test_the_best_value_of_each_column_is_green_and_a_row_made_here_is_coloured(mixed):
    table = build(seeds("mlp+hinge", 0.45), TOY, published=mixed)
    console = Console(width=200, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(to_rich(table, 200))
    lines = console.file.getvalue().splitlines()
    best = min((r for r in table.rows if r.rank), key=lambda r: r.rank)
    green = [text.strip() for text in re.findall(r"\x1b\[1;32m([^\x1b]*)", "\n".join(lines))]
    assert cells.cells_of(table, best)[ScoreOf(table.headline)] in green
    assert [line for line in lines if "\x1b[36m» mlp" in line]
    assert [line for line in lines if "\x1b[2;31m" in line and "/5" in line]


def test_text_in_square_brackets_is_not_swallowed_as_markup():
    changes = {"name": "[red]y[/red]"}
    table = build([make("a+x", 0, status="error", reason="KeyError: [red]x[/red]", changes=changes)], TOY)
    assert "KeyError: [red]x[/red]" in shown(table)
    assert shown(table).count("x name=[red]y[/red]") == 2
