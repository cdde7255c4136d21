"""What pages show, checked without a browser: leaders, fronts, grids, explanations, commands, citations, the hub."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace
from nasty import NASTY, controls
from toy import TOY, diverged, make, seeds, timing, yardstick

from ganbench.errors import GanbenchWarning
from ganbench.leaderboards.cells import ScoreOf
from ganbench.leaderboards.frontier import COSTS, offers_of
from ganbench.leaderboards.leaders import race_of
from ganbench.leaderboards.table import Table, build
from ganbench.leaderboards.trajectory import Mark, trajectory_of
from ganbench.pages.anchors import LONGEST, anchor_of
from ganbench.pages.charts.all import charts_of
from ganbench.pages.charts.cost import BOTTOM, HEIGHT
from ganbench.pages.charts.lanes import MOST
from ganbench.pages.charts.leaders import FEW, MOST_ARCHS
from ganbench.pages.charts.scale import Scale, mark_of, scale_of
from ganbench.pages.charts.svg import CHARACTER, as_file
from ganbench.pages.citation import to_bibtex
from ganbench.pages.commands import command_of
from ganbench.pages.folder import check_folder, write_folder
from ganbench.pages.glossary import about_column
from ganbench.pages.grids import MOST_PAIRED, arch_by_loss, pairs
from ganbench.pages.hub import stale_hub, write_hub
from ganbench.pages.page import to_page
from ganbench.pages.view import View
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Look, Record
from ganbench.records.store import read

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "leaderboards"


def seen(entry: str, level: float, *scores: tuple[float, ...]) -> list[Record]:
    """Two seeds at least, each with its looks at 1, 2, 3 ... kimg."""
    return [
        make(entry, seed, level, curve=tuple(Look(1.0 + i, 9.0, score) for i, score in enumerate(curve)))
        for seed, curve in enumerate(scores)
    ]


def table_of(*records: Record, **options) -> Table:
    return build(records, TOY, **options)


def published(name: str) -> Table:
    records = [read(path) for path in sorted((PUBLISHED / name / "records").glob("*.json"))]
    return build(records, load_protocol(name))


# -- trajectories, leaders, fronts -------------------------------------------------------------------------------------


def test_a_trajectory_is_the_mean_and_range_of_seeds_at_common_looks() -> None:
    table = table_of(*seen("a+x", 0.5, (0.1, 0.2, 0.9), (0.3, 0.4)))
    first, second = trajectory_of(table, table.rows[0])
    assert first == pytest.approx(Mark(1.0, 0.2, 0.1, 0.3))
    assert second == pytest.approx(Mark(2.0, 0.3, 0.2, 0.4))


def test_a_trajectory_is_geometric_where_the_table_is(digits) -> None:
    row = digits.block("entry")[0]
    scores = [record.curve[-1].score for record in row.records]
    assert digits.log
    assert trajectory_of(digits, row)[-1].centre == pytest.approx(math.prod(scores) ** (1 / len(scores)))


def five(*curve: float) -> list[tuple[float, ...]]:
    return [curve] * 5


def test_who_leads_changes_hands_where_the_means_cross() -> None:
    table = table_of(*seen("a+x", 0.5, *five(0.5, 0.5, 0.5)), *seen("b+x", 0.6, *five(0.4, 0.6, 0.7)))
    race = race_of(table)
    assert [(table.title(r.row), r.first, r.last) for r in race.reigns] == [("a+x", 1.0, 1.0), ("b+x", 2.0, 3.0)]
    assert "a+x (at 1 kimg), then b+x (from 2 to 3 kimg)" in charts_of(table)["leaders"].about


def test_a_row_with_a_failed_seed_never_leads() -> None:
    broken = [*seen("b+x", 0.9, *five(0.9, 0.9))[:4], diverged("b+x", 4)]
    table = table_of(*seen("a+x", 0.5, *five(0.5, 0.5)), *seen("c+x", 0.4, *five(0.4, 0.4)), *broken)
    assert {table.title(reign.row) for reign in race_of(table).reigns} == {"a+x"}


def test_all_of_a_few_rows_are_named_and_of_many_those_that_lead() -> None:
    broken = [*seen("b+x", 0.9, *five(0.9, 0.8))[:4], diverged("b+x", 4)]
    few = charts_of(table_of(*seen("a+x", 0.5, *five(0.5, 0.5)), *seen("a+y", 0.4, *five(0.4, 0.4)), *broken))
    assert {*re.findall(r'class="label ink-c\d">(.*?)</text>', few["leaders"].svg)} == {"a+x", "a+y", "b+x"}
    assert few["leaders"].svg.count('dashed"') == 1
    assert "leaders-a" not in few
    many = [seen(f"{'ab'[i % 2]}+l{i:02}", 0.3 + i / 50, *five(0.3 + i / 50, 0.3 + i / 50)) for i in range(FEW + 1)]
    charts = charts_of(table_of(*(record for records in many for record in records)))
    assert re.findall(r'class="label ink-c\d">(.*?)</text>', charts["leaders"].svg) == [f"a+l{FEW}"]
    assert len(re.findall('class="label ink', charts["leaders-b"].svg)) == FEW // 2


def test_the_front_holds_the_rows_that_no_other_beats_in_both() -> None:
    small, large = {"G": 10, "D": 10}, {"G": 50, "D": 50}
    records = [
        *seeds("a+x", 0.5, parameters=small),
        *seeds("b+x", 0.9, parameters=large),
        *seeds("c+x", 0.6, parameters=large),  # better than a+x, and beaten at the same cost
        *seeds("d+x", 0.95, parameters=large)[:4],
        diverged("d+x", 4),
        *yardstick("real data", 0.99),
    ]
    table = table_of(*records)
    size = next(cost for cost in COSTS if cost.name == "parameters")
    offers = offers_of(table, size)
    assert {table.title(offer.row): offer.best for offer in offers} == {
        "a+x": True, "b+x": True, "c+x": False, "d+x": False,
    }  # fmt: skip
    assert {offer.cost for offer in offers} == {20, 100}


def test_seconds_are_those_of_a_rows_timing_where_all_rows_have_one() -> None:
    seconds = next(cost for cost in COSTS if cost.name == "seconds")
    entries = ["a+x", "b+x"]
    records = [record for entry in entries for record in seeds(entry, 0.5)]
    own = {table_row.entry.name: seconds.of(table_row) for table_row in table_of(*records).rows}
    timed = table_of(*records, timings=[timing("a+x", 1000.0), timing("b+x", 500.0)])
    found = {row.entry.name: seconds.of(row) for row in timed.rows}
    kimg = timed.rows[0].costs["kimg"]
    assert found == {"a+x": kimg, "b+x": 2 * kimg}
    assert own != found


# -- charts ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> Table:
    return published("digits-16-v2")


def test_every_chart_is_xml_with_a_title_and_the_same_whenever_drawn(digits) -> None:
    charts = charts_of(digits)
    archs = {"leaders-dcgan", "leaders-dcgan-upsample", "leaders-mlp", "leaders-r3gan", "leaders-sngan"}
    assert {*charts} == {"cost-seconds", "cost-flops", "cost-parameters", "leaders", *archs, "ranks", "noise"}
    for chart in charts.values():
        root = ElementTree.fromstring(as_file(chart))
        assert root.find("{*}title").text == chart.title
        assert not root.findall(".//{*}a")
        assert chart == charts_of(digits)[chart.name]
    assert charts_of(digits, linked=True)["ranks"].svg.count("<a ") == len([row for row in digits.rows if row.rank])


def test_a_mark_stands_where_its_value_is_on_the_scale(digits) -> None:
    offers = offers_of(digits, COSTS[2])
    svg = charts_of(digits)["cost-parameters"].svg
    best = next(offer for offer in offers if offer.best)
    x = scale_of([offer.cost for offer in offers], 56, 640, log=True).at(best.cost)
    assert re.search(rf'<circle cx="{x:.1f}" cy="[\d.]+" r="5" class="dot best"/>', svg)


def test_names_of_a_front_stay_within_the_chart_and_off_its_line(digits) -> None:
    for name in ("cost-seconds", "cost-flops"):
        svg = charts_of(digits)[name].svg
        line = [tuple(map(float, at.split(","))) for at in re.search(r'points="(.*?)" class="front"', svg)[1].split()]
        labels = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="start" class="label">(.*?)</text>', svg)
        assert len(labels) == len(line) > 5
        for left, bottom, words in ((float(x), float(y), words) for x, y, words in labels):
            assert bottom < HEIGHT - BOTTOM, words
            inside = [_crosses(one, other, left, bottom - 6, len(words) * CHARACTER) for one, other in pairwise(line)]
            assert not any(inside), words


def _crosses(one: tuple[float, float], other: tuple[float, float], left: float, y: float, width: float) -> bool:
    """Whether a piece of a line goes through the middle of a text."""
    if not min(one[1], other[1]) <= y <= max(one[1], other[1]) or one[1] == other[1]:
        return False
    return left < one[0] + (y - one[1]) / (other[1] - one[1]) * (other[0] - one[0]) < left + width


def test_a_cost_that_all_rows_share_has_no_chart() -> None:
    same, other = {"G": 10, "D": 10}, {"G": 50, "D": 50}
    one = [*seeds("a+x", 0.5, parameters=same), *seeds("b+x", 0.9, parameters=same)]
    assert "cost-parameters" not in charts_of(table_of(*one))
    assert "cost-parameters" in charts_of(table_of(*one, *seeds("c+x", 0.4, parameters=other)))


def test_names_from_records_are_text_in_a_chart() -> None:
    table = table_of(*seeds("dcgan+<script>alert(1)</script>", 0.5), *seeds(f"{NASTY}+x", 0.6), *seeds("b+y", 0.7))
    for chart in charts_of(table, linked=True).values():
        assert "<script" not in chart.svg
        assert controls(as_file(chart)) == set()
        ElementTree.fromstring(as_file(chart))


def test_no_name_of_an_arch_leads_a_picture_out_of_its_folder(tmp_path) -> None:
    names = ["../../evil", "a/b", "..", "a b", "a-b", "x" * 300, NASTY]
    rows = [(f"{name}+{loss}", 0.3 + i / 50) for i, name in enumerate(names) for loss in ("x", "y")]
    records = [record for entry, level in rows for record in seen(entry, level, *five(level, level))]
    board = tmp_path / "boards" / TOY.name
    write_folder(records, TOY, board)
    pictures = [path for path in tmp_path.rglob("*") if path.suffix == ".svg"]
    assert {path.parent for path in pictures} == {board / "pictures"}
    assert sum(path.name.startswith("leaders-") for path in pictures) == len(names)
    for address in re.findall(r"\]\((pictures/.*?)\)", (board / "README.md").read_text()):
        assert (board / address).is_file()


def test_the_noise_of_a_score_is_that_of_its_mean_over_evaluations(digits) -> None:
    assert "A score is the mean of 3 evaluations and has 1/√3 of their noise." in charts_of(digits)["noise"].about


def test_only_so_many_archs_have_a_chart_of_their_own() -> None:
    archs = range(MOST_ARCHS + 2)
    rows = [seen(f"a{i:02}+{loss}", 0.3 + i / 50, *five(0.3 + i / 50, 0.4 + i / 50)) for i in archs for loss in "xy"]
    names = [name for name in charts_of(table_of(*(record for row in rows for record in row))) if "leaders-" in name]
    assert names == [f"leaders-a{i:02}" for i in reversed(archs)][:MOST_ARCHS]


def test_a_chart_of_many_rows_shows_the_first_and_says_so() -> None:
    records = [make(f"a+l{i:03}", seed, 0.3 + i / 400) for i in range(MOST + 5) for seed in range(5)]
    chart = charts_of(table_of(*records))["ranks"]
    assert f"Only the first {MOST} of {MOST + 5} rows are shown." in chart.about
    assert chart.svg.count("<g>") == MOST


def test_a_scale_marks_round_numbers_within_itself() -> None:
    assert Scale(0, 80, 0, 100).ticks() == [0, 20, 40, 60, 80]
    assert Scale(0.4, 30, 0, 100, log=True).ticks() == [0.5, 1, 2, 5, 10, 20]
    assert Scale(1e3, 1e12, 0, 100, log=True).ticks() == [1e3, 1e5, 1e7, 1e9, 1e11]
    assert Scale(3.1, 3.4, 0, 100, log=True).ticks(), "even where no round power lies between"
    assert Scale(1, 100, 0, 10, log=True).at(10) == pytest.approx(5)
    assert Scale(0, 10, 100, 0).at(2.5) == 75
    assert Scale(0, 10, 0, 100).at(99) == 100
    assert scale_of([5.0, 5.0], 0, 1).low < 5 < scale_of([5.0, 5.0], 0, 1).high
    assert not scale_of([0.0, 5.0], 0, 1, log=True).log
    assert scale_of([2.0, 8.0], 0, 1, zero=True).low == 0
    assert [*map(mark_of, (0, 0.05, 0.5, -2.5, 200, 3000, 2e4, 1.5e6, 2e12))] == [
        "0", "0.05", "0.5", "-2.5", "200", "3000", "20k", "1.5M", "2T",
    ]  # fmt: skip


# -- grids -------------------------------------------------------------------------------------------------------------


def test_arch_by_loss_has_a_square_for_each_combination() -> None:
    records = [record for entry, level in (("a+x", 0.5), ("a+y", 0.6), ("b+x", 0.7)) for record in seeds(entry, level)]
    records += [*seeds("b+y", 0.2)[:4], diverged("b+y", 4), *seeds("b+x", 0.99, changes={"lr": "1"})]
    grid = arch_by_loss(table_of(*records))
    assert (list(grid.headings), [line.name for line in grid.lines]) == (["x", "y"], ["b", "a"])
    squares = {square.anchor: square for line in grid.lines for square in line.squares}
    assert {name: square.text for name, square in squares.items()} == {
        "a+x": "0.500", "a+y": "0.600", "b+x": "0.700", "b+y": "0.198",
    }  # fmt: skip
    assert (squares["a+x"].shade, squares["a+y"].shade, squares["b+x"].shade) == ("h0", "h2", "h4")
    assert squares["b+y"].shade == "trouble"
    assert arch_by_loss(table_of(*seeds("a+x", 0.5))) is None


def test_the_pairs_of_a_table_are_those_of_its_ranking(digits) -> None:
    grid, standing = pairs(digits), digits.standing(digits.headline)
    assert len(grid.lines) == len(standing.rows)
    titles = [digits.title(row) for row in standing.rows]
    one, other = titles.index("r3gan+rpgan-r1-r2"), titles.index("dcgan+r1")
    p = standing.ranking.adjusted[one, other]
    line = next(line for line in grid.lines if line.name.endswith(" r3gan+rpgan-r1-r2"))
    names = [line.name.split(" ", 1)[1] for line in grid.lines]
    square = line.squares[names.index("dcgan+r1")]
    assert p < 0.05
    assert square.text == f"{p:.3f}".lstrip("0")
    assert square.shade == "better"
    mirrored = grid.lines[names.index("dcgan+r1")].squares[names.index("r3gan+rpgan-r1-r2")]
    assert (mirrored.text, mirrored.shade) == (square.text, "worse")


def test_the_grid_of_pairs_stops_at_what_fits_and_says_so() -> None:
    records = [make(f"a+l{i:03}", seed, 0.3 + i / 400) for i in range(MOST_PAIRED + 3) for seed in range(5)]
    grid = pairs(table_of(*records))
    assert len(grid.lines) == len(grid.lines[0].squares) == MOST_PAIRED
    assert grid.note == f"Only the first {MOST_PAIRED} rows are shown; 3 more are in the table."
    assert grid.lines[0].name == f"1 a+l{MOST_PAIRED + 2:03}"


# -- words -------------------------------------------------------------------------------------------------------------


def test_every_column_of_a_published_table_is_explained() -> None:
    checked = 0
    for folder in sorted(PUBLISHED.glob("*/records")):
        table = published(folder.parent.name)
        view = View(table, {})
        assert all(heading.about for heading in view.headings), folder
        for name in (name for name in table.shown if table.columns[name].metric):
            told = about_column(table, _key(name))
            assert not told.startswith(("Lower", "Higher", "No direction")), (folder, name)
            checked += 1
    assert checked > 10


def _key(name: str) -> ScoreOf:
    return ScoreOf(name)


def test_a_column_is_explained_by_its_own_line_or_else_by_the_first(digits) -> None:
    told = {digits.label(name): about_column(digits, _key(name)) for name in digits.shown}
    assert told["coverage"].startswith("Share of real samples whose neighbourhood contains a fake. Higher is better, 0")
    assert told["fid"].startswith("Fréchet distance between Gaussians fitted to real and fake features")


def test_a_column_without_its_metric_says_its_direction_and_range() -> None:
    table = table_of(*seeds("a+x", 0.5))
    assert about_column(table, _key(table.headline)).startswith("Higher is better, 0 to 1.")


def test_the_command_of_a_row_makes_that_row() -> None:
    changed = seeds("a+x", 0.5, changes={"loss.path": "it's here"})
    table = table_of(*changed, *yardstick("noise", 0.1))
    commands = [command_of(table, row) for row in table.rows]
    assert commands == [
        "",
        "ganbench run --arch a --loss x --protocol toy-v1 --set 'loss.path=it'\"'\"'s here'",
    ]


def test_a_row_from_python_alone_has_no_command() -> None:
    table = table_of(*seeds("unpackaged:a+x", 0.5))
    assert command_of(table, table.rows[0]) == ""


def test_an_anchor_is_short_safe_and_no_other_rows() -> None:
    names = ["a+x", "a+x y", "a+x-y", "a+" + "x" * 300, "a+" + "x" * 299, NASTY + "+x"]
    table = table_of(*(record for name in names for record in seeds(name, 0.5)))
    anchors = {anchor_of(table, row) for row in table.rows}
    assert len(anchors) == len(names)
    assert all(re.fullmatch(rf"[A-Za-z0-9._+=-]{{1,{LONGEST + 9}}}", anchor) for anchor in anchors)
    assert {"a+x", "a+x-y"} <= anchors


def test_a_citation_names_the_digest_and_the_year_and_tex_can_read_it() -> None:
    text = to_bibtex(table_of(*seeds("a+x", 0.5)))
    assert text.startswith("@misc{ganbench-toy-v1,\n")
    assert f"note   = {{Digest {TOY.digest}, 5 records, ganbench 0.1.0}}" in text
    assert "year   = {2026}" in text
    nasty = to_bibtex(table_of(*(make("a+x", seed, environment=_named(NASTY)) for seed in range(5))))
    assert nasty.count("{") == nasty.count("}")
    assert not re.search(r"(?<!\\)[$&#^_~%]", nasty)


def _named(version: str):
    return replace(make().environment, ganbench=version)


# -- folders -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def boards(tmp_path: Path) -> Iterator[Path]:
    """Two versions of one protocol, and another protocol."""
    for name, n in (("toy-v1", 5), ("toy-v2", 5), ("other-v1", 5)):
        rules = replace(TOY, name=name)
        records = [replace(record, protocol=name, digest=rules.digest) for record in seeds("a+x", 0.5, n)]
        write_folder(records, rules, tmp_path / name)
    write_hub(tmp_path)
    return tmp_path


def test_the_hub_shows_the_newest_version_of_each_protocol(boards) -> None:
    text = (boards / "README.md").read_text()
    current, older = text.split("## Older versions")
    assert re.findall(r"^## \[(.*?)\]", current, re.M) == ["other-v1", "toy-v2"]
    assert "[toy-v1](toy-v1/README.md): 1 row, 5 seeds, 5 records, made 2026-01-01 to 2026-01-05" in older
    page = (boards / "index.html").read_text()
    assert page.index("toy-v2/index.html") < page.index("Older versions") < page.index("toy-v1/index.html")
    assert '<a href="toy-v2/index.html#a+x">a+x</a>' in page


def test_a_stale_hub_is_found_out_and_written_again(boards) -> None:
    assert stale_hub(boards) == []
    (boards / "assets" / "ganbench.js").write_text("alert(1)")
    summary = json.loads((boards / "other-v1" / "summary.json").read_text())
    summary["description"] = "Another."
    (boards / "other-v1" / "summary.json").write_text(json.dumps(summary))
    assert stale_hub(boards) == ["README.md", "assets/ganbench.js", "index.html"]
    assert write_hub(boards) == ["README.md", "assets/ganbench.js", "index.html"]
    assert stale_hub(boards) == []


def test_a_summary_that_cannot_be_read_is_left_out_with_a_warning(boards) -> None:
    (boards / "other-v1" / "summary.json").write_text("{")
    with pytest.warns(GanbenchWarning, match=r"cannot read .*other-v1.summary\.json.*leaves it out"):
        write_hub(boards)
    assert "other-v1" not in (boards / "index.html").read_text()
    assert "toy-v2" in (boards / "index.html").read_text()


def test_pages_of_a_folder_share_one_script_and_one_style(boards) -> None:
    pages = [boards / "toy-v1" / "index.html", boards / "toy-v2" / "index.html", boards / "index.html"]
    for page in pages:
        text = page.read_text()
        assert "<style" not in text
        scripts = re.findall(r"<script[^>]*>", text)
        assert len(scripts) == 1
        address = re.search(r'src="(.*?)"', scripts[0])[1]
        assert (page.parent / address).resolve() == (boards / "assets" / "ganbench.js").resolve()
        assert "script-src &#39;self&#39;" in text


def test_every_address_of_a_page_leads_to_a_file_or_a_place_in_it(boards) -> None:
    folders = [*boards.glob("*-v*"), PUBLISHED / "digits-16-v2", PUBLISHED]
    checked = 0
    for page in (folder / "index.html" for folder in folders):
        text = page.read_text()
        places = set(re.findall(r' id="(.*?)"', text))
        for address in re.findall(r' (?:href|src)="(.*?)"', text):
            path, _, place = address.partition("#")
            assert (page.parent / path).exists() if path else place in places, (page, address)
            checked += 1
    assert checked > 300


def test_a_picture_that_no_chart_draws_any_more_goes(tmp_path) -> None:
    write_folder(seeds("a+x", 0.5) + seeds("b+x", 0.6), TOY, tmp_path)
    stray = tmp_path / "pictures" / "old.svg"
    stray.write_text("<svg/>")
    assert check_folder(tmp_path, TOY) == ["pictures/old.svg"]
    assert write_folder([], TOY, tmp_path) == ["pictures/old.svg"]
    assert not stray.exists()


def test_a_page_in_one_file_lets_in_only_its_own_script() -> None:
    page = to_page(table_of(*seeds("a+x", 0.5)))
    assert re.search(r"script-src &#39;sha256-[A-Za-z0-9+/]{43}=&#39;", page)
    assert " src=" not in page
    assert page.count("<script>") == 1


def test_the_published_hub_is_what_its_summaries_give() -> None:
    assert stale_hub(PUBLISHED) == []


def test_published_leaderboards_stay_small() -> None:
    size = sum(path.stat().st_size for path in PUBLISHED.rglob("*") if path.is_file())
    assert size < 40 * 2**20
