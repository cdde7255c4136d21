"""Charts with a lane for each complete row: its range of ranks, or its noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from ganbench.leaderboards.cells import number
from ganbench.leaderboards.rows import Row
from ganbench.leaderboards.table import Table
from ganbench.pages.anchors import anchor_of
from ganbench.pages.charts.scale import Scale, mark_of, scale_of
from ganbench.pages.charts.svg import Chart, Tip, cut_to, dot, drawing, line, text, told

WIDTH, LEFT, RIGHT, TOP, LANE = 760.0, 190.0, 20.0, 44.0, 19.0
MOST = 60
"""The most rows that are drawn; nobody reads more lanes."""
NOISES = ("between seeds", "between evaluations of one run")


def ranks(table: Table, *, linked: bool) -> Chart | None:
    """The range of ranks of each complete row; None with fewer than two ranked rows."""
    rows = [row for row in table.rows if row.rank][:MOST]
    if len(rows) < 2:
        return None
    most = max(row.rank.worst for row in rows if row.rank)
    x = Scale(1, most, LEFT + 8, WIDTH - RIGHT)

    def lane(row: Row, height: float) -> list[Markup]:
        if row.rank is None:
            return []
        best, worst = x.at(row.rank.best), x.at(row.rank.worst)
        ends = [dot(place, height, 3.5, "dot", "entry") for place in sorted({best, worst})]
        return [line(best, height, worst, height, "range"), *ends]

    parts = _lanes(table, rows, lane, lambda row: f"rank {row.rank}", linked=linked)
    marks = [1.0, *(value for value in x.ticks(8) if value > 1 and value == round(value))]
    parts = [*_rulers(x, marks, len(rows)), *parts, text(LEFT + 8, 14, "ranks consistent with the seeds", "name")]
    title = f"{table.name}: the ranks that each row may have"
    return Chart("ranks", title, _about(table, rows), drawing(WIDTH, _height(rows), title, parts))


def noises(table: Table, *, linked: bool) -> Chart | None:
    """The spread between seeds and between evaluations; None without two rows that were evaluated repeatedly."""
    known = {row.key: _noises(table, row) for row in table.rows if row.kind == "entry" and row.part == "ranked"}
    rows = [row for row in table.rows if all(known.get(row.key, (None,)))][:MOST]
    if len(rows) < 2:
        return None
    x = scale_of([sd for row in rows for sd in known[row.key] if sd], LEFT + 8, WIDTH - RIGHT, log=True)

    def lane(row: Row, height: float) -> list[Markup]:
        seeds, judging = (x.at(sd) for sd in known[row.key] if sd)
        marks = (dot(seeds, height, 4, "dot", "entry"), dot(judging, height, 4, "dot", "second"))
        return [line(seeds, height, judging, height, "whisker"), *marks]

    def words(row: Row) -> str:
        seeds, judging = (number(sd) for sd in known[row.key] if sd)
        return f"sd {seeds} {NOISES[0]}, {judging} {NOISES[1]}"

    parts = [*_rulers(x, x.ticks(6), len(rows)), *_lanes(table, rows, lane, words, linked=linked), *_legend()]
    label = table.label(table.headline)
    title = f"{table.name}: noise of {label}"
    about = (
        f"Standard deviation of {label} {NOISES[0]}, and {NOISES[1]}. {_averaged(table)}Where the evaluation noise of "
        "a score is as large as its spread between seeds, more samples would help more than more seeds."
    )
    return Chart("noise", title, about, drawing(WIDTH, _height(rows), title, parts))


def _averaged(table: Table) -> str:
    """A sentence on how averaging over evaluations reduces their noise."""
    draws = table.protocol.evaluation.draws if table.protocol else 1
    return f"A score is the mean of {draws} evaluations and has 1/√{draws} of their noise. " if draws > 1 else ""


def _noises(table: Table, row: Row) -> tuple[float | None, float | None]:
    summary = row.scores.get(table.headline)
    return summary.sd if summary else None, row.noise.get(table.headline)


def _lanes(
    table: Table,
    rows: Sequence[Row],
    lane: Callable[[Row, float], list[Markup]],
    words: Callable[[Row], str],
    *,
    linked: bool,
) -> list[Markup]:
    parts = []
    for place, row in enumerate(rows):
        height, name = TOP + (place + 0.5) * LANE, table.title(row)
        label = text(LEFT - 8, height + 4, cut_to(name, LEFT - 12), "label", anchor="end")
        tip = Tip(f"{name}: {words(row)}", f"#{anchor_of(table, row)}" if linked else "")
        parts.append(told([label, *lane(row, height)], tip))
    return parts


def _rulers(x: Scale, marks: Sequence[float], lanes: int) -> list[Markup]:
    parts = []
    for value in marks:
        parts.append(line(x.at(value), TOP - 4, x.at(value), TOP + lanes * LANE, "grid"))
        parts.append(text(x.at(value), TOP - 10, mark_of(value), "tick", anchor="middle"))
    return parts


def _legend() -> list[Markup]:
    first, second = LEFT + 12, LEFT + 140
    return [
        dot(first, 10, 4, "dot", "entry"),
        text(first + 9, 14, f"sd {NOISES[0]}", "name"),
        dot(second, 10, 4, "dot", "second"),
        text(second + 9, 14, f"sd {NOISES[1]}", "name"),
    ]


def _height(rows: Sequence[Row]) -> float:
    return TOP + len(rows) * LANE + 10


def _about(table: Table, rows: Sequence[Row]) -> str:
    all_ranked = sum(row.rank is not None for row in table.rows)
    few = f" Only the first {len(rows)} of {all_ranked} rows are shown." if len(rows) < all_ranked else ""
    return (
        "A row's rank is a range: any rank in it is consistent with the seeds. Two rows whose ranges overlap may still "
        f"differ significantly; the page's table of pairs shows which do.{few}"
    )
