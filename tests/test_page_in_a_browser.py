"""Leaderboard pages in a real browser: sorting, filters, the keyboard, hostile names, axe-core."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pictures
import pytest
from axe_playwright_python.sync_playwright import Axe
from nasty import nasty
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from test_strips import HASHES, saved
from toy import TOY, diverged, looked, make, seeds, yardstick

from ganbench.pages.folder import write_folder
from ganbench.pages.hub import write_hub
from ganbench.records.record import Fingerprints, Look
from ganbench.records.strips import bind

ROOT = Path(__file__).parents[1]
BOARDS = ROOT / "leaderboards"
EXECUTABLE = pictures.browser()
pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium on this machine")
LOOKS = [(size, scheme) for size in ((1280, 900), (400, 800)) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page with all that the browser had to say of it."""

    def __init__(self, page: Page) -> None:
        self.page, self.said, self.asked = page, [], []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.asked.append(request.url))


@pytest.fixture
def visit(browser: Browser) -> Iterator:
    opened = []

    def go(file: Path, anchor: str = "", **options) -> Visit:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        opened.append(context)
        visit = Visit(context.new_page())
        visit.page.goto(file.resolve().as_uri() + anchor)
        return visit

    yield go
    for context in opened:
        context.close()


@pytest.fixture(scope="module")
def board(tmp_path_factory) -> Path:
    """A folder of every kind of row: complete, a yardstick, one that failed, one that lacks seeds, a custom one."""
    out = tmp_path_factory.mktemp("boards")
    records = looked("dcgan+hinge", 0.5, {0: 1}) + looked("dcgan+wgan", 0.7, {0: 2})
    records += [make("mlp+hinge", seed, 0.6, bits=Fingerprints(HASHES[seed], ("s0", "s1"), "t0")) for seed in range(5)]
    records += [*seeds("mlp+wgan", 0.4)[:4], diverged("mlp+wgan", 4), *seeds("mlp+r1", 0.65, 2)]
    records += seeds("mlp+lsgan", 0.9, changes={"loss.weight": "2"}) + yardstick("real data", 0.65)
    strips = [saved(out / "mine" / f"strip{suffix}", HASHES[0]) for suffix in (".webp", ".wav")]
    write_folder(records, TOY, out / TOY.name, strips=strips)
    shutil.rmtree(out / "mine")
    write_hub(out)
    return out / TOY.name / "index.html"


def titles(page: Page, part: str = "ranked") -> list[str]:
    """The names of the visible rows of a part, from above."""
    names = page.locator(f'tbody[data-part="{part}"] tr.row:visible .name')
    return [text.strip(" ‡»") for text in names.all_inner_texts()]


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
@pytest.mark.parametrize("name", ["index.html", "digits-16-v2/index.html", "ring-v2/index.html"])
def test_a_published_page_is_quiet_and_as_wide_as_the_screen(visit, name, size, scheme) -> None:
    width, height = size
    seen = visit(BOARDS / name, viewport={"width": width, "height": height}, color_scheme=scheme)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == width
    assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)"
    )
    assert seen.page.evaluate("[...document.images].map((image) => { image.loading = 'eager'; }).length") > 0
    seen.page.evaluate("Promise.all([...document.images].map((image) => image.decode()))")
    assert seen.said == []
    assert all(url.startswith("file:") for url in seen.asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "digits-16-v2/index.html"])
def test_axe_finds_nothing_to_object_to(visit, name, scheme) -> None:
    page = visit(BOARDS / name, color_scheme=scheme).page
    for button in page.locator(".open").all()[:2]:
        button.click()
    found = Axe().run(page)
    assert found.response["passes"]
    assert found.response["violations"] == [], found.generate_report()


def test_every_default_column_of_the_digits_fits_into_1280_pixels(visit) -> None:
    page = visit(BOARDS / "digits-16-v2" / "index.html").page
    inner, outer = (page.evaluate(f"document.querySelector('#table .scroll').{side}") for side in WIDTHS)
    assert inner <= outer
    page.get_by_label("all columns").check()
    assert page.evaluate(f"document.querySelector('#table .scroll').{WIDTHS[0]}") > outer


