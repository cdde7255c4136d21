"""Which records count: rules, judges, revisions, runs made here, edited components, and the notes on them."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from msgspec.structs import replace
from table_reading import names, row, shown
from toy import COLUMNS, CPU, TAG, TOY, diverged, make, seeds, yardstick

from ganbench.errors import GanbenchError
from ganbench.leaderboards.export import to_csv, to_json
from ganbench.leaderboards.table import build
from ganbench.pages.markdown import to_markdown
from ganbench.records.record import Component, Record

# -- which records count ---------------------------------------------------------------------------------------


def test_records_of_another_digest_are_left_out_and_counted(mixed):
    strangers = seeds("mlp+r1", 0.99, n=3, digest="ffffffffffff")
    table = build(mixed + strangers, TOY)
    assert "mlp+r1" not in names(table)
    assert table.left_out == ("left out 3 records with another protocol digest",)
    assert table.left_out[0] in to_markdown(table)
    assert table.left_out[0] in shown(table)


@pytest.mark.parametrize("other", [{"extractor": "inception:6726825d"}, {"dataset_hash": "d2"}])
def test_scores_of_another_judge_or_other_data_never_share_a_table(mixed, other):
    table = build([*mixed, make("mlp+r1", 0, 0.9, **other)], TOY)
    assert "mlp+r1" not in names(table)
    assert table.left_out == ("left out 1 record judged on other data or with another extractor",)


def revised(records: list[Record], **revisions: int) -> list[Record]:
    """Records that were judged by these revisions of two metrics, and say which column is whose."""
    owner = {
        f"fid@{TAG}": "fid",
        f"is@{TAG}": "is",
        f"coverage@{TAG}": "near",
        "modes_covered": "m",
        "hq_fraction": "m",
    }
    parts = {name: Component(name, "ganbench", "0.1.0", "s", revisions.get(name, 1)) for name in ("fid", "near", "m")}
    columns = {name: replace(column, metric=owner[name]) for name, column in COLUMNS.items()}
    return [replace(record, metrics=parts, columns=columns) for record in records]


def test_of_records_judged_by_another_revision_only_that_metrics_columns_go():
    table = build(revised(seeds("b+x", 0.6), m=2), TOY, published=revised(seeds("a+x", 0.5) + seeds("c+x", 0.4)))
    mine = row(table, "b+x")
    assert (mine.rank, mine.here) == ((1, 1), True)
    assert set(mine.scores) == {f"fid@{TAG}", f"is@{TAG}", f"coverage@{TAG}"}
    assert "hq_fraction" in row(table, "a+x").scores
    assert table.left_out == ("left out the scores of m from 5 records, which another revision computed",)


def test_scores_that_other_records_lack_are_left_out_with_that_reason():
    published = revised(seeds("a+x", 0.5) + seeds("c+x", 0.4))
    fewer = [
        replace(
            record,
            metrics={name: part for name, part in record.metrics.items() if name != "m"},
            columns={name: column for name, column in record.columns.items() if column.metric != "m"},
            scores={name: score for name, score in record.scores.items() if record.columns[name].metric != "m"},
            draws=[
                {name: score for name, score in draw.items() if record.columns[name].metric != "m"}
                for draw in record.draws
            ],
        )
        for record in published
    ]
    table = build(revised(seeds("b+x", 0.6)), TOY, published=fewer)
    assert table.left_out == ("left out the scores of m from 5 records, because the others have none",)


def test_records_whose_headline_is_of_another_revision_are_left_out_with_the_reason():
    table = build(revised(seeds("b+x", 0.6), near=2), TOY, published=revised(seeds("a+x", 0.5) + seeds("c+x", 0.4)))
    assert names(table) == ["a+x", "c+x"]
    sentence = "left out 5 records judged by another revision of near (`--no-published` shows them)"
    assert table.left_out == (sentence,)


def test_records_that_do_not_say_whose_their_columns_are_join_no_other_revision():
    old = [replace(record, columns=COLUMNS) for record in revised(seeds("b+x", 0.6), m=2)]
    table = build(old, TOY, published=revised(seeds("a+x", 0.5) + seeds("c+x", 0.4)))
    assert names(table) == ["a+x", "c+x"]


def test_seeds_that_the_protocol_does_not_have_do_not_narrow_an_interval():
    table = build([*seeds("a+x", 0.5), make("a+x", 99, 0.5)], TOY)
    assert table.rows[0].scores[table.headline].n == 5
    assert table.left_out == ("left out 1 record with a seed that the protocol does not have",)


def test_of_two_records_of_one_seed_the_newer_counts():
    old, new = make("a+x", 0, 0.1, started="2026-01-01"), make("a+x", 0, 0.9, started="2026-02-01")
    for records in ([old, new], [new, old]):
        table = build([*records, *seeds("a+x", 0.5)[1:]], TOY)
        assert table.rows[0].records[0] == new
    assert table.left_out == ("left out 1 record superseded by a newer one of the same entry and seed",)


def test_an_interrupted_rerun_does_not_hide_a_result():
    stopped = make("a+x", 0, status="interrupted", started="2027-01-01")
    assert build([*seeds("a+x", 0.5), stopped], TOY).rows[0].verdict == "5/5"


def test_without_a_protocol_the_records_say_what_it_was(mixed):
    table = build([*mixed, make("mlp+r1", digest="ffffffffffff")])
    assert (table.name, table.digest, table.seeds) == (TOY.name, TOY.digest, TOY.seeds)
    assert table.headline == f"coverage@{TAG}"
    assert [r.rank for r in table.rows] == [r.rank for r in build(mixed, TOY).rows]
    assert f"digest: `{TOY.digest}`" in to_markdown(table)


def test_no_records_make_an_empty_table_or_without_protocol_an_error():
    assert "No runs yet." in to_markdown(build([], TOY))
    assert shown(build([], TOY))
    with pytest.raises(GanbenchError, match="no records"):
        build([])


# -- made here beside published --------------------------------------------------------------------------------


def test_a_complete_row_made_here_replaces_the_published_one_and_is_marked(mixed):
    table = build(seeds("mlp+hinge", 0.45), TOY, published=mixed)
    rows = [r for r in table.rows if table.title(r) == "mlp+hinge"]
    assert [(r.here, r.rank, r.scores[table.headline].centre) for r in rows] == [
        (True, (3, 3), pytest.approx(0.45, abs=0.01))
    ]
    assert [line.split()[1:4] for line in shown(table).splitlines() if "»" in line and "/5" in line] == [
        ["»", "mlp", "hinge"]
    ]
    assert "»: run on this machine" in shown(table)
    assert "»" not in shown(build(mixed, TOY))


def test_one_seed_made_here_stands_beside_the_complete_published_row_without_a_rank(mixed):
    table = build(seeds("mlp+hinge", 0.99, n=1), TOY, published=mixed)
    rows = [(r.here, r.rank, r.verdict) for r in table.rows if table.title(r) == "mlp+hinge"]
    assert rows == [(False, (3, 3), "5/5"), (True, None, "1/5, 4 missing")]
    assert (
        "mlp+hinge: your own runs lack 4 seeds, so they are shown beside the published row without a rank"
        in table.notes
    )
    ranked = {table.title(r): r.rank for r in table.rows if r.rank}
    assert ranked == {r.entry.name: r.rank for r in build(mixed, TOY).rows if r.rank}


def test_a_row_made_here_counts_with_its_failures(mixed):
    local = [*seeds("mlp+hinge", 0.99, n=4), diverged("mlp+hinge", 4)]
    table = build(local, TOY, published=mixed)
    rows = [(r.here, r.verdict) for r in table.rows if table.title(r) == "mlp+hinge"]
    assert rows == [(True, "4/5, 1 diverged")]


def test_an_interrupted_or_foreign_run_made_here_displaces_nothing(mixed):
    local = [make("mlp+hinge", 0, status="interrupted"), make("dcgan+hinge", 0, digest="ffffffffffff")]
    table = build(local, TOY, published=mixed)
    assert row(table, "mlp+hinge").verdict == row(table, "dcgan+hinge").verdict == "5/5"
    assert not any(r.here for r in table.rows)


def test_of_yardsticks_the_fuller_row_is_shown_alone(mixed):
    few = build(yardstick("noise", 0.02)[:2], TOY, published=mixed)
    all_of_them = build(yardstick("noise", 0.02), TOY, published=mixed)
    assert [(r.here, r.ok) for r in few.block("yardstick") if r.entry.name == "noise"] == [(False, 5)]
    assert [(r.here, r.ok) for r in all_of_them.block("yardstick") if r.entry.name == "noise"] == [(True, 5)]


def test_a_record_made_here_does_not_mend_a_published_row(mixed):
    table = build([make("mlp+lsgan", seed, 0.6) for seed in (3, 4)], TOY, published=mixed)
    rows = [(r.here, r.missing) for r in table.block("entry") if table.title(r) == "mlp+lsgan"]
    assert sorted(rows) == [(False, (3, 4)), (True, (0, 1, 2))]


# -- edited components -----------------------------------------------------------------------------------------


def edited(entry: str, level: float, source: str = "a2", n: int = 5, **changed) -> list[Record]:
    """Records of an arch whose file was changed without a new version."""
    arch = Component(entry.partition("+")[0], "ganbench", "0.1.0", source)
    return seeds(entry, level, n, arch=arch, **changed)


def test_other_source_under_the_published_version_marks_a_row_edited_without_rank(mixed):
    table = build(edited("dcgan+hinge", 0.99), TOY, published=mixed)
    assert [(table.title(r), r.here, r.rank) for r in table.block("edited")] == [("dcgan+hinge", True, None)]
    assert {table.title(r): r.rank for r in table.block("entry")} == {
        r.entry.name: r.rank for r in build(mixed, TOY).block("entry")
    }
    note = next(note for note in table.notes if "edited" in note)
    assert note == (
        "the arch dcgan (ganbench 0.1.0) was edited without a new version: its source hash is a2, while that of the "
        "published one is a1. Not ranked: dcgan+hinge. Give the plugin a new version, or run these rows again"
    )
    assert re.search(r"edited +» dcgan +hinge ", shown(table))
    assert [r["edited"][0]["source"] for r in json.loads(to_json(table))["rows"] if r["edited"]] == ["a2"]


def test_a_new_version_is_another_row_state_but_no_edit(mixed):
    newer = Component("dcgan", "ganbench", "0.2.0", "a2")
    table = build(seeds("dcgan+hinge", 0.99, arch=newer), TOY, published=mixed)
    assert (row(table, "dcgan+hinge").here, row(table, "dcgan+hinge").rank) == (True, (1, 1))
    assert table.block("edited") == []


def test_the_published_source_is_the_reference_however_many_runs_were_made_here(mixed):
    local = edited("dcgan+x", 0.5) + edited("dcgan+y", 0.5) + edited("dcgan+z", 0.5) + edited("dcgan+hinge", 0.5)
    table = build(local, TOY, published=seeds("dcgan+wgan", 0.5), installed=lambda kind, part: "a2")
    assert len(table.block("edited")) == 4
    assert names(table) == ["dcgan+wgan"]


def test_without_published_records_the_installed_plugin_is_the_reference():
    asked = []

    def installed(kind: str, part: Component) -> str:
        asked.append((kind, part.name, part.version))
        return {"arch": "a2", "loss": ""}[kind]

    table = build(seeds("a+x", 0.5) + edited("a+y", 0.5, n=2), TOY, published=(), installed=installed)
    assert [table.title(r) for r in table.block("edited")] == ["a+x"]
    assert "that of the installed plugin is a2" in " ".join(table.notes)
    assert set(asked) == {("arch", "a", "0.1.0"), ("loss", "x", "0.1.0"), ("loss", "y", "0.1.0")}


def test_without_either_the_most_common_source_counts_and_of_equals_the_earliest():
    table = build(seeds("a+x", 0.5) + edited("a+y", 0.5, n=4), TOY)
    assert [table.title(r) for r in table.block("edited")] == ["a+y"]
    assert "that of most runs is a1" in " ".join(table.notes)
    late = [msgspec.structs.replace(r, started="2027-01-01") for r in seeds("a+x", 0.5)]
    assert [r.entry.loss.name for r in build(late + edited("a+y", 0.5), TOY).block("edited")] == ["x"]


def test_one_seed_of_other_source_marks_the_whole_row():
    odd = edited("a+x", 0.5)[4]
    table = build([*seeds("a+x", 0.5, n=4), odd, *seeds("b+x", 0.4)], TOY)
    assert [(table.title(r), r.rank) for r in table.rows] == [("b+x", (1, 1)), ("a+x", None)]


def test_a_row_both_custom_and_edited_is_called_custom_and_told_to_be_edited(mixed):
    table = build(edited("dcgan+hinge", 0.9, changes={"lr": "1"}), TOY, published=mixed)
    assert row(table, "dcgan+hinge lr=1").kind == "custom"
    assert any("was edited" in note and "dcgan+hinge lr=1" in note for note in table.notes)


def test_sources_of_an_older_record_format_are_compared_among_themselves_only():
    old = edited("dcgan+hinge", 0.5, format=2)
    table = build(
        seeds("dcgan+x", 0.5), TOY, published=old, installed=lambda kind, part: "a1" if kind == "arch" else ""
    )
    assert table.block("edited") == []
    mixed_formats = [*old[:4], make("dcgan+hinge", 4, 0.5)]
    assert build(mixed_formats, TOY).block("edited") == []
    assert build([*old, *edited("dcgan+x", 0.5, "a0", n=1, format=2)], TOY).block("edited") != []


def test_edited_rows_have_a_block_of_their_own_in_markdown_and_are_named_in_the_csv():
    table = build(seeds("a+x", 0.5) + edited("a+y", 0.9, n=4), TOY)
    text = to_markdown(table)
    block = text[text.index("## Edited runs") :]
    assert "| a | y |" in block
    assert "| a | y |" not in text[: text.index("## Edited runs")]
    assert [line.partition(",")[0] for line in to_csv(table).splitlines()] == ["kind", "entry", "edited"]


# -- notes -----------------------------------------------------------------------------------------------------


def test_a_failed_self_check_is_a_note():
    bad = msgspec.structs.replace(make().self_checks, failed=("real against itself scores 2.1",))
    table = build([*seeds("a+x", 0.5, n=3), *(make("a+x", s, 0.5, self_checks=bad) for s in (3, 4))], TOY)
    sentence = "a self-check of the evaluation failed in 2 records (a+x): real against itself scores 2.1"
    assert table.notes == (sentence,)
    assert sentence in to_markdown(table)


def test_operations_without_a_deterministic_form_are_named():
    free = msgspec.structs.replace(CPU, nondeterministic=("cumsum", "bicubic"))
    table = build([*seeds("a+x", 0.5, n=4), make("a+x", 4, 0.5, environment=free)], TOY)
    assert table.notes == (
        "1 of 5 records used operations that have no deterministic implementation, so they may not reproduce bit for "
        "bit: bicubic, cumsum",
    )


def test_what_changed_between_runs_is_said(mixed):
    changed = msgspec.structs.replace(CPU, torch="2.16.0", dirty=True)
    odd = make("a+x", 4, arch=Component("a", "ganbench", "0.2.0", "a2"), environment=changed)
    notes = build([*mixed, *seeds("a+x", 0.5, n=4), odd], TOY).notes
    assert "the runs differ in torch: 2.15.0, 2.16.0" in notes
    assert "a+x: the version of its arch differs between seeds (0.1.0, 0.2.0)" in notes
    assert any(note.startswith("1 of ") and "uncommitted" in note for note in notes)
    assert build(mixed, TOY).notes == ()


def test_reasons_that_differ_in_a_number_only_are_one_note():
    def lacking(entry: str, seed: int, share: str) -> Record:
        why = f"only {share} % of the samples are of high quality"
        return make(entry, seed, absent={"mode_kl": why, "mode_kl_raw": why})

    shares = ("0.44", "1.3", "2", "5.5", "9")
    table = build([lacking("a+x", seed, share) for seed, share in enumerate(shares)] + seeds("b+x", 0.3), TOY)
    assert table.notes == (
        "no mode_kl and mode_kl_raw in 5 records (a+x), for example: only 0.44 % of the samples are of high quality",
    )
