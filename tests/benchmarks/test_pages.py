"""How long a page of five hundred rows takes to write, and to sort and to filter in a Chromium of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pictures
import pytest
from playwright.sync_api import Page, sync_playwright
from toy import TOY, looked

from ganbench.leaderboards.table import build
from ganbench.pages.folder import write_folder
from ganbench.pages.hub import write_hub
from ganbench.pages.page import to_page

ROWS = 500
TIMED = """(change) => {
    const start = performance.now();
    change();
    document.body.offsetHeight;
    return performance.now() - start;
}"""


@pytest.fixture(scope="module")
def records() -> list:
    names = (f"arch{i % 25}+loss{i // 25}" for i in range(ROWS))
    return [record for i, name in enumerate(names) for record in looked(name, 0.3 + i / 1000, {0: 1})]


@pytest.fixture(scope="module")
def page(records, tmp_path_factory) -> Iterator[Page]:
    out = tmp_path_factory.mktemp("boards")
    write_folder(records, TOY, out / TOY.name)
    write_hub(out)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=pictures.browser(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto((Path(out) / TOY.name / "index.html").as_uri())
        yield page
        browser.close()


def test_write_a_page_of_500_rows(benchmark, records) -> None:
    table = build(records, TOY)
    benchmark.pedantic(to_page, (table,), rounds=3)


@pytest.mark.parametrize("column", ["row", "fid", "samples/s"])
def test_sort_500_rows(benchmark, page, column) -> None:
    """Until the browser has laid out the rows; its own clock is in ``extra_info``."""
    button = page.get_by_role("button", name=column, exact=True)
    spent: list[float] = []

    def sort() -> None:
        spent.append(button.evaluate(f"(button) => ({TIMED})(() => button.click())"))

    benchmark.pedantic(sort, rounds=9, warmup_rounds=1)
    benchmark.extra_info["median ms in the browser"] = sorted(spent)[len(spent) // 2]


def test_filter_500_rows(benchmark, page) -> None:
    """One word typed into the search, then taken out."""
    field = page.get_by_label("Search")
    spent: list[float] = []

    def search() -> None:
        for words in ("loss1", ""):
            change = f"() => {{ field.value = '{words}'; field.dispatchEvent(new Event('input', {{bubbles: true}})); }}"
            spent.append(field.evaluate(f"(field) => ({TIMED})({change})"))

    benchmark.pedantic(search, rounds=9, warmup_rounds=1)
    benchmark.extra_info["median ms in the browser"] = sorted(spent)[len(spent) // 2]
