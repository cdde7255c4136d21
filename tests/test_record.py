"""Records: provenance or nothing, sealed, whole, readable across formats."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from ganbench import plugins
from ganbench.errors import RecordError
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import FORMAT, Component, Fingerprints, Record
from ganbench.records.store import read, write
from ganbench.runs.plan import make_plan
from ganbench.runs.runner import execute

OLD = Path(__file__).parent / "data" / "record-format-1.json"
EARLIER = OLD.with_name("record-format-2.json")


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Record:
    archs, losses = plugins.find_many("arch", ["mlp"]), plugins.find_many("loss", ["hinge"])
    plan = make_plan(archs, losses, load_protocol("smoke-v1"), out=tmp_path_factory.mktemp("runs"), device="cpu")
    (job,) = (job for job in plan.jobs if not job.yardstick)
    return execute(job, lambda event: None, lambda: False)


def edited(path: Path, change) -> Path:
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))
    return path


def test_a_record_comes_back_as_it_was_written(record, tmp_path) -> None:
    write(record, tmp_path / "record.json")
    assert read(tmp_path / "record.json") == record


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


@pytest.mark.parametrize("old", [True, False])
def test_a_score_that_is_not_the_mean_of_its_draws_is_not_read(old, record, tmp_path) -> None:
    """Even where somebody sealed it again, or called it a record of the time before seals."""
    best = next(iter(record.scores))
    forged = replace(record, scores=record.scores | {best: 0.001}, format=1 if old else 2)
    write(forged, tmp_path / "record.json")
    with pytest.raises(RecordError, match="is not the mean of its draws"):
        read(tmp_path / "record.json")


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"digest": ""}, "protocol"),
        ({"dataset_hash": ""}, "dataset hash"),
        ({"started": ""}, "start"),
        ({"arch": None}, "arch"),
        ({"loss": Component("hinge", "ganbench", "0.1.0")}, "loss"),
        ({"recipe": {}}, "recipe"),
        ({"parameters": {}}, "normalisation and parameters"),
        ({"metrics": {}}, "metrics"),
        ({"parts": {}}, "plugin of the dataset"),
        ({"extractor": ""}, "extractor"),
        ({"draws": []}, "evaluation draws"),
        ({"self_checks": None}, "self-checks"),
        ({"bits": Fingerprints()}, "fingerprints"),
        ({"scores": {}, "absent": {}}, "scores"),
    ],
)
def test_a_record_without_provenance_is_not_written(changed, missing, record, tmp_path) -> None:
    with pytest.raises(RecordError, match=f"without {missing}"):
        write(replace(record, **changed), tmp_path / "record.json")
    assert not (tmp_path / "record.json").exists()


@pytest.mark.parametrize("name", ["device", "core", "torch", "python", "ganbench", "system"])
def test_a_record_without_its_environment_is_not_written(name, record, tmp_path) -> None:
    with pytest.raises(RecordError, match=r"cannot write a record without (device|versions)"):
        write(replace(record, environment=replace(record.environment, **{name: ""})), tmp_path / "record.json")


def test_a_score_that_is_not_finite_is_not_written(record, tmp_path) -> None:
    scores = {name: float("nan") for name in record.scores}
    with pytest.raises(RecordError, match="without scores"):
        write(replace(record, scores=scores), tmp_path / "record.json")


def test_a_record_of_the_first_format_still_loads(tmp_path) -> None:
    old = read(OLD)
    assert old.format == 1
    assert old.entry == "dcgan+r1"
    assert (old.best, old.curve, old.bits) == (None, (), Fingerprints())
    write(old, tmp_path / "again.json")
    assert read(tmp_path / "again.json") == old


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


def test_what_is_not_there_or_no_record_is_said(tmp_path) -> None:
    for content in (b"", b"[1]", b"{}", b"\xff"):
        (tmp_path / "record.json").write_bytes(content)
        with pytest.raises(RecordError, match="is not a readable record"):
            read(tmp_path / "record.json")


def test_the_record_names_every_plugin_that_had_a_part(record) -> None:
    for kind, part in (("arch", record.arch), ("loss", record.loss), *((k, p) for k, p in record.parts.items())):
        assert plugins.find(kind, part.name).source_hash == part.source
    assert {"dataset", "extractor"} == set(record.parts)
    assert set(record.metrics) == set(load_protocol("smoke-v1").evaluation.metrics)
    assert all(metric.revision >= 1 for metric in record.metrics.values())
    assert msgspec.to_builtins(record)["environment"]["threads"] >= 1
