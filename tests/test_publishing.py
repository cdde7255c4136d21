"""Published folders: what is written, and whether it still follows from its records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy import ALL_THREE, TOY, make, seeds, timing, yardstick

from ganbench.errors import RecordError
from ganbench.leaderboards.export import to_csv
from ganbench.leaderboards.gathering import records_in
from ganbench.leaderboards.table import build
from ganbench.pages import folder as publishing
from ganbench.pages.charts.all import charts_of
from ganbench.pages.folder import check_folder, write_folder
from ganbench.pages.markdown import to_markdown
from ganbench.records.sealing import as_text, sealed
from ganbench.records.store import read, write

MADE = ("README.md", "cite.bib", "index.html", "summary.json", "table.csv", "table.json")
"""What is made from records, beside the pictures."""


def without_pictures(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith("pictures/")]


def test_a_folder_never_asks_what_is_installed(tmp_path):
    write_folder(seeds("dcgan+hinge", 0.5), TOY, tmp_path)
    assert "Edited" not in (tmp_path / "README.md").read_text()
    assert check_folder(tmp_path, TOY) == []


def test_timings_are_published_beside_the_records(mixed, tmp_path):
    given = [timing(entry, rate) for entry, rate in ALL_THREE]
    written = write_folder(mixed, TOY, tmp_path, [*given, timing("x+y", 1.0, digest="ffff")])
    assert sum(name.startswith("timings/") for name in written) == 4
    assert "each row timed alone" in (tmp_path / "README.md").read_text()
    assert check_folder(tmp_path, TOY) == []
    assert write_folder([], TOY, tmp_path, given) == []
    (path, *_) = sorted((tmp_path / "timings").iterdir())
    path.write_text(path.read_text().replace('"train": ', '"train": 1'))
    assert check_folder(tmp_path, TOY) == [f"timings/{path.name}"]
    with pytest.raises(RecordError, match="was changed after it was written"):
        write_folder([], TOY, tmp_path)


def test_a_folder_is_written_and_equals_what_its_records_give(mixed, tmp_path):
    written = write_folder(mixed, TOY, tmp_path)
    assert {"README.md", "table.csv", "records/dcgan+wgan-gp+seed0.json"} <= set(written)
    assert len(records_in(tmp_path)) == len(mixed)
    table = build(mixed, TOY)
    assert (tmp_path / "README.md").read_text() == to_markdown(table, charts=charts_of(table))
    assert (tmp_path / "table.csv").read_bytes() == to_csv(build(mixed, TOY)).encode()
    assert check_folder(tmp_path, TOY) == []
    assert write_folder([], TOY, tmp_path) == []


def test_what_a_folders_notes_say_stands_under_its_table(mixed, tmp_path):
    (tmp_path / "NOTES.md").write_text("# Notes\n\n* The rows of `mlp` await a rerun,\n  for a *reason*.\n* Another.\n")
    write_folder(mixed, TOY, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "\n* The rows of \\`mlp\\` await a rerun, for a \\*reason\\*.\n* Another.\n" in text
    assert "await a rerun" in (tmp_path / "index.html").read_text()
    assert check_folder(tmp_path, TOY) == []
    (tmp_path / "NOTES.md").unlink()
    assert check_folder(tmp_path, TOY) == ["README.md", "index.html"]


def test_writing_a_folder_twice_writes_nothing(mixed, tmp_path):
    write_folder(mixed, TOY, tmp_path)
    assert write_folder(mixed, TOY, tmp_path) == []
    assert write_folder([read(path) for path in records_in(tmp_path)], TOY, tmp_path) == []


def test_records_of_an_older_format_stay_as_they_are_in_a_folder(tmp_path):
    old = [make("a+x", seed, 0.5, format=2) for seed in range(5)]
    for record in old:
        path = tmp_path / "records" / record.file_name
        write(record, path)
        facts = json.loads(path.read_bytes())
        del facts["curve"]  # a field that came later
        path.write_bytes(as_text(sealed({name: value for name, value in facts.items() if name != "seal"})))
    before = {path.name: path.read_bytes() for path in records_in(tmp_path)}
    changed = write_folder(seeds("b+x", 0.6), TOY, tmp_path)
    assert without_pictures(changed) == sorted([*MADE, *(f"records/b+x+seed{seed}.json" for seed in range(5))])
    assert {name: (tmp_path / "records" / name).read_bytes() for name in before} == before
    assert all(b"curve" not in text for text in before.values())
    assert check_folder(tmp_path, TOY) == []


def test_a_new_record_replaces_the_old_one_of_the_same_entry_and_seed(mixed, tmp_path):
    write_folder(mixed, TOY, tmp_path)
    again = make("mlp+hinge", 0, 0.45, started="2020-01-01")
    changed = without_pictures(write_folder([again], TOY, tmp_path))
    assert changed == sorted({*MADE, "records/mlp+hinge+seed0.json"} - {"cite.bib"})
    expected = build([again if (r.entry, r.seed) == ("mlp+hinge", 0) else r for r in mixed], TOY)
    assert (tmp_path / "README.md").read_text() == to_markdown(expected, charts=charts_of(expected))
    assert check_folder(tmp_path, TOY) == []


def test_only_finished_records_of_the_protocol_are_published(mixed, tmp_path):
    unfit = [make("a+x", 0, status="interrupted"), make("b+x", 0, status="skipped"), make("c+x", digest="ffff")]
    write_folder(mixed + unfit, TOY, tmp_path)
    assert len(records_in(tmp_path)) == len(mixed)


@pytest.mark.parametrize("name", ["README.md", "index.html", "table.csv", "table.json", "summary.json"])
def test_a_table_edited_by_hand_is_found_out(mixed, tmp_path, name):
    write_folder(mixed, TOY, tmp_path)
    path = tmp_path / name
    path.write_text(path.read_text().replace("0.8", "0.9", 1))
    assert check_folder(tmp_path, TOY) == [name]
    path.unlink()
    assert check_folder(tmp_path, TOY) == [name]
    assert write_folder([], TOY, tmp_path) == [name]


def test_a_table_is_stale_once_a_record_changes_or_goes(mixed, tmp_path):
    write_folder(mixed, TOY, tmp_path)
    write(make("mlp+hinge", 0, 0.45), tmp_path / "records" / "mlp+hinge+seed0.json")
    stale = sorted({*MADE} - {"cite.bib"})
    assert without_pictures(check_folder(tmp_path, TOY)) == stale
    (tmp_path / "records" / "mlp+hinge+seed0.json").unlink()
    assert without_pictures(check_folder(tmp_path, TOY)) == sorted(MADE)


def test_a_record_under_a_wrong_name_is_found_out_and_put_right(mixed, tmp_path):
    write_folder(mixed, TOY, tmp_path)
    good = tmp_path / "records" / "mlp+hinge+seed0.json"
    good.rename(good.with_name("mine.json"))
    assert check_folder(tmp_path, TOY) == ["records/mine.json", "records/mlp+hinge+seed0.json"]
    write_folder([], TOY, tmp_path)
    assert check_folder(tmp_path, TOY) == []


def test_a_corrupt_record_is_named_and_nothing_is_published_over_it(mixed, tmp_path):
    write_folder(mixed, TOY, tmp_path)
    (tmp_path / "records" / "mlp+hinge+seed0.json").write_text("{")
    assert check_folder(tmp_path, TOY) == ["records/mlp+hinge+seed0.json"]
    before = (tmp_path / "README.md").read_text()
    with pytest.raises(RecordError, match=r"mlp\+hinge\+seed0"):
        write_folder([make("new+x")], TOY, tmp_path)
    assert (tmp_path / "README.md").read_text() == before


def test_records_that_would_share_a_file_keep_apart(tmp_path):
    records = seeds("dcgan+x", 0.5) + seeds("other:dcgan+x", 0.6) + seeds("mlp+x", 0.4) + seeds("MLP+x", 0.7)
    write_folder(records, TOY, tmp_path)
    files = [path.name.lower() for path in records_in(tmp_path)]
    assert len(files) == len(set(files)) == 20
    assert check_folder(tmp_path, TOY) == []
    write_folder(seeds("dcgan+x", 0.4), TOY, tmp_path)
    assert len(records_in(tmp_path)) == 20


def test_the_hash_that_keeps_files_apart_stays_the_same_between_versions():
    changes = {"lr": "0.1"}
    runs = [make("dcgan+x", changes=changes), make("other:dcgan+x", changes=changes)]
    assert list(publishing.file_names(runs)) == [
        "dcgan+x+lr=0.1+seed0+de4a4deb.json",
        "dcgan+x+lr=0.1+seed0+3b5a44ee.json",
    ]
    draws = [*yardstick("noise", 0.02)[:1], *yardstick("Noise", 0.02)[:1]]
    assert list(publishing.file_names(draws)) == ["noise+seed0+3b583e27.json", "Noise+seed0+627876e1.json"]


def test_a_name_that_nobody_else_has_is_a_files_name_as_it_is():
    assert list(publishing.file_names([make("DCGAN+x")])) == ["DCGAN+x+seed0.json"]


def test_a_setting_with_slashes_stays_inside_the_folder(tmp_path):
    odd = [make("a+x", changes={"loss.path": "../../../evil"}), make("a+x", changes={"long": "y" * 400})]
    write_folder(odd, TOY, tmp_path / "board")
    assert [path.parent for path in records_in(tmp_path / "board")] == [tmp_path / "board" / "records"] * 2
    assert check_folder(tmp_path / "board", TOY) == []


def test_runs_are_found_where_the_runner_leaves_them(tmp_path):
    for entry in ("dcgan+hinge", "real data"):
        for seed in range(2):
            write(make(seed=seed), tmp_path / entry / f"seed{seed}" / "record.json")
    write(make(), tmp_path / "elsewhere" / "record.json")
    found = [path.relative_to(tmp_path).as_posix() for path in records_in(tmp_path)]
    assert found == [
        "dcgan+hinge/seed0/record.json",
        "dcgan+hinge/seed1/record.json",
        "real data/seed0/record.json",
        "real data/seed1/record.json",
    ]
    assert records_in(Path(tmp_path / "nowhere")) == []
