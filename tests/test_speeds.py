"""Speeds in a table: by CPU time, by timings, and never across machines."""

from __future__ import annotations

import msgspec
import pytest
from table_reading import markdown_headings, row, shown
from toy import ALL_THREE, CPU, GPU, TIMED, TOY, looked, make, seeds, timed, timing

from ganbench.leaderboards.export import to_csv, to_frame
from ganbench.leaderboards.table import build
from ganbench.pages.markdown import to_markdown
from ganbench.records.record import Component, Cost, Speed


def test_the_machine_is_named_where_there_is_one(mixed):
    text = to_markdown(build(mixed, TOY))
    told = "~: measured in the run's own CPU time; samples/s: real samples shown to D per second, on Some CPU, 1 thread"
    assert told in text
    assert "device" not in markdown_headings(build(mixed, TOY))


def test_throughput_is_never_compared_across_devices(mixed):
    fast = seeds("gpu+x", 0.5, environment=GPU, speed=Speed(train=90_000.0))
    table = build(mixed + fast, TOY)
    assert markdown_headings(table)[-1] == "device"
    assert "never compare it across machines" in to_markdown(table)
    assert "Some GPU" in shown(table)
    complete = [r for r in build(mixed + fast, TOY, sort="samples/s").block("entry") if r.part == "ranked"]
    assert [r.machines for r in complete] == [("Some CPU, 1 thread",)] * 3 + [("Some GPU",)]


def test_a_runs_own_figure_is_by_cpu_time_and_marked_and_wall_time_is_not_shown(mixed):
    """The toy's wall time gives 1000 to 5000 images a second, its CPU time 4000 to 4004."""
    text = to_markdown(build(mixed, TOY))
    assert "| ~4002 |" in next(line for line in text.splitlines() if "| wgan-gp |" in line)
    assert "3000" not in text + to_csv(build(mixed, TOY))
    assert "~4002" in shown(build(mixed, TOY))


@pytest.mark.parametrize(("workers", "text"), [(1, "~3000"), (4, "–")])
def test_on_a_gpu_wall_time_counts_where_a_run_was_alone(workers, text):
    alone = msgspec.structs.replace(GPU, workers=workers)
    records = [
        make("a+x", seed, environment=alone, speed=Speed(train=3000.0), cost=Cost(100_000, 25.0, 3.0, None, 24.0))
        for seed in range(5)
    ]
    assert f"| {text} |" in to_markdown(build(records, TOY))


def test_records_without_cpu_time_show_no_speed_and_say_so():
    records = [make("a+x", s, speed=Speed(train=3000.0), cost=Cost(100_000, 25.0, 3.0)) for s in range(5)]
    text = to_markdown(build(records, TOY))
    assert "3000" not in text
    assert "samples/s –: the records hold no CPU time" in text


def test_timings_of_one_machine_that_cover_the_rows_make_the_speed_columns(mixed):
    table = build(mixed, TOY, timings=[timing(entry, rate) for entry, rate in ALL_THREE])
    assert table.timed_on == "Some CPU, 1 thread"
    text = to_markdown(table)
    assert "| 2100 |" in next(line for line in text.splitlines() if "| dcgan | hinge |" in line)
    assert "each row timed alone on Some CPU, 1 thread" in text
    frame = to_frame(table)
    first = frame.query("arch == 'dcgan' and loss == 'wgan-gp' and changes == ''").iloc[0]
    assert (first["samples/s"], first["generated/s"], first["step_ms"], first["peak_share"]) == (900, 9000, 4, 0.12)
    assert first["timed on"] == "Some CPU, 1 thread"
    by_speed = [
        table.title(r) for r in build(mixed, TOY, timings=[timing(*t) for t in ALL_THREE], sort="samples/s").rows
    ]
    assert by_speed[:3] == ["mlp+hinge", "dcgan+hinge", "dcgan+wgan-gp"]


def test_a_table_timed_with_another_training_loop_than_that_of_its_runs_says_so(mixed):
    newer = msgspec.structs.replace(CPU, core="c1")
    told = "timed alone on Some CPU, 1 thread, with another version of the training loop than the runs"
    table = build(mixed, TOY, timings=[timing(entry, rate, environment=newer) for entry, rate in ALL_THREE])
    assert table.timed_on == "Some CPU, 1 thread"
    assert told in to_markdown(table)
    assert told not in to_markdown(build(mixed, TOY, timings=[timing(entry, rate) for entry, rate in ALL_THREE]))


@pytest.mark.parametrize(
    "stale",
    [
        {"digest": "ffffffffffff"},
        {"environment": msgspec.structs.replace(CPU, core="c1")},
        {"loss": Component("hinge", "ganbench", "0.1.0", "b2")},
        {"environment": msgspec.structs.replace(CPU, device="Another CPU")},
    ],
)
def test_a_timing_of_other_code_rules_or_machine_shows_nothing(mixed, stale):
    others = [timing(entry, rate) for entry, rate in ALL_THREE if entry != "dcgan+hinge"]
    table = build(mixed, TOY, timings=[*others, timing("dcgan+hinge", 2100.0, **stale)])
    assert table.timed_on == ""
    assert "2100" not in to_markdown(table)
    assert "| ~4002 |" in to_markdown(table)


def test_of_two_timings_the_newer_counts_and_of_two_machines_the_one_used_last(mixed):
    other = msgspec.structs.replace(CPU, device="Another CPU")
    old = [timing(entry, rate) for entry, rate in ALL_THREE]
    new = [timing(entry, 2 * rate, environment=other, started="2026-02-01") for entry, rate in ALL_THREE]
    newest = timing("dcgan+hinge", 77.0, environment=other, started="2026-03-01")
    for given in ([*old, *new, newest], [newest, *new, *old]):
        table = build(mixed, TOY, timings=given)
        assert table.timed_on == "Another CPU, 1 thread"
        assert row(table, "dcgan+hinge").costs["samples/s"] == 77
        assert row(table, "mlp+hinge").costs["samples/s"] == 10_000
        assert "in 2 sessions; speeds compare less well across sessions" in to_markdown(table)


def test_seconds_to_target_follow_from_a_timing():
    records = timed(looked("a+x", 0.7, {0: 0, 1: 1, 2: 1, 3: 3, 4: 3}))
    (line,) = build(records, TIMED, timings=[timing("a+x", 500.0)]).rows
    assert (line.reached.kimg, line.reached.seconds) == (20, 40)
    assert "| 40 |" in to_markdown(build(records, TIMED, timings=[timing("a+x", 500.0)]))


def test_an_entry_whose_seeds_ran_on_two_devices_has_no_throughput():
    records = seeds("a+x", 0.5)[:3] + [make("a+x", seed, 0.5, environment=GPU) for seed in (3, 4)]
    entry = build(records, TOY).rows[0]
    assert "samples/s" not in entry.costs
    assert entry.costs["params_g"] == 99_123
    assert entry.rank == (1, 1)
