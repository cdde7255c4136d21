"""Merging records of many machines: every refusal, repetition, conflicts, and a merge that is killed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import toy
from msgspec.structs import replace

from ganbench.contracts.protocol_file import to_toml
from ganbench.errors import RecordError
from ganbench.leaderboards.gathering import records_below
from ganbench.records import files
from ganbench.records.files import Copy, copy_together
from ganbench.records.record import Component, External, ExternalRecord, Fingerprints, Record, YardstickRecord
from ganbench.records.sealing import as_text, sealed
from ganbench.records.store import facts_of, write
from ganbench.records.strips import bind
from ganbench.runs.checks import Rules
from ganbench.runs.folders import rows_of
from ganbench.runs.merging import Ending, merge

WEIGHTS = "0123456789abcdef"
STRIP = bind(b"RIFF\x0c\0\0\0WEBPVP8 \0\0\0\0", WEIGHTS)
OTHER_STRIP = bind(b"RIFF\x0c\0\0\0WEBPVP8 \0\0\0\0", "f" * 16)
BITS = Fingerprints(WEIGHTS, ("s0", "s1"), "t0 t1")


def made(entry: str = "dcgan+hinge", seed: int = 0, **changed) -> Record:
    return toy.make(entry, seed, **({"bits": BITS} | changed))


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    """The toy's rules, from a file."""
    file = tmp_path / "toy.toml"
    file.write_text(to_toml(toy.TOY))
    return Rules([str(file)])


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Path]:
    """Write runs as `ganbench run` leaves them in a folder of that name; returns it."""

    def runs(name: str, *records: Record) -> Path:
        for record in records:
            folder = tmp_path / name / record.protocol / next(rows_of(record)) / f"seed{record.seed}"
            write(record, folder / "record.json")
            (folder / "history.jsonl").write_text("{}\n")
            (folder / "checkpoint.pt").write_bytes(b"weights")
            (folder / "strip.webp").write_bytes(STRIP)
        return tmp_path / name

    return runs


def merged(folder: Path, rules: Rules, out: str = "out", **options) -> list[Ending]:
    return merge(records_below(folder), folder.parent / out, rules, **options)


def refusal(folder: Path, rules: Rules) -> RecordError:
    """Why the only record of a folder is refused; nothing of it is copied."""
    (ending,) = merged(folder, rules)
    assert ending.how == "refused"
    assert not (folder.parent / "out").exists()
    return ending.problem.error


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_runs_of_two_machines_and_published_ones_come_into_one_folder(machine, rules, tmp_path) -> None:
    one, two = machine("one", made(), made(seed=1)), machine("two", made("dcgan+r1"))
    published = tmp_path / "toy-v1/records/dcgan+lsgan+seed0.json"
    write(made("dcgan+lsgan"), published)
    strips = tmp_path / "toy-v1/strips"
    strips.mkdir()
    (strips / "dcgan+lsgan+seed0.webp").write_bytes(STRIP)
    files = [file for folder in (one, two, tmp_path / "toy-v1") for file in records_below(folder)]
    assert [ending.how for ending in merge(files, tmp_path / "out", rules)] == ["merged"] * 4
    row = {"checkpoint.pt", "history.jsonl", "record.json", "strip.webp"}
    assert set(contents(tmp_path / "out/toy-v1")) == {
        *(
            f"{folder}/{name}"
            for folder in ("dcgan+hinge/seed0", "dcgan+hinge/seed1", "dcgan+r1/seed0")
            for name in row
        ),
        "dcgan+lsgan/seed0/record.json",
        "dcgan+lsgan/seed0/strip.webp",
    }
    assert (tmp_path / "out/toy-v1/dcgan+lsgan/seed0/record.json").read_bytes() == published.read_bytes()


def test_a_file_that_cannot_be_read_concerns_its_record_alone(machine, rules, tmp_path, monkeypatch) -> None:
    runs = machine("one", made(), made(seed=1))
    real = Path.open

    def guarded(self: Path, *arguments, **options):
        if self.match("seed0/history.jsonl"):
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", guarded)
    assert sorted(ending.how for ending in merged(runs, rules)) == ["merged", "refused"]
    assert (tmp_path / "out/toy-v1/dcgan+hinge/seed1/record.json").exists()


def test_a_row_that_no_folder_can_be_named_after_is_refused(rules, tmp_path) -> None:
    file = tmp_path / "mail/record.json"
    write(made(changes={"a": "\0"}), file)
    assert "no folder can be named after" in refusal(tmp_path / "mail", rules).message


