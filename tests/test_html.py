"""A leaderboard as a notebook's fragment."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from toy import TOY, make, yardstick

from ganbench.leaderboards.html import to_html
from ganbench.leaderboards.table import build


def rows_of(page: str) -> list[list[str]]:
    """The texts of every table cell, row by row."""

    class Reader(HTMLParser):
        def __init__(self):
            super().__init__()
            self.rows, self.inside = [], False

        def handle_starttag(self, tag, attrs):
            if tag == "tr":
                self.rows.append([])
            if tag in ("td", "th"):
                self.inside = True
                self.rows[-1].append("")

        def handle_endtag(self, tag):
            self.inside = self.inside and tag not in ("td", "th")

        def handle_data(self, data):
            if self.inside:
                self.rows[-1][-1] += data

    reader = Reader()
    reader.feed(page)
    return reader.rows


def table_of(*entries: str, **changed):
    return build([make(entry, seed, **changed) for entry in entries for seed in range(5)], TOY)


def test_every_row_and_column_of_the_table_stands_in_the_fragment():
    table = table_of("dcgan+hinge", "mlp+r1")
    head, *rows = rows_of(to_html(table))
    assert head[:4] == ["rank", "arch", "loss", "coverage"]
    assert [row[1:3] for row in rows] == [["dcgan", "hinge"], ["mlp", "r1"]]
    assert all(len(row) == len(head) for row in rows)


def test_names_and_notes_are_text_and_never_markup():
    page = to_html(table_of("dcgan+<script>alert(1)</script>"))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    failed = build([make("a+b", seed, status="error", reason="<img src=x>", scores={}) for seed in range(5)], TOY)
    assert "<img" not in to_html(failed)


def test_a_row_with_failures_is_greyed_and_others_are_not():
    records = [make("a+x", seed) for seed in range(5)] + [make("b+y", seed) for seed in range(4)]
    records.append(make("b+y", 4, status="diverged", reason="d_loss", scores={}))
    page = to_html(build(records, TOY))
    assert len(re.findall(r'<tr class="trouble">', page)) == 1


def test_yardsticks_stand_in_their_places_set_apart():
    page = to_html(build([make("a+x", seed) for seed in range(5)] + yardstick("real data", 0.9), TOY))
    assert re.findall(r"<tr( class=\"\w+\")?><td[^>]*>", page.split("<tbody>")[1]) == [' class="yardstick"', ""]
