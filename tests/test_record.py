"""Records: provenance or nothing, sealed, whole, readable across formats."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from running import carry_out, job_in
from toy import yardstick

from ganbench import Run, plugins
from ganbench.errors import RecordError
from ganbench.plugins.protocols import load_protocol
from ganbench.records.history import read_history
from ganbench.records.record import (
    FORMAT,
    Component,
    Cost,
    ExternalRecord,
    Fingerprints,
    TrainingRecord,
    YardstickRecord,
)
from ganbench.records.sealing import as_text, sealed
from ganbench.records.store import facts_of, read, write
from ganbench.records.timing import read_timing

OLD = Path(__file__).parent / "data" / "record-format-1.json"
EARLIER = OLD.with_name("record-format-2.json")
PUBLISHED = Path(__file__).parents[1] / "leaderboards"
FILE_FIELDS = [
    "format", "status", "reason", "protocol", "digest", "seed", "arch", "loss", "tricks", "yardstick", "external",
    "changes", "recipe", "recipe_from", "d_norm", "parameters", "headline", "scores", "draws", "columns", "absent",
    "doubts", "dataset", "dataset_hash", "class_names", "origin", "extractor", "metrics", "parts", "bits", "best",
    "curve", "self_checks", "speed", "company", "cost", "environment", "started", "seal",
]  # fmt: skip


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> TrainingRecord:
    return carry_out(job_in(tmp_path_factory.mktemp("runs")))


def edited(path: Path, change) -> Path:
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))
    return path


def test_a_record_comes_back_as_it_was_written(record, tmp_path) -> None:
    write(record, tmp_path / "record.json")
    assert read(tmp_path / "record.json") == record


def within(part: Any, whole: Any) -> bool:
    """Whether every name and value of ``part`` is in ``whole``, in the same order."""
    if isinstance(part, list):
        return len(part) == len(whole) and all(map(within, part, whole))
    if not isinstance(part, dict):
        return bool(part == whole)
    return [name for name in whole if name in part] == [*part] and all(within(part[n], whole[n]) for n in part)


@pytest.mark.parametrize("folder", sorted(PUBLISHED.glob("*-v*")), ids=lambda folder: folder.name)
def test_published_records_say_the_same_when_they_are_written_again(folder, tmp_path) -> None:
    """A later GANBench may add fields; one does without ``collapse``, which it derives from the scores."""
    for path in folder.glob("records/*.json"):
        write(read(path), tmp_path / "again.json")
        before, after = (json.loads(file.read_text("utf-8")) for file in (path, tmp_path / "again.json"))
        kept = {name: value for name, value in before.items() if name not in ("seal", "collapse")}
        assert within(kept, after), path
        assert [*after] == FILE_FIELDS


def test_a_file_has_a_place_for_every_field_of_runs_and_of_yardsticks(record) -> None:
    kinds = (TrainingRecord, YardstickRecord, ExternalRecord)
    fields = {name for kind in kinds for name in kind.__struct_fields__}
    assert {*facts_of(record)} == fields
    assert {*FILE_FIELDS} == {*fields, "seal"}


def test_a_yardsticks_file_says_that_nothing_was_trained(tmp_path) -> None:
    write(yardstick("noise", 0.1)[0], tmp_path / "record.json")
    facts = json.loads((tmp_path / "record.json").read_text())
    of_runs = set(TrainingRecord.__struct_fields__) - set(YardstickRecord.__struct_fields__)
    assert {name: facts[name] for name in of_runs - {"speed", "company"}} == {
        "arch": None, "loss": None, "tricks": [], "changes": {}, "recipe": {}, "recipe_from": {}, "d_norm": "",
        "parameters": {}, "best": None, "curve": [],
    }  # fmt: skip
    assert {*facts["speed"].values(), *facts["company"].values()} == {0, ""}


def test_a_record_is_a_runs_or_a_yardsticks_and_nothing_in_between(record, tmp_path) -> None:
    path = tmp_path / "record.json"
    for changes, said in (({"arch": None}, "`$.arch`"), ({"yardstick": None}, "`$.yardstick`")):
        path.write_bytes(as_text(sealed(facts_of(record) | changes)))
        with pytest.raises(RecordError, match=f"is not a readable record: .*{re.escape(said)}"):
            read(path)


def test_layout_is_not_content(record, tmp_path) -> None:
    write(record, tmp_path / "record.json")
    assert read(edited(tmp_path / "record.json", lambda facts: None)) == record


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts["scores"].update({next(iter(facts["scores"])): 0.001}),
        lambda facts: facts.update(seed=3),
        lambda facts: facts["environment"].update(dirty=False, commit="abc"),
        lambda facts: facts["draws"].pop(),
        lambda facts: facts.pop("seal"),
        lambda facts: facts.update(seal="0" * 16),
        lambda facts: facts.update(note="a field that nobody knows"),
    ],
)
def test_a_record_changed_by_hand_is_not_read(change, record, tmp_path) -> None:
    write(record, tmp_path / "record.json")
    with pytest.raises(RecordError, match="was changed after it was written"):
        read(edited(tmp_path / "record.json", change))


def test_a_score_that_is_not_the_mean_of_its_draws_is_not_read(record, tmp_path) -> None:
    """Even where somebody sealed it again."""
    best = next(iter(record.scores))
    forged = replace(record, scores=record.scores | {best: 0.001})
    write(forged, tmp_path / "record.json")
    with pytest.raises(RecordError, match="is not the mean of its draws"):
        read(tmp_path / "record.json")


def test_a_score_that_no_table_can_be_computed_from_is_not_read(record, tmp_path) -> None:
    best = next(iter(record.scores))
    draws = [draw | {best: 1.7e308} for draw in record.draws]
    write(replace(record, scores=record.scores | {best: 1.7e308}, draws=draws), tmp_path / "huge.json")
    with pytest.raises(RecordError, match=r"is not a readable record: a score is beyond 1e\+70"):
        read(tmp_path / "huge.json")
    write(replace(record, self_checks=replace(record.self_checks, fake=0)), tmp_path / "none.json")
    with pytest.raises(RecordError, match="is not a readable record: it was judged on no samples"):
        read(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"digest": ""}, "`str` of length >= 1 - at `$.digest`"),
        ({"dataset_hash": ""}, "`str` of length >= 1 - at `$.dataset_hash`"),
        ({"started": ""}, "`str` of length >= 1 - at `$.started`"),
        ({"arch": None}, "`object`, got `null` - at `$.arch`"),
        ({"loss": Component("hinge", "ganbench", "0.1.0", "")}, "`str` of length >= 1 - at `$.loss.source`"),
        ({"tricks": (Component("ttur", "", "0.1.0", "ast1:0"),)}, "`str` of length >= 1 - at `$.tricks[0].package`"),
        ({"recipe": {}}, "`object` of length >= 1 - at `$.recipe`"),
        ({"recipe_from": {}}, "`object` of length >= 1 - at `$.recipe_from`"),
        ({"d_norm": ""}, "`str` of length >= 1 - at `$.d_norm`"),
        ({"parameters": {}}, "`object` of length >= 1 - at `$.parameters`"),
        (
            {"metrics": {"fid": Component("fid", "ganbench", "1", "")}},
            "`str` of length >= 1 - at `$.metrics[...].source`",
        ),
        ({"reason": 3}, "`str`, got `int` - at `$.reason`"),
    ],
)
def test_a_record_whose_field_does_not_fit_its_type_is_not_written(changed, why, record, tmp_path) -> None:
    with pytest.raises(RecordError, match=re.escape(f"cannot write a record: Expected {why}\n")):
        write(replace(record, **changed), tmp_path / "record.json")
    assert not (tmp_path / "record.json").exists()


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"metrics": {}}, "metrics"),
        ({"parts": {}}, "plugin of the dataset"),
        ({"extractor": ""}, "extractor"),
        ({"draws": []}, "evaluation draws"),
        ({"self_checks": None}, "self-checks"),
        ({"bits": Fingerprints()}, "fingerprints"),
        ({"bits": Fingerprints(samples=("s0",))}, "fingerprints"),
        ({"cost": Cost()}, "cost"),
        ({"scores": {}, "absent": {}}, "scores"),
    ],
)
def test_a_record_without_provenance_is_not_written(changed, missing, record, tmp_path) -> None:
    with pytest.raises(RecordError, match=f"cannot write a record without {missing}\n"):
        write(replace(record, **changed), tmp_path / "record.json")
    assert not (tmp_path / "record.json").exists()


@pytest.mark.parametrize("name", ["device", "core", "torch", "python", "ganbench", "system"])
def test_a_record_without_its_environment_is_not_written(name, record, tmp_path) -> None:
    with pytest.raises(RecordError, match=rf"cannot write a record: Expected .* - at `\$\.environment\.{name}`\n"):
        write(replace(record, environment=replace(record.environment, **{name: ""})), tmp_path / "record.json")


def test_a_score_that_is_not_finite_is_not_written(record, tmp_path) -> None:
    scores = {name: float("nan") for name in record.scores}
    with pytest.raises(RecordError, match="without scores"):
        write(replace(record, scores=scores), tmp_path / "record.json")


def test_a_record_of_the_first_format_had_no_seal_and_is_not_read() -> None:
    with pytest.raises(RecordError, match=r"has record format 1, but GANBench .* reads formats 2 to 3") as refused:
        read(OLD)
    assert refused.value.hint == "run again"


@pytest.mark.parametrize("number", [-5, 0, 1, FORMAT + 1, 2**70, True, 1.5, 2.0, "2", None, [2]])
def test_no_other_format_switches_the_seal_off(number, record, tmp_path) -> None:
    path = tmp_path / "record.json"
    write(record, path)
    best = next(iter(record.scores))
    forged = {best: record.scores[best] / 2}

    def forge(facts) -> None:
        facts.update(format=number, scores=facts["scores"] | forged, draws=[draw | forged for draw in facts["draws"]])
        facts.pop("seal")

    with pytest.raises(RecordError, match=r"has record format|its format is not a whole number") as refused:
        read(edited(path, forge))
    assert str(path) in refused.value.message
    assert "\n" not in refused.value.message


def test_a_record_from_before_arithmetic_was_counted_still_loads() -> None:
    earlier = read(EARLIER)
    assert earlier.format == 2 < FORMAT
    assert earlier.speed.train > 0
    assert (earlier.speed.d_flops, earlier.speed.flops_per_second, earlier.speed.mode) == (0, 0, "")
    assert earlier.cost.device_joules is None


def test_a_record_of_a_later_format_says_so(record, tmp_path) -> None:
    path = tmp_path / "record.json"
    write(record, path)
    edited(path, lambda facts: facts.update(format=FORMAT + 1, scores="something else altogether"))
    with pytest.raises(RecordError, match=f"has record format {FORMAT + 1}, but GANBench"):
        read(path)


@pytest.mark.parametrize("name", ["/etc/rules.toml", "../elsewhere", "x" * 5000, "a\0b", "a\n", "[/]", ""])
def test_a_record_names_a_protocol_and_no_path(name, record, tmp_path) -> None:
    """Commands look in folders of that name."""
    facts = facts_of(replace(record, protocol=name))
    (tmp_path / "record.json").write_bytes(as_text(sealed(facts)))
    with pytest.raises(RecordError, match=r"is not a readable record: .*`\$\.protocol`"):
        read(tmp_path / "record.json")


HOSTILE = {
    "nothing": b"",
    "no object": b"[1]",
    "no field": b"{}",
    "no Unicode": b'{"format": 3, "reason": "\xff"}',
    "half a surrogate": b'{"format": 3, "reason": "\xed\xa0\x80"}',
    "deep": b"[" * 200_000,
    "deep within a field": b'{"format": 3, "recipe": ' + b"[" * 990 + b"]" * 990 + b"}",
    "a constant": b'{"format": 3, "seed": NaN}',
    "beyond floats": b'{"format": 3, "seed": 1e999}',
    "beyond integers": b'{"format": 3, "seed": ' + b"9" * 5000 + b"}",
    "a name twice": b'{"format": 3, "seed": 1, "seed": 2}',
    "a name twice, inside": b'{"format": 3, "recipe": {"lr": 1, "lr": 2}}',
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(("load", "what"), [(read, "record"), (read_timing, "timing")])
def test_what_is_no_record_costs_nothing_but_a_sentence(load, what, content, tmp_path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content.replace(b"3", b"1", 1) if what == "timing" else content)
    with pytest.raises(RecordError, match=f"is not a readable {what}") as refused:
        load(path)
    assert str(path) in refused.value.message


@pytest.mark.parametrize("place", ["/dev/zero", "a pipe", "a folder", "something large", "nowhere"])
def test_a_record_is_an_ordinary_file_of_ordinary_size(place, tmp_path) -> None:
    path = tmp_path / "record.json"
    if place == "a pipe":
        os.mkfifo(path)
    elif place == "a folder":
        path.mkdir()
    elif place == "something large":
        with path.open("wb") as file:
            file.truncate(2**30)
    elif place != "nowhere":
        path.symlink_to(place)
    with pytest.raises(RecordError, match="is not a readable record: ") as refused:
        read(path)
    assert refused.value.message.count(str(path)) == 1


def test_a_history_gives_its_lines_but_not_half_a_one(tmp_path) -> None:
    path = tmp_path / "history.jsonl"
    assert read_history(path) == []
    path.write_text('{"kimg": 1}\n{"kimg": 2}\n{"kim')
    assert read_history(path) == [{"kimg": 1}, {"kimg": 2}]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[" * 200_000 + b"\n", "line 1 is nested too deeply"),
        (b'{"kimg": 1}\n\xff\n', "line 2: "),
        (b'{"kimg": 1}\n{"kimg": ' + b"9" * 5000 + b"}\n", "line 2: "),
        (b"nothing\n", "line 1: "),
        (b"[]\n", "line 1 is not a JSON object"),
    ],
    ids=["deep", "no Unicode", "beyond integers", "no JSON", "no object"],
)
def test_a_hostile_history_costs_a_sentence(content, why, tmp_path, record) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=f"is not a readable history: {why}"):
        _ = Run(tmp_path, record).history
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(RecordError, match="it is a device or a pipe, not a file"):
        read_history(path)


def test_a_name_that_stands_twice_is_found_wherever_the_layout_differs(record, tmp_path) -> None:
    path = tmp_path / "record.json"
    write(record, path)
    path.write_text(path.read_text().replace('"seed": ', '"seed": 7,\n "seed": ', 1))
    with pytest.raises(RecordError, match="'seed' occurs in it twice"):
        read(path)


def test_the_record_names_every_plugin_that_had_a_part(record) -> None:
    for kind, part in (("arch", record.arch), ("loss", record.loss), *((k, p) for k, p in record.parts.items())):
        assert plugins.find(kind, part.name).source_hash == part.source
    assert {"dataset", "extractor"} == set(record.parts)
    assert set(record.metrics) == set(load_protocol("smoke-v1").evaluation.metrics)
    assert all(metric.revision >= 1 for metric in record.metrics.values())
    assert msgspec.to_builtins(record)["environment"]["threads"] >= 1
