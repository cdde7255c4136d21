"""The figures of the documentation: each says where it comes from, and is what the published records give."""

from __future__ import annotations

import csv
import json

import figures
import pictures
import pytest

from ganbench.leaderboards.comparison import p_value

FID = "<!--digits-16-v1: dcgan+r1: fid-->"


def told(page: str) -> list[str]:
    return [problem.text for problem in figures.refreshed(page)[1]]


def now(page: str) -> str:
    """The page with its figures written anew, without the comments."""
    text, problems = figures.refreshed(page)
    assert all(problem.stale for problem in problems)
    return figures.COMMENT.sub("", text)


@pytest.fixture(scope="module")
def cells() -> dict[str, dict[str, str]]:
    """The rows of digits-16-v1 by name, as ``table.csv`` has them; none of changed settings."""
    with (figures.ROOT / "leaderboards" / "digits-16-v1" / "table.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if not row["changes"]]
    return {row["yardstick"] or f"{row['arch']}+{row['loss']}": row for row in rows}


@pytest.mark.parametrize("page", figures.PAGES)
def test_every_figure_of_a_page_is_that_of_the_published_records(page: str) -> None:
    _, problems = figures.refreshed((figures.ROOT / page).read_text("utf-8"))
    assert [f"{page}:{problem.line}: {problem.text}" for problem in problems] == [], "python tests/figures.py --write"


def test_a_stale_figure_is_found_and_written_anew(cells) -> None:
    right = f"{float(cells['dcgan+r1']['fid centre']):.3f}"
    page, problems = figures.refreshed(f"# A page\n\nIt has 9.999{FID}.\n")
    assert problems == [figures.Problem(3, f"9.999 is now {right}", stale=True)]
    assert page == f"# A page\n\nIt has {right}{FID}.\n"
    assert figures.refreshed(page) == (page, [])


def test_a_figure_keeps_its_decimals_its_zero_its_unit_and_its_sign(cells) -> None:
    fid = float(cells["dcgan+r1"]["fid centre"])
    assert fid < 1, "or leading zeros are not tested"
    assert now(f"0.9{FID}") == f"{fid:.1f}"
    assert now(f".9999{FID}") == f"{fid:.4f}".removeprefix("0")
    assert now(f"1.99{FID}") == f"{fid:.2f}"
    assert now(f"1.99{FID} and .5<!--setting-->") == f"{fid:.2f} and .5".removeprefix("0")
    assert now(f"> -5{FID}") == f"> {fid:.0f}"
    parameters = int(cells["dcgan+r1"]["params_g"])
    assert now("5<!--digits-16-v1: dcgan+r1: params_g-->") == f"{parameters:,}"
    share = float(cells["dcgan+r1"]["coverage centre"])
    assert now("9.9<!--digits-16-v1: dcgan+r1: coverage %--> %") == f"{100 * share:.1f} %"


def test_what_a_comment_leaves_out_is_as_in_the_comment_before(cells) -> None:
    row = cells["dcgan+r1"]
    least, most, other = (
        f"{float(value):.4f}" for value in (row["fid min"], row["fid max"], cells["real data"]["fid centre"])
    )
    page = f"0.8{FID} (0.0000<!--fid min--> to\n0.0000<!--fid max-->)\n\n"
    assert f"({least} to\n{most})" in now(page)
    assert f"\n\n{other}" in now(f"{page}0.0000<!--real data: fid-->")
    assert told(f"0.8{FID}\n\n0.8<!--fid-->")[-1].startswith("no row of digits-16-v1 is called ''")
    assert told(f"| 0.8{FID} |\n| 0.8<!--fid--> |")[-1].startswith("no row of digits-16-v1 is called ''")
    assert told(f"0.8{FID}\n\n## More\n\n0.8<!--dcgan+r1: fid-->")[-1].startswith("'' is no protocol")


def test_a_row_with_a_collapsed_seed_has_its_median_and_is_not_compared(cells) -> None:
    name, row = next((name, row) for name, row in cells.items() if row["collapsed"] > "0")
    assert now(f"0.00<!--digits-16-v1: {name}: fid-->") == f"{float(row['fid median']):.2f}"
    assert told(f"0.9<!--digits-16-v1: dcgan+r1 vs {name}: fid-->")[0].startswith("not tested")


@pytest.mark.parametrize("other", ["dcgan+wgan-gp", "dcgan+rpgan-r1-r2"])
def test_two_rows_have_what_compare_says_of_them(other: str, ganbench_here) -> None:
    options = ("--protocol", "digits-16-v1", "--metric", "coverage", "--json")
    found = json.loads(ganbench_here("compare", "dcgan+r1", other, *options).stdout)
    pair, apart = f"<!--digits-16-v1: dcgan+r1 vs {other}: coverage", found["difference"]
    assert now(f"0.0000{pair}-->") == f"{apart['estimate']:.4f}"
    for part in ("low", "high"):
        assert now(f"0.0000{pair} {part}-->") == f"{apart[part]:.4f}"
    assert now(f"p = 0.5{pair} p-->") == p_value(apart["p"])
    assert now(f"0.5{pair} adjusted-->") == p_value(found["in_table"]["adjusted"]).split("= ")[-1].removeprefix("p ")


def test_the_complete_rows_are_counted(cells) -> None:
    fids = [float(row["fid centre"]) for row in cells.values() if row["rank"]]
    n = len(fids)
    page = "0<!--digits-16-v1: ranked: rows--> 0<!--pairs--> 0.000<!--fid min-->"
    assert now(page) == f"{n} {n * (n - 1) // 2} {min(fids):.3f}"


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("digits-16-v1: dcgan+r2: fid", "no row of digits-16-v1 is called 'dcgan+r2' - did you mean 'dcgan+r1'?"),
        ("digits-16-v1: dcgan+r1 vs dcgan: fid", "no row of digits-16-v1 is called 'dcgan'"),
        ("digits-16-v1: dcgan+r1: fidd", "dcgan+r1 of digits-16-v1 has no 'fidd' - did you mean 'fid'?"),
        ("digits-64-v1: dcgan+r1: fid", "'digits-64-v1' is no protocol with a published table"),
        ("settings", "'' is no protocol with a published table"),
    ],
)
def test_a_comment_that_names_nothing_gets_a_sentence(comment: str, said: str) -> None:
    page = f"FID 0.8<!--{comment}-->"
    assert figures.refreshed(page)[0] == page
    (sentence,) = told(page)
    assert sentence.startswith(said)