WIDTHS = ("scrollWidth", "clientWidth")


@pytest.mark.parametrize(("size", "scheme"), LOOKS[::2])
def test_bars_of_a_column_stand_one_below_the_other_in_full_size(visit, size, scheme) -> None:
    page = visit(BOARDS / "digits-16-v2" / "index.html", viewport={"width": size[0], "height": size[1]}).page
    places = page.locator("#board .bar").evaluate_all(
        "all => all.map((bar) => { const at = bar.getBoundingClientRect(); return [at.left, at.width]; })"
    )
    assert len(places) > 30
    assert {(round(left), round(width)) for left, width in places} == {(round(places[0][0]), 72)}


def test_a_headline_can_be_read_on_a_phone_without_moving_the_table(visit) -> None:
    page = visit(BOARDS / "digits-16-v2" / "index.html", viewport={"width": 400, "height": 800}).page
    text = page.locator("tr.row.entry .score span").first.bounding_box()
    region = page.locator("#table .scroll").bounding_box()
    assert text["x"] + text["width"] <= region["x"] + region["width"]


def test_the_mark_of_a_row_follows_its_name(visit) -> None:
    page = visit(BOARDS / "digits-16-v2" / "index.html").page
    name = page.locator("[id='dcgan+non-saturating'] .name")
    mark, own = name.locator("abbr:visible").bounding_box(), name.locator(".open span").bounding_box()
    assert mark["y"] + mark["height"] <= own["y"] + own["height"] + 1


def test_a_click_sorts_by_a_column_and_parts_stay_in_their_order(visit, board) -> None:
    page = visit(board).page
    assert titles(page) == ["dcgan+wgan", "real data", "mlp+hinge", "dcgan+hinge"]
    heading = page.locator("th", has=page.get_by_role("button", name="coverage", exact=True))
    expect(heading).to_have_attribute("aria-sort", "descending")
    heading.locator(".sort").click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    assert titles(page) == ["dcgan+hinge", "mlp+hinge", "real data", "dcgan+wgan"]
    page.get_by_role("button", name="fid", exact=True).click()
    assert titles(page) == ["dcgan+wgan", "real data", "mlp+hinge", "dcgan+hinge"]
    page.get_by_role("button", name="row", exact=True).click()
    assert titles(page) == ["dcgan+hinge", "dcgan+wgan", "mlp+hinge", "real data"]
    parts = page.locator("#board tbody").evaluate_all("bodies => bodies.map((body) => body.dataset.part)")
    assert parts == ["ranked", "unstable", "incomplete", "custom"]


def test_rows_without_a_value_stand_last_in_both_directions(visit, board) -> None:
    page = visit(board).page
    speed = page.get_by_role("button", name="samples/s", exact=True)
    for _ in range(2):
        speed.click()
        assert titles(page)[-1] == "real data"


def test_of_many_rows_the_first_hundred_come_at_once_and_soon_all(visit, tmp_path) -> None:
    records = [make(f"a+l{i:03}", seed, 0.3 + i / 400) for i in range(130) for seed in range(2)]
    write_folder(records, TOY, tmp_path / TOY.name)
    write_hub(tmp_path)
    page = visit(tmp_path / TOY.name / "index.html").page
    held_back = page.get_by_role("button", name="row", exact=True).evaluate(
        "button => { button.click(); return document.querySelectorAll('.later').length; }"
    )
    assert held_back == 30
    expect(page.locator(".later")).to_have_count(0)
    assert titles(page, "incomplete") == [f"a+l{i:03}" for i in range(130)]


