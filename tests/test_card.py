"""A run, and rows of a table, as notebooks show them: pictures and curves in the HTML itself."""

from __future__ import annotations

import base64
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from nasty import NASTY, controls, nasty
from PIL import Image
from test_plain import tags
from toy import TOY, looked, make, seeds, yardstick

from ganbench.leaderboards.entries import entry_of
from ganbench.leaderboards.html import Sight, to_html
from ganbench.leaderboards.table import build
from ganbench.records.record import Look
from ganbench.records.strips import bind
from ganbench.report.card import card_of, headline_curves, strip_address
from ganbench.report.files import save_png
from ganbench.report.inline import WIDEST, curves, picture_file

(RUN,) = looked("dcgan+hinge", 0.5, {0: 2}, 1)


def picture_in(folder: Path, side: int = 40) -> Path:
    path = folder / f"{side}.png"
    save_png(np.full((side, 2 * side, 3), 90, np.uint8), path)
    return path


def decoded(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))


def test_a_card_shows_what_became_of_a_run_its_scores_picture_and_curve(tmp_path) -> None:
    card = card_of(RUN, [picture_in(tmp_path, 30), picture_in(tmp_path)])
    found = tags(card)
    assert (found["img"], found["svg"], found["polyline"], found["tr"]) == (1, 1, 1, len(RUN.scores))
    assert "<b>dcgan+hinge, seed 0</b>: ok" in card
    assert re.findall(r"<td>(\w+)</td>", card)[0] == "coverage", "the headline first"
    assert "coverage: 0.4 at 10 kimg, 0.6 at 40" in card
    (address,) = re.findall(r'src="([^"]+)"', card)
    assert decoded(address).size == (80, 40)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "diverged", "reason": "d_loss is not finite"}, "diverged: d_loss is not finite"),
        ({"scores": {**RUN.scores, "modes_covered": 0.0}}, "ok, but collapsed: modes_covered at most 1"),
        ({"absent": {"mode_kl": "too few"}}, "<li>no mode_kl: too few</li>"),
        ({"doubts": ("few samples",)}, "<li>few samples</li>"),
    ],
)
def test_a_card_says_what_went_wrong(changes, said) -> None:
    columns = {**RUN.columns, "modes_covered": replace(RUN.columns["modes_covered"], collapsed_at=1)}
    assert said in card_of(make("dcgan+hinge", **{"columns": columns, **changes}), [])


def test_a_card_of_a_nasty_record_holds_no_tag_of_it_and_no_script() -> None:
    record = nasty(make(curve=RUN.curve, absent={"mode_kl": "few"}, doubts=("few samples",)), TOY.name)
    for one in (record, nasty(make(status="error", reason="it broke"), TOY.name)):
        card = card_of(one, [])
        assert controls(card) == set()
        assert {"script", "img", "a", "b", "i"} & tags(card).keys() == {"b"}
        assert "[/][bold][batch, 1]:smile:" in card