@pytest.mark.parametrize(
    "text", ["It has .45.", "It has 0.45 <!--setting-->", "| 1.5 |", "(-.001)", "4.5 %", "a `b\n\n.5 and `c`"]
)
def test_a_decimal_number_without_a_comment_is_found(text: str) -> None:
    assert any("does not say where it comes from" in sentence for sentence in told(text))


@pytest.mark.parametrize(
    "text",
    [
        "`--set x=0.5`, `--set\nx=0.5`",
        "```\n0.5\n```\n",
        "[a page](v1.5.md) and ![N(4, 1.25)](a.png)",
        "0.5<!--setting-->, -.5<!--paper-->, 1.0<!--not published-->",
        "In 5 of 10 seeds.",
        "Version 0.1.0",
    ],
)
def test_other_numbers_need_no_comment(text: str) -> None:
    assert told(text) == []


def test_a_comment_behind_no_figure_is_found() -> None:
    assert told("FID <!--digits-16-v1: dcgan+r1: fid-->") == [f"{FID} stands behind no figure"]


@pytest.mark.parametrize(
    ("comment", "body"),
    [("table digits-16-v1: dcgan+wgan-gp", "```text\nold\n```"), ("collapsed", "* `digits-16-v1`: none\n")],
)
def test_a_stale_block_is_found_and_written_anew(comment: str, body: str) -> None:
    page, problems = figures.refreshed(f"A page.\n\n<!--{comment}-->\n\n{body}\nMore.\n")
    assert problems == [figures.Problem(5, f"the block below <!--{comment}--> is stale", stale=True)]
    assert "dcgan" in page
    assert page.endswith("\nMore.\n")
    assert figures.refreshed(page) == (page, [])


def test_a_block_of_no_row_gets_a_sentence() -> None:
    page = "<!--table digits-16-v1: dcgan+r2-->\n\n```text\nold\n```\n"
    assert figures.refreshed(page)[0] == page
    assert told(page)[0].startswith("no row of digits-16-v1 is called 'dcgan+r2'")


def test_the_script_writes_what_is_stale_and_fails_while_anything_is_wrong(tmp_path, monkeypatch, capsys) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"FID 9.9{FID}\n", "utf-8")
    monkeypatch.setattr(figures, "PAGES", (str(page),))
    assert figures.main(write=False) == 1
    assert page.read_text("utf-8") == f"FID 9.9{FID}\n"
    assert figures.main(write=True) == 0
    assert capsys.readouterr().out.count(f"{page}:1: 9.9 is now 0.8") == 2
    assert figures.main(write=False) == 0
    page.write_text("FID 9.9\n", "utf-8")
    assert figures.main(write=True) == 1


def test_the_pictures_of_pages_show_what_is_published() -> None:
    assert [sight.name for sight in pictures.stale()] == [], "python tests/pictures.py --write"


def test_a_picture_is_stale_once_anything_that_it_shows_changes(tmp_path, monkeypatch) -> None:
    sight = pictures.SIGHTS[0]
    page = tmp_path / sight.page
    for path in (page, tmp_path / "assets" / "a.css", page.parent / "strips" / "a.webp"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a")
    monkeypatch.setattr(pictures, "BOARDS", tmp_path)
    before = {pictures.hash_of(sight)}
    for path in (page, tmp_path / "assets" / "a.css", page.parent / "strips" / "a.webp"):
        path.write_text("b")
        before.add(pictures.hash_of(sight))
    assert len(before) == 4