def test_filters_combine_and_say_how_many_rows_are_left(visit, board) -> None:
    page = visit(board).page
    count = page.locator("output[name=count]")
    expect(count).to_have_text("6 rows")
    page.get_by_role("combobox", name="arch", exact=True).select_option("dcgan")
    assert titles(page) == ["dcgan+wgan", "real data", "dcgan+hinge"]
    page.get_by_label("yardsticks").uncheck()
    page.get_by_label("Search").fill("WGAN ganbench")
    assert titles(page) == ["dcgan+wgan"]
    expect(count).to_have_text("1 of 6 rows")
    page.get_by_label("Search").fill("nothing like it")
    expect(page.get_by_text("No row matches these filters.")).to_be_visible()
    page.get_by_role("button", name="Reset").click()
    expect(count).to_have_text("6 rows")
    assert "real data" in titles(page)


def test_the_address_holds_filters_and_order_so_that_they_can_be_linked_to(visit, board) -> None:
    page = visit(board).page
    page.get_by_role("combobox", name="loss", exact=True).select_option("hinge")
    page.get_by_role("button", name="fid", exact=True).click()
    page.get_by_role("button", name="fid", exact=True).click()
    shown = titles(page)
    again = visit(board, page.url[page.url.index("#") :]).page
    assert titles(again) == shown == ["dcgan+hinge", "mlp+hinge", "real data"]
    assert again.locator("th[aria-sort=descending] .sort").inner_text() == "fid"


def test_a_link_to_a_row_opens_its_details(visit, board) -> None:
    page = visit(board, "#mlp+hinge").page
    details = page.locator("[id='mlp+hinge--more']")
    expect(details).to_be_visible()
    expect(page.locator(".more.shown")).to_have_count(1)
    expect(details.get_by_role("link", name="seed 0")).to_have_attribute("href", "records/mlp+hinge+seed0.json")
    page.locator("#plots a[href='#dcgan+wgan']").first.click()
    expect(page.locator("[id='dcgan+wgan--more']")).to_be_visible()


def test_the_command_of_a_row_is_copied_as_it_is_shown(visit, board) -> None:
    page = visit(board, "#mlp+lsgan-loss.weight-2", permissions=["clipboard-read", "clipboard-write"]).page
    row = page.locator("tr.row", has_text="loss.weight=2")
    row.locator(".open").click()
    details = page.locator(".more.shown")
    details.get_by_role("button", name="Copy").click()
    expect(details.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "ganbench run --arch mlp --loss lsgan --protocol toy-v1 --set loss.weight=2"


def test_a_sound_of_a_row_can_be_played(visit, board) -> None:
    page = visit(board, "#mlp+hinge").page
    length = page.locator(".more.shown audio").evaluate(
        "audio => new Promise((resolve, reject) => {"
        " audio.onloadedmetadata = () => resolve(audio.duration); audio.onerror = () => reject(audio.error.message);"
        " audio.load(); })"
    )
    assert length > 0


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_moving_pictures_stop_on_request_and_for_those_who_asked_for_it(visit, tmp_path, motion) -> None:
    buffer = io.BytesIO()
    first, *others = (Image.new("RGB", (40, 10), (40 * i, 0, 0)) for i in range(3))
    first.save(buffer, "webp", save_all=True, append_images=others, duration=100, loop=0)
    (tmp_path / "strip.webp").write_bytes(bind(buffer.getvalue(), HASHES[0]))
    record = make("a+x", 0, bits=Fingerprints(HASHES[0], ("s0", "s1"), "t0"))
    write_folder([record, make("b+x", 0)], TOY, tmp_path / TOY.name, strips=[tmp_path / "strip.webp"])
    write_hub(tmp_path)
    page = visit(tmp_path / TOY.name / "index.html", reduced_motion=motion).page
    button = page.get_by_role("button", name="Stop animations")
    if motion == "no-preference":
        expect(page.locator("img.thumb.moving")).to_be_visible()
        button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("img.thumb.moving")).to_be_hidden()
    expect(page.get_by_role("img", name="samples of a+x").first).to_be_visible()
    button.click()
    expect(page.locator("img.thumb.moving")).to_be_visible()
    expect(page.locator("canvas")).to_have_count(0)


