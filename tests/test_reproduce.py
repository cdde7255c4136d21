"""Reproducing a record: identical bits, the same within x, or different, and where the first difference appears."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from ganbench import plugins
from ganbench.errors import PluginError, ProtocolError, RecordError
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Component, Fingerprints, Record
from ganbench.records.store import read, write
from ganbench.runs.plan import make_plan
from ganbench.runs.reproduce import compare, conditions, job_of
from ganbench.runs.runner import execute

OLD = Path(__file__).parent / "data" / "record-format-1.json"


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with a run of mlp+hinge and a yardstick, under smoke-v1."""
    out = tmp_path_factory.mktemp("runs")
    archs, losses = plugins.find_many("arch", ["mlp"]), plugins.find_many("loss", ["hinge"])
    for job in make_plan(archs, losses, load_protocol("smoke-v1"), out=out, device="cpu").jobs:
        if job.yardstick in ("", "noise"):
            execute(job, lambda event: None, lambda: False)
    return out / "smoke-v1"


@pytest.fixture(scope="module")
def done(runs) -> tuple[Record, list[float]]:
    folder = runs / "mlp+hinge/seed0"
    rows = (folder / "history.jsonl").read_text().splitlines()
    return read(folder / "record.json"), [json.loads(row)["kimg"] for row in rows]


def scaled(record: Record, factor: float) -> Record:
    return replace(record, draws=[{name: value * factor for name, value in d.items()} for d in record.draws])


def traced(record: Record, window: int) -> Record:
    trace = record.bits.trace.split()
    trace[window:] = ["00000000"] * (len(trace) - window)
    return replace(record, bits=replace(record.bits, trace=" ".join(trace), weights="0" * 16))


def test_a_record_is_identical_to_itself(done) -> None:
    assert compare(*[done[0]] * 2, done[1], 0.01).verdict == "identical bits"


def test_without_fingerprints_nobody_claims_identical_bits(done) -> None:
    bare = replace(done[0], bits=Fingerprints())
    found = compare(bare, done[0], done[1], 0.01)
    assert (found.verdict, found.largest, found.first) == ("same within", 0.0, "")


@pytest.mark.parametrize(("factor", "verdict"), [(1.005, "same within"), (0.995, "same within"), (1.02, "different")])
def test_scores_are_the_same_within_the_tolerance_or_different(factor, verdict, done) -> None:
    record, kimg = done
    found = compare(record, scaled(record, factor), kimg, 0.01)
    assert found.verdict == verdict
    assert found.largest == pytest.approx(abs(factor - 1), rel=0.05)
    assert found.first == "the samples are the same, but their scores differ"


def test_the_first_window_that_differs_is_named_by_its_images(done) -> None:
    record, kimg = done
    assert compare(record, traced(record, 0), kimg, 0.01).first.startswith(
        "weights or losses differ between 0 and 0.032"
    )
    assert compare(record, traced(record, 12), kimg, 0.01).first == (
        "weights or losses differ between 0.384 and 0.416 kimg (window 13)"
    )


def test_equal_scores_of_other_weights_are_not_identical_bits(done) -> None:
    record, kimg = done
    other = replace(record, bits=replace(record.bits, weights="0" * 16))
    found = compare(record, other, kimg, 0.01)
    assert (found.verdict, found.first) == ("same within", "the final weights differ")


def test_other_samples_of_the_same_weights_are_told(done) -> None:
    record, kimg = done
    other = replace(record, bits=replace(record.bits, samples=("0" * 16,)))
    assert "the samples of evaluation draw 0 differ" in compare(record, other, kimg, 0.01).first


def test_another_end_is_different_whatever_the_scores(done) -> None:
    record, kimg = done
    diverged = replace(record, status="diverged", reason="d_loss is not finite at iteration 3", draws=[], scores={})
    assert compare(record, diverged, kimg, 1e9).verdict == "different"
    assert compare(diverged, replace(diverged, reason="... at iteration 4"), kimg, 1.0).verdict != "identical bits"


def test_every_condition_that_is_not_as_it_was_is_told(done) -> None:
    record, _ = done
    assert conditions(record, record) == []
    elsewhere = replace(
        record,
        environment=replace(record.environment, torch="1.0", threads=64),
        loss=replace(record.loss, source="edited"),
        dataset_hash="other",
    )
    told = " ".join(conditions(record, elsewhere))
    for word in ("torch", "threads", "loss hinge: source", "dataset hash"):
        assert word in told


def test_a_record_of_other_rules_is_refused(done, tmp_path) -> None:
    with pytest.raises(ProtocolError, match="these rules have digest"):
        job_of(done[0], load_protocol("ring-v1"), tmp_path, "cpu")


def test_a_record_of_a_plugin_that_is_gone_says_which(done, tmp_path) -> None:
    gone = replace(done[0], loss=Component("gone", "gone-losses", "2.0", "s"))
    with pytest.raises(PluginError, match=r"needs the loss 'gone' of gone-losses 2\.0"):
        job_of(gone, load_protocol("smoke-v1"), tmp_path, "cpu")


def test_a_run_that_never_ended_cannot_be_reproduced(done, tmp_path) -> None:
    with pytest.raises(RecordError, match="nothing to compare with"):
        job_of(replace(done[0], status="interrupted"), load_protocol("smoke-v1"), tmp_path, "cpu")


def test_changes_of_the_user_are_repeated(done, tmp_path) -> None:
    changed = replace(done[0], changes={"lr": "1e-4", "loss.margin": "2", "budget_kimg": "0.5"})
    job = job_of(changed, load_protocol("smoke-v1"), tmp_path, "cpu")
    assert (job.recipe_changes, job.loss_changes) == ({"lr": 1e-4}, {"margin": 2})
    assert job.protocol.training.budget_kimg == 0.5


# -- through the command line ----------------------------------------------------------------------------------------


def test_the_command_runs_a_record_again_and_finds_the_same_bits(ganbench_command, runs, tmp_path) -> None:
    folder = runs / "mlp+hinge/seed0"
    again = ganbench_command("reproduce", folder)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "identical bits" in again.stdout
    assert "changed:" not in again.stdout
    noise = ganbench_command("reproduce", runs / "noise/seed0", "-q")
    assert "identical bits" in noise.stdout
    record = read(folder / "record.json")
    shutil.copytree(folder, tmp_path / "forged")
    first = next(iter(record.scores))
    forged = replace(
        record,
        scores=record.scores | {first: record.scores[first] / 2},
        draws=[draw | {first: draw[first] / 2} for draw in record.draws],
    )
    write(forged, tmp_path / "forged/record.json")
    found = ganbench_command("reproduce", tmp_path / "forged", "-q")
    assert found.returncode == 1
    assert "different" in found.stdout
    assert first in found.stdout


def test_what_cannot_be_reproduced_is_one_sentence(ganbench_here) -> None:
    for arguments, said in (
        (("nowhere",), "nowhere does not exist"),
        ((OLD, "--protocol", "ring-v1"), "these rules have digest"),
        ((OLD, "--device", "cuda:7"), "there is no device 'cuda:7'"),
    ):
        result = ganbench_here("reproduce", *arguments)
        assert result.returncode == 2
        assert said in " ".join(result.stderr.split())
        assert "Traceback" not in result.stderr
