"""The live view of runs in progress, at terminals of any size."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.console import Console
from running import plan_of

from ganbench.contracts.executor import Done, Judging, Looked, Picture, Progress, Refused, Resumed, Started
from ganbench.plugins.protocols import load_protocol
from ganbench.runs.estimate import Estimate
from ganbench.runs.live import LiveDisplay, half_blocks, make_display
from ganbench.runs.ongoing import sparkline
from ganbench.runs.plan import Plan

RULES = msgspec.structs.replace(load_protocol("smoke-v1"), seeds=(0, 1))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Four runs and their yardsticks."""
    return plan_of(tmp_path, "mlp", "r1,lsgan", RULES)


def screen(display: LiveDisplay) -> list[str]:
    """The lines of the view."""
    display.console.file = io.StringIO()
    display.console.print(display.view())
    return [line.rstrip() for line in display.console.file.getvalue().splitlines()]


def live(plan: Plan, width: int = 120, height: int = 40) -> LiveDisplay:
    return LiveDisplay(
        Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None), plan
    )


def test_yardsticks_are_no_runs(plan: Plan) -> None:
    display = live(plan)
    assert screen(display)[0].startswith("0 of 4 runs done")
    yardstick, (first, *_) = plan.yardsticks[0], plan.runs
    display.show(Started(yardstick.key))
    assert len(screen(display)) == 1
    display.show(Done(yardstick.key, "ok", ""))
    display.show(Started(first.key))
    display.show(Done(first.key, "ok", "", {}))
    assert screen(display)[0].startswith("1 of 4 runs done")
    assert " 25%" in screen(display)[0]


def test_a_run_shows_its_share_its_headline_and_a_sparkline(plan: Plan) -> None:
    display, key = live(plan), plan.runs[0].key
    display.show(Started(key))
    display.show(Progress(key, 6, 0.5, 1.0, share=0.5, rate=1234.0, losses={"d_loss": 1.0}))
    for kimg, score in enumerate((9.0, 5.0, 1.0)):
        display.show(Looked(key, kimg, "fid@c:1", score))
    whole, line = screen(display)
    assert line.startswith(key)
    for words in ("50%", "fid 1 █▅▁", "~1,234 samples/s", "D 1"):
        assert words in line
    assert " 12%" in whole
    display.show(Judging(key))
    assert "judging" in screen(display)[1]
    assert "judging" in screen(live_like(display, width=60))[1]


def live_like(display: LiveDisplay, width: int) -> LiveDisplay:
    display.console.width = width
    return display


def test_a_resumed_run_begins_at_its_share_and_a_refused_one_is_over(plan: Plan) -> None:
    display, (first, second, *_) = live(plan), plan.runs
    display.show(Started(first.key))
    display.show(Resumed(first.key, 3.0, 4.0))
    assert " 75%" in screen(display)[1]
    display.show(Refused(second.key, "no", "leave it", unsupported=True))
    assert screen(display)[0].startswith("1 of 4 runs done")


def test_the_time_left_follows_the_estimate_and_then_the_work(plan: Plan, monkeypatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("ganbench.runs.ongoing.time.monotonic", lambda: clock[0])
    display = live(plan)
    assert "left" not in screen(display)[0]
    display.expect(Estimate({"mlp+r1": 600.0, "mlp+lsgan": 600.0}), 2)
    assert "about 20 min left" in screen(display)[0]
    display.show(Started(plan.runs[0].key))
    display.show(Progress(plan.runs[0].key, 6, 0.5, 1.0, share=0.4, rate=1.0, losses={}))
    clock[0] += 60.0  # a tenth of the work took a minute
    assert "about 9 min left" in screen(display)[0]
    for job in plan.runs:
        display.show(Done(job.key, "ok", "", {}))
    assert screen(display)[0].startswith("4 of 4 runs done")
    assert "left" not in screen(display)[0]


@pytest.mark.parametrize(("width", "height"), [(40, 6), (60, 12), (80, 24), (120, 40), (200, 10)])
@pytest.mark.parametrize("side", [16, 32])
def test_pictures_never_overflow_the_screen(plan: Plan, width: int, height: int, side: int) -> None:
    display = live(plan, width, height)
    for job in plan.runs:
        display.show(Started(job.key))
        display.show(Picture(job.key, np.zeros((8, side, side, 3), np.uint8)))
    lines = screen(display)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    drawn = sum("▀" in line for line in lines)
    assert drawn % (side // 2) == 0, "no picture is cut"
    assert (drawn > 0) == (width >= 60 and height - 6 > side // 2)


def test_a_sparkline_shows_the_last_values_between_their_extremes() -> None:
    assert sparkline([3.0, 2.0, 1.0]) == "█▅▁"
    assert sparkline([1.0]) == "▁"
    assert len(sparkline([*map(float, range(100))])) == 16


def test_half_blocks_are_two_pixels_to_a_character() -> None:
    pixels = np.zeros((3, 4, 5, 3), np.uint8)
    assert half_blocks(pixels, 12).plain == "▀▀▀▀▀ ▀▀▀▀▀ \n" * 2


def test_a_dumb_terminal_gets_plain_lines(plan: Plan, monkeypatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    display = make_display(Console(file=io.StringIO(), force_terminal=True), plan, quiet=False)
    assert not isinstance(display, LiveDisplay)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(make_display(Console(file=io.StringIO(), force_terminal=True), plan, quiet=False), LiveDisplay)
