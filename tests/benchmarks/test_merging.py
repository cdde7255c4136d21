"""Ten thousand records: merged into an empty folder, merged again, and shown as a table."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path

import pytest
from many_records import write_runs

from ganbench.leaderboards.gathering import gather, records_below
from ganbench.runs.checks import Rules
from ganbench.runs.merging import merge

SEEDS = 5
RECORDS = 10_000


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Path:
    """Runs as another machine left them, and their rules."""
    folder = tmp_path_factory.mktemp("machine")
    write_runs(RECORDS // SEEDS, SEEDS, folder)
    return folder


def rules_in(machine: Path) -> Path:
    (rules,) = machine.glob("*.toml")
    return rules


def merged(machine: Path, out: Path) -> set[str]:
    endings = merge(records_below(machine), out, Rules([str(rules_in(machine))]))
    assert len(endings) == RECORDS
    return {ending.how for ending in endings}


def test_merging(benchmark, machine, tmp_path) -> None:
    found = benchmark.pedantic(merged, (machine, tmp_path / "runs"), rounds=1)
    assert found == {"merged"}


def test_merging_again(benchmark, machine, tmp_path) -> None:
    shutil.copytree(machine, tmp_path / "runs")
    found = benchmark.pedantic(merged, (machine, tmp_path / "runs"), rounds=1)
    assert found == {"there"}


def test_the_table(benchmark, machine) -> None:
    """Without garbage collection, as in the command."""
    gc.disable()
    table, errors = benchmark.pedantic(gather, (str(rules_in(machine)), machine), rounds=1)
    gc.enable()
    assert (table is not None, errors) == (True, [])