def test_the_same_records_again_change_nothing(machine, rules, tmp_path) -> None:
    runs = machine("one", made(), made(seed=1))
    merged(runs, rules)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert [ending.how for ending in merged(runs, rules)] == ["there", "there"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_a_record_that_was_only_formatted_again_is_the_same(machine, rules) -> None:
    runs = machine("one", made())
    merged(runs, rules)
    (file,) = records_below(runs)
    file.write_text(json.dumps(json.loads(file.read_text())))
    assert [ending.how for ending in merged(runs, rules)] == ["there"]


def test_a_dry_run_checks_everything_and_writes_nothing(machine, rules, tmp_path) -> None:
    first, other = made(), made(bits=replace(BITS, weights="f" * 16))
    files = [*records_below(machine("one", first)), *records_below(machine("two", other))]
    (tmp_path / "two/toy-v1/dcgan+hinge/seed0/strip.webp").unlink()
    endings = merge(files, tmp_path / "out", rules, dry_run=True)
    assert [ending.how for ending in endings] == ["merged", "refused"]
    assert not (tmp_path / "out").exists()


def test_the_same_bits_of_another_machine_are_the_same_result(machine, rules, tmp_path) -> None:
    merged(machine("one", made()), rules)
    before = contents(tmp_path / "out")
    assert [ending.how for ending in merged(machine("two", made(environment=toy.GPU)), rules)] == ["same"]
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({"bits": replace(BITS, samples=("s0", "other"))}, "the samples of evaluation draw 1 differ"),
        ({"bits": replace(BITS, trace="t0 other")}, "weights or losses differ in window 2 of training"),
        ({"status": "diverged", "reason": "NaN"}, "one ended as ok, the other as diverged"),
    ],
)
def test_another_result_of_a_run_is_a_conflict_that_names_both(changed, differs, machine, rules, tmp_path) -> None:
    merged(machine("one", made()), rules)
    before = contents(tmp_path / "out")
    two = machine("two", made(environment=replace(toy.CPU, device="Other CPU"), **changed))
    (tmp_path / "two/toy-v1/dcgan+hinge/seed0/strip.webp").unlink()
    (ending,) = merged(two, rules)
    assert ending.how == "refused"
    said = ending.problem.error.message
    assert str(tmp_path / "out/toy-v1/dcgan+hinge/seed0/record.json") in said
    assert str(tmp_path / "two/toy-v1/dcgan+hinge/seed0/record.json") in said
    assert "made with another device (Some CPU, Other CPU)" in said
    assert said.endswith(differs)
    assert contents(tmp_path / "out") == before


def test_two_results_within_one_merge_are_a_conflict_too(machine, rules, tmp_path) -> None:
    machine("all/one", made())
    machine("all/two", made(bits=replace(BITS, samples=("other",))))
    endings = merged(tmp_path / "all", rules)
    assert [ending.how for ending in endings] == ["merged", "refused"]
    assert "on the same machine with the same versions" in endings[1].problem.error.message


def changed_by_hand(file: Path) -> None:
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 3'))


def of_a_newer_format(file: Path) -> None:
    file.write_bytes(as_text(sealed(facts_of(made()) | {"format": 99})))


def with_other_means(file: Path) -> None:
    facts = facts_of(made())
    file.write_bytes(as_text(sealed(facts | {"scores": facts["scores"] | {"modes_covered": 5.0}})))


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (changed_by_hand, "its seal does not match"),
        (of_a_newer_format, "has record format 99"),
        (with_other_means, "modes_covered is not the mean of its draws"),
        (cut_off, "is not a readable record"),
    ],
)
def test_a_file_that_is_not_an_intact_record_is_refused(spoil, said, machine, rules) -> None:
    runs = machine("one", made())
    spoil(*records_below(runs))
    assert said in refusal(runs, rules).message


def test_a_record_of_other_rules_is_refused(machine, rules) -> None:
    error = refusal(machine("one", made(digest="other")), rules)
    assert f"with digest other; these rules have {toy.TOY.digest}" in error.message
    assert "--protocol FILE" in error.hint


def test_a_record_of_an_unknown_protocol_is_refused_with_the_next_step(machine) -> None:
    error = refusal(machine("one", made()), Rules())
    assert "the protocol 'toy-v1', which is not installed" in error.message
    assert "--protocol FILE.toml" in error.hint


