"""Published rows: what their records say of the code is what is installed, wherever the versions agree."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from msgspec.structs import replace
from toy import make

from ganbench import __version__, plugins
from ganbench.leaderboards.gathering import gather
from ganbench.leaderboards.published import installed_source
from ganbench.records.record import Component, Record, TrainingRecord
from ganbench.records.store import read_all

FOLDER = Path(__file__).parents[1] / "leaderboards"
RECORDS = sorted(FOLDER.glob("*/records/*.json"))


def compared(records: Iterable[Record]) -> tuple[Counter[str], list[str]]:
    """How many components of which version were compared with the installed one, and those that differ."""
    counted, edited = Counter[str](), []
    for record in records:
        for kind, part in record.components:
            if source := installed_source(kind, part):
                counted[part.version] += 1
                if part.source != source:
                    edited.append(f"{record.protocol}: {kind} {part.name} {part.version}")
    return counted, sorted(set(edited))


@pytest.fixture(scope="module")
def published() -> list[Record]:
    records, errors = read_all(RECORDS)
    assert errors == []
    assert len(records) == len(RECORDS) > 0
    return records


def test_no_published_row_of_the_installed_version_was_made_of_other_code(published) -> None:
    counted, edited = compared(published)
    of_this = [record for record in published if record.environment.ganbench == __version__]
    print(f"{len(of_this)} of {len(published)} published records are of {__version__}: {counted.total()} components")
    assert edited == []
    assert counted[__version__] >= sum(1 for record in of_this for _ in record.components)


def test_a_published_row_of_other_code_would_be_found() -> None:
    source = plugins.find("loss", "hinge")
    right = Component("hinge", "ganbench", __version__, source.source_hash)
    assert compared([replace(make(), loss=right)]) == (Counter({__version__: 1}), [])
    wrong = replace(right, source="ast1:0123456789ab")
    assert compared([replace(make(), loss=wrong)])[1] == [f"toy-v1: loss hinge {__version__}"]
    older = replace(wrong, version="0.1.0")
    assert compared([replace(make(), loss=older)]) == (Counter(), [])


def test_records_of_an_earlier_version_are_rows_of_that_version_and_none_is_edited(published) -> None:
    from ganbench.leaderboards.published import rules_of
    from ganbench.leaderboards.table import build

    for name in sorted({record.protocol for record in published}):
        table = build([], rules_of(name, Path("runs")), published=[r for r in published if r.protocol == name],
                      installed=installed_source)  # fmt: skip
        assert table.rows, name
        assert not table.block("edited"), name


def rows_that_make_would_run(protocol: str, where: Path) -> Counter[tuple[str, str, str, str]]:
    """(arch, loss, trick, changes) of every row that ``leaderboards/make.sh`` asks for; ganbench is a stand-in."""
    command = where / "ganbench"
    command.write_text('#!/bin/sh\necho "$@"\n')
    command.chmod(0o755)
    surroundings = os.environ | {"PATH": f"{where}{os.pathsep}{os.environ['PATH']}"}
    script = [str(FOLDER / "make.sh"), "runs", protocol]
    said = subprocess.run(script, env=surroundings, text=True, capture_output=True, check=True).stdout.splitlines()
    assert said[-1] == f"time {protocol} --runs runs --quiet"
    parser = argparse.ArgumentParser()
    for option in ("--protocol", "--out", "--arch", "--loss", "--trick"):
        parser.add_argument(option, default="")
    parser.add_argument("--set", action="append", default=[])
    asked = [parser.parse_known_args(line.split())[0] for line in said[:-1]]
    assert {(one.protocol, one.out) for one in asked} == {(protocol, "runs")}
    return Counter(
        (arch, loss, one.trick, " ".join(sorted(one.set)))
        for one in asked
        for arch in one.arch.split(",")
        for loss in one.loss.split(",")
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="the script needs bash")
@pytest.mark.parametrize("folder", sorted(FOLDER.glob("*-v*")), ids=lambda folder: folder.name)
def test_the_script_that_makes_the_tables_runs_each_of_their_rows_once(folder, tmp_path, published) -> None:
    rows = {
        (
            record.arch.name,
            record.loss.name,
            ",".join(trick.name for trick in record.tricks),
            " ".join(sorted(f"{k}={v}" for k, v in record.changes.items())),
        )
        for record in published
        if isinstance(record, TrainingRecord) and record.protocol == folder.name
    }
    assert rows_that_make_would_run(folder.name, tmp_path) == Counter(rows)


@pytest.mark.parametrize("folder", sorted(FOLDER.glob("*-v*")), ids=lambda folder: folder.name)
def test_the_default_columns_of_a_published_table_tell_its_rows_apart(folder, tmp_path) -> None:
    table, _ = gather(folder.name, tmp_path)
    rows = [row for row in table.rows_of("ranked") if row.kind == "entry"]
    values = {name: [row.scores[name].centre for row in rows] for name in table.shown}
    alike = [table.label(name) for name, those in values.items() if len(set(those)) < len(rows) / 2]
    assert len(table.shown) >= 4
    assert alike == []


def test_the_docs_list_the_published_rows_that_the_rules_of_collapse_mark(tmp_path) -> None:
    lines = (FOLDER.parent / "docs" / "tables.md").read_text("utf-8").splitlines()
    for folder in sorted(FOLDER.glob("*-v*")):
        table, _ = gather(folder.name, tmp_path)
        rows = [f"`{table.title(row)}` {len(row.collapses)}/{row.seeds}" for row in table.rows if row.collapses]
        assert f"* `{folder.name}`: {', '.join(rows) or 'none'}" in lines