def test_everything_can_be_done_from_the_keyboard(visit, board) -> None:
    page = visit(board).page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the table")).to_be_focused()
    page.get_by_role("button", name="fid", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort]")).to_contain_text("fid")
    page.keyboard.press("Tab")
    expect(page.locator("#tip")).to_contain_text("Lower is better")
    page.keyboard.press("Escape")
    expect(page.locator("#tip")).to_be_hidden()
    page.locator("[id='dcgan+wgan'] .open").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[id='dcgan+wgan'] .open")).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.more').id") == "dcgan+wgan--more"
    reached = page.locator("a, button, input, select, [tabindex]").evaluate_all("all => all.map((one) => one.tabIndex)")
    assert min(reached) == 0


def test_a_heading_is_explained_to_those_who_point_at_it(visit, board) -> None:
    page = visit(board).page
    page.get_by_role("button", name="What is rank?").hover()
    expect(page.locator("#tip")).to_be_visible()
    expect(page.locator("#tip")).to_contain_text("significantly better")


def test_without_script_the_whole_page_is_there(visit, board) -> None:
    page = visit(board, java_script_enabled=False).page
    expect(page.get_by_text("ganbench run --arch mlp --loss hinge --protocol toy-v1")).to_be_visible()
    expect(page.locator("tr.row")).to_have_count(7)
    expect(page.locator("form")).to_be_hidden()


def test_names_that_would_run_do_not(visit, tmp_path) -> None:
    records = [nasty(record, TOY.name, TOY.digest) for record in seeds("dcgan+hinge", 0.5) + seeds("mlp+wgan", 0.6)]
    write_folder(records, TOY, tmp_path / TOY.name)
    write_hub(tmp_path)
    for name in (f"{TOY.name}/index.html", "index.html"):
        seen = visit(tmp_path / name)
        for button in seen.page.locator(".open").all():
            button.click()
        assert seen.page.get_by_text("<script>s()</script>").count() > 0
        assert seen.said == []
        assert all(url.startswith("file:") for url in seen.asked)
        links = seen.page.locator("a").evaluate_all(
            "all => all.map((a) => new URL(a.getAttribute('href'), document.URL).protocol)"
        )
        assert {*links} == {"file:"}


def test_long_names_do_not_widen_the_page(visit, tmp_path) -> None:
    looks = (Look(1.0, 9.0, 0.3), Look(2.0, 9.0, 0.4))
    entries = [f"{'x' * 300}+l{i}" for i in range(11)]
    records = [make(entry, seed, 0.3 + i / 50, curve=looks) for i, entry in enumerate(entries) for seed in range(5)]
    write_folder(records, TOY, tmp_path / TOY.name)
    write_hub(tmp_path)
    for width in (1280, 400):
        page = visit(tmp_path / TOY.name / "index.html", viewport={"width": width, "height": 800}).page
        assert page.get_by_role("heading", name="xxx").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("markup", ["<img src=x onerror='window.ran=1'>", "<svg onload='window.ran=1'></svg>"])
def test_the_policy_stops_script_that_gets_into_the_page_all_the_same(visit, board, markup) -> None:
    seen = visit(board)
    seen.page.evaluate("markup => { document.querySelector('footer').innerHTML = markup; }", markup)
    seen.page.evaluate(
        "() => { const s = document.createElement('script'); s.text = 'window.ran = 2'; document.body.append(s); }"
    )
    seen.page.wait_for_timeout(200)
    assert seen.page.evaluate("window.ran") is None
    assert any("Content Security Policy" in text for text in seen.said)


def test_a_page_in_one_file_works_as_well(visit, tmp_path) -> None:
    from ganbench.leaderboards.table import build
    from ganbench.pages.page import to_page

    table = build([make(entry, seed) for entry in ("a+x", "b+x") for seed in range(5)], TOY)
    (tmp_path / "one.html").write_text(to_page(table), "utf-8")
    seen = visit(tmp_path / "one.html")
    seen.page.get_by_role("button", name="row", exact=True).click()
    assert titles(seen.page) == ["a+x", "b+x"]
    assert (seen.said, len(seen.asked)) == ([], 1)