@pytest.mark.parametrize("place", ["toy-v1/dcgan+hinge/seed1", "toy-v1/dcgan+r1/seed0", "ring-v2/dcgan+hinge/seed0"])
def test_a_record_in_the_folder_of_another_run_is_refused(place, rules, tmp_path) -> None:
    write(made(), tmp_path / "runs" / place / "record.json")
    error = refusal(tmp_path / "runs", rules)
    assert "is in the wrong folder: it is the record of dcgan+hinge, seed 0, of toy-v1" in error.message


@pytest.mark.parametrize("place", ["toy-v1/records/dcgan+hinge+seed1.json", "ring-v2/records/dcgan+hinge+seed0.json"])
def test_a_published_record_under_the_name_of_another_is_refused(place, rules, tmp_path) -> None:
    write(made(), tmp_path / "all" / place)
    assert "has the name of another record" in refusal(tmp_path / "all", rules).message


def test_a_record_that_stands_alone_needs_no_place(rules, tmp_path) -> None:
    write(made(), tmp_path / "mail/attached.json")
    assert [ending.how for ending in merged(tmp_path / "mail", rules)] == ["merged"]


def test_a_record_whose_row_would_lead_out_of_the_folder_is_refused(rules, tmp_path) -> None:
    record = YardstickRecord(**toy.judged(0, 0.5), yardstick="../../elsewhere")
    write(record, tmp_path / "mail/attached.json")
    assert "no folder can be named after" in refusal(tmp_path / "mail", rules).message


def test_samples_of_other_weights_are_refused(machine, rules, tmp_path) -> None:
    runs = machine("one", made())
    (tmp_path / "one/toy-v1/dcgan+hinge/seed0/strip.webp").write_bytes(OTHER_STRIP)
    assert "shows samples of other weights" in refusal(runs, rules).message


def test_edited_samples_are_refused(machine, rules, tmp_path) -> None:
    runs = machine("one", made())
    (tmp_path / "one/toy-v1/dcgan+hinge/seed0/strip.webp").write_bytes(STRIP.replace(b"VP8 ", b"VP9 "))
    assert "is not a strip of samples" in refusal(runs, rules).message


def test_a_run_that_is_not_over_is_left_out(machine, rules, tmp_path) -> None:
    (ending,) = merged(machine("one", made(status="interrupted")), rules)
    assert ending.how == "left"
    assert not (tmp_path / "out").exists()


def test_an_unfinished_run_in_the_place_stays(machine, rules, tmp_path) -> None:
    machine("out", made(status="interrupted"))
    before = contents(tmp_path / "out")
    (ending,) = merged(machine("one", made()), rules)
    assert "says 'interrupted'" in ending.problem.error.message
    assert contents(tmp_path / "out") == before


def test_other_files_in_the_place_stay(machine, rules, tmp_path) -> None:
    there = tmp_path / "out/toy-v1/dcgan+hinge/seed0/checkpoint.pt"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"other weights")
    (ending,) = merged(machine("one", made()), rules)
    assert "checkpoint.pt belongs to another run" in ending.problem.error.message
    assert contents(tmp_path / "out") == {"toy-v1/dcgan+hinge/seed0/checkpoint.pt": b"other weights"}


def test_components_of_one_name_from_two_packages_get_a_folder_each(machine, rules, tmp_path) -> None:
    ours = made()
    theirs = replace(ours, arch=Component("dcgan", "elsewhere", "1", "a2"))
    machine("all/one", ours)
    machine("all/two", theirs)
    assert [ending.how for ending in merged(tmp_path / "all", rules)] == ["merged", "merged"]
    assert [ending.how for ending in merged(tmp_path / "all", rules)] == ["there", "there"]
    assert {path.name for path in (tmp_path / "out/toy-v1").iterdir()} == {"dcgan+hinge", "elsewhere~dcgan+hinge"}


def test_yardsticks_and_samples_from_elsewhere_have_their_usual_folders(machine, rules, tmp_path) -> None:
    facts = toy.judged(0, 0.5)
    external = ExternalRecord(**facts, external=External(name="my model", read="10 images", given=10))
    write(YardstickRecord(**facts, yardstick="low-rank gaussian fit"), tmp_path / "mail/a.json")
    write(external, tmp_path / "mail/b.json")
    assert [ending.how for ending in merged(tmp_path / "mail", rules)] == ["merged", "merged"]
    expected = {"gaussian-fit" if "gaussian fit" in toy.TOY.evaluation.yardsticks else "low-rank-gaussian-fit"}
    assert {path.name for path in (tmp_path / "out/toy-v1").iterdir()} == expected | {"external~my-model"}