def test_a_picture_is_made_small_and_what_is_none_is_left_out(tmp_path) -> None:
    assert decoded(picture_file(picture_in(tmp_path, 600))).size == (WIDEST, WIDEST // 2)
    path = tmp_path / "no.png"
    assert picture_file(path) == ""
    for content in (b"", b"<svg onload='s()'>", picture_in(tmp_path).read_bytes()[:60]):
        path.write_bytes(content)
        assert picture_file(path) == ""
        assert "<img" not in card_of(RUN, [path])
    os.mkfifo(tmp_path / "pipe.png")
    assert picture_file(tmp_path / "pipe.png") == ""
    assert "<img" in card_of(RUN, [picture_in(tmp_path), path]), "the one before it is shown"


def test_only_the_strip_of_its_own_weights_stands_for_a_run(tmp_path) -> None:
    buffer, weights = io.BytesIO(), "0123456789abcdef"
    Image.new("RGB", (60, 20)).save(buffer, "webp", lossless=True)
    (tmp_path / "strip.webp").write_bytes(bind(buffer.getvalue(), weights))
    bits = replace(RUN.bits, weights=weights)
    assert decoded(strip_address(make(bits=bits), tmp_path)).size == (60, 20)
    assert strip_address(RUN, tmp_path) == ""
    assert strip_address(RUN, tmp_path / "nowhere") == ""


# -- curves --------------------------------------------------------------------------------------------------


def points_of(svg: str) -> list[list[tuple[float, float]]]:
    found = re.findall(r'points="([^"]+)"', svg)
    return [[tuple(map(float, point.split(","))) for point in line.split()] for line in found]


def test_lines_share_one_frame_and_better_scales_do_not_leave_it() -> None:
    ((a, b, c), (d, e)) = points_of(curves([[(0, 1), (1, 2), (2, 3)], [(0, 5), (4, 1)]], "x", (106, 46)))
    assert (a, b, c) == ((3, 43), (28, 33), (53, 23))
    assert (d, e) == ((3, 3), (103, 43))


def test_heights_are_logarithms_only_where_every_value_has_one() -> None:
    (line,) = points_of(curves([[(0, 1), (1, 10), (2, 100)]], "x", (106, 46), log=True))
    assert line == [(3, 43), (53, 23), (103, 3)]
    (line,) = points_of(curves([[(0, 0), (1, 10), (2, 100)]], "x", (106, 46), log=True))
    assert line[1] == (53, 39)


def test_points_that_are_not_finite_are_left_out_and_extremes_are_drawn() -> None:
    assert curves([[(0, float("nan")), (1, float("inf"))], []], "x") == ""
    (line,) = points_of(curves([[(0, 1e308), (1, -1e308), (2, float("inf"))]], "x", (106, 46)))
    assert line == [(3, 3), (103, 43)]
    (one,) = points_of(curves([[(5, 5)]], "x", (106, 46)))
    assert one == [(53, 23)]
    assert points_of(curves([[(5, 0), (6, 0)]], "x", (106, 46))) == [[(3, 23), (103, 23)]]


def test_a_title_is_text() -> None:
    drawn = curves([[(0, 1), (1, 2)]], NASTY)
    assert controls(drawn) == set()
    assert set(tags(drawn)) == {"svg", "title", "polyline", "circle"}


def test_the_headline_has_a_line_for_each_run_that_was_looked_at() -> None:
    runs = looked("dcgan+hinge", 0.5, {0: 2}, 2)
    assert len(points_of(headline_curves([*runs, make("mlp+r1")]))) == 2
    assert headline_curves([make("mlp+r1"), *yardstick("noise", 0.1)]) == ""
    falling = make(headline="fid", curve=(Look(0, 1, 100.0), Look(1, 1, 10.0), Look(2, 1, 1.0)))
    ((_, middle, _),) = points_of(headline_curves([falling], (106, 46)))
    assert middle == (53, 23), "fid is compared on the log scale"


# -- rows of a table -----------------------------------------------------------------------------------------


def test_rows_show_what_there_is_to_see_beside_their_names_and_others_nothing() -> None:
    one, other = seeds("dcgan+hinge", 0.8), seeds("mlp+hinge", 0.4)
    table = build(one + other + yardstick("noise", 0.1), TOY)
    page = to_html(table, {entry_of(one[0]): Sight("data:image/png;base64,AAAA", "<svg></svg>")})
    assert (page.count("<img"), page.count("<svg>")) == (1, 1)
    head, *rows = [re.findall(r"<t[dh][ >]", row) for row in page.split("<tr")[1:]]
    assert {len(row) for row in rows} == {len(head)}
    assert "<th>loss</th><th>samples</th><th>coverage by kimg</th>" in page
    assert "<th>samples</th>" not in to_html(table)
    assert to_html(table, {}) == to_html(table)