@pytest.mark.parametrize("survivors", range(8))
def test_a_merge_that_was_killed_is_completed_by_the_next_one(survivors, machine, rules, tmp_path, monkeypatch) -> None:
    runs, appear, left = machine("one", made(), made(seed=1)), files._appear, list(range(survivors))

    def killed(half: object) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        appear(half)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_appear", killed)
        with pytest.raises(KeyboardInterrupt):
            merged(runs, rules)
    assert len(contents(tmp_path / "out")) == survivors
    assert all((file.parent / "checkpoint.pt").exists() for file in (tmp_path / "out").rglob("record.json"))
    merged(runs, rules)
    assert contents(tmp_path / "out") == contents(runs)


@pytest.mark.parametrize("links", [True, False])
def test_a_copy_never_replaces_a_file(links, tmp_path, monkeypatch) -> None:
    def refused(*names: Path) -> None:
        raise OSError(95, "Operation not supported")

    if not links:
        monkeypatch.setattr(files.os, "link", refused)
    (tmp_path / "new").write_text("new")
    copy_together([Copy(tmp_path / "new", tmp_path / "free")])
    (tmp_path / "taken").write_text("old")
    with pytest.raises(RecordError, match="taken appeared meanwhile"):
        copy_together([Copy(tmp_path / "new", tmp_path / "taken")])
    assert contents(tmp_path) == {"new": b"new", "free": b"new", "taken": b"old"}


def test_what_cannot_be_written_is_one_sentence(tmp_path) -> None:
    (tmp_path / "new").write_text("new")
    with pytest.raises(RecordError, match="cannot write"):
        copy_together([Copy(tmp_path / "new", tmp_path / "new/below")])
    with pytest.raises(RecordError, match="cannot read"):
        copy_together([Copy(tmp_path / "gone", tmp_path / "copy")])


# -- through the command line ----------------------------------------------------------------------------------------


def test_the_command_says_what_it_did_and_how_to_see_the_table(machine, rules, ganbench_here) -> None:
    machine("one", made(), made(seed=1))
    found = ganbench_here("merge", "one", "--out", "all", "--protocol", "toy.toml")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.splitlines() == ["all: 2 records merged", "next: ganbench leaderboard toy.toml --runs all"]
    again = ganbench_here("merge", "one", "--out", "all", "--protocol", "toy.toml")
    assert again.stdout.splitlines()[0] == "all: 0 records merged, 2 already there"


def test_the_command_groups_refusals_and_its_exit_code_is_one(machine, rules, ganbench_here) -> None:
    machine("one", *(made(seed=seed, digest="other") for seed in range(5)), made("dcgan+r1"))
    found = ganbench_here("merge", "one", "--out", "all", "--protocol", "toy.toml")
    assert found.returncode == 1
    lines = found.stdout.splitlines()
    assert sum(line.startswith("refused: one/toy-v1/dcgan+hinge/seed") for line in lines) == 3
    assert "refused: 2 more that fail the same check" in lines
    assert "all: 1 record merged, 5 refused" in lines


def test_the_command_leaves_unfinished_runs_out_with_a_sentence(machine, rules, ganbench_here) -> None:
    machine("one", made(status="interrupted"), made(seed=1))
    found = ganbench_here("merge", "one", "--out", "all", "--protocol", "toy.toml", "--dry-run")
    assert found.returncode == 0
    assert found.stdout.splitlines() == [
        "all: 1 record would be merged, 1 left out",
        "left out: one/toy-v1/dcgan+hinge/seed0, not finished; the same `ganbench run` finishes a run",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "nowhere does not exist"),
        (("empty",), "empty holds no records"),
        (("one", "--out", "one"), "one is both merged and the folder to merge into"),
        (("one", "--protocol", "nope"), "no protocol called 'nope'"),
        (("one", "--out", "toy.toml/x"), "cannot write to toy.toml/x"),
    ],
)
def test_what_cannot_be_merged_is_one_sentence(arguments, said, machine, rules, ganbench_here, tmp_path) -> None:
    machine("one", made())
    (tmp_path / "empty").mkdir()
    found = ganbench_here("merge", *arguments)
    assert (found.returncode, found.stdout) == (2, "")
    assert said in found.stderr


def test_a_merged_table_is_that_of_all_machines(machine, rules, ganbench_here, tmp_path) -> None:
    for seed in range(5):
        machine(f"m{seed}", made(seed=seed))
    ganbench_here("merge", *(f"m{seed}" for seed in range(5)), "--protocol", "toy.toml")
    shutil.rmtree(tmp_path / "m0")
    table = json.loads(ganbench_here("leaderboard", "toy.toml", "--format", "json").stdout)
    (row,) = table["rows"]
    assert row["seeds"] == 5
