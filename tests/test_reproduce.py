"""Reproducing a record: identical bits, other bits within seed noise, or different, and where they first differ."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from statistics import fmean

import msgspec
import pytest
import toy
from msgspec.structs import replace
from running import carry_out, plan_of

from ganbench.contracts.executor import TrainingJob
from ganbench.errors import PluginError, ProtocolError, RecordError
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Component, Fingerprints, Record
from ganbench.records.sealing import as_text, sealed
from ganbench.records.store import read, write
from ganbench.runs.conditions import Change, conditions
from ganbench.runs.reproduce import Reproduction, compare, job_of, largest_difference
from ganbench.runs.siblings import other_seeds

OLD = Path(__file__).parent / "data" / "record-format-2.json"


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with a run of mlp+hinge and a yardstick, under smoke-v1."""
    out = tmp_path_factory.mktemp("runs")
    for job in plan_of(out).jobs:
        if isinstance(job, TrainingJob) or job.yardstick == "noise":
            carry_out(job)
    return out / "smoke-v1"


@pytest.fixture(scope="module")
def done(runs) -> tuple[Record, list[float]]:
    folder = runs / "mlp+hinge/seed0"
    rows = (folder / "history.jsonl").read_text().splitlines()
    return read(folder / "record.json"), [json.loads(row)["kimg"] for row in rows]


def scaled(record: Record, factor: float, **changed) -> Record:
    """The record with all its scores multiplied, as far as their ranges go."""

    def within(name: str, value: float) -> float:
        low, high = record.columns[name].low, record.columns[name].high
        return min(max(value, -math.inf if low is None else low), math.inf if high is None else high)

    draws = [{name: within(name, value * factor) for name, value in draw.items()} for draw in record.draws]
    means = {name: fmean(draw[name] for draw in draws) for name in record.scores}
    return replace(record, scores=means, draws=draws, **changed)


def seeds(record: Record, *factors: float, **changed) -> list[Record]:
    """Other seeds of the record's row, by how their scores relate to its own."""
    return [scaled(record, factor, seed=seed, **changed) for seed, factor in enumerate(factors, 1)]


def without(record: Record, gone: str) -> Record:
    """The record, as if it had never had that score."""
    return replace(
        record,
        scores={name: value for name, value in record.scores.items() if name != gone},
        draws=[{name: value for name, value in draw.items() if name != gone} for draw in record.draws],
        columns={name: value for name, value in record.columns.items() if name != gone},
    )


def traced(record: Record, window: int) -> Record:
    trace = record.bits.trace.split()
    trace[window:] = ["00000000"] * (len(trace) - window)
    return replace(record, bits=replace(record.bits, trace=" ".join(trace), weights="0" * 16))


ELSEWHERE = [Change("torch", "torch: 1 then, 2 now")]
EDITED = [*ELSEWHERE, Change("arch mlp", "arch mlp: source a then, b now", source=True)]
ROW = (0.95, 1.0, 1.02, 1.05)
DIVERGED = {"status": "diverged", "reason": "d_loss is not finite at iteration 3", "draws": [], "scores": {}}


@pytest.mark.parametrize("changes", [[], ELSEWHERE, EDITED])
def test_a_record_is_identical_to_itself_wherever(changes, done) -> None:
    record, kimg = done
    assert compare(record, record, changes, [], kimg) == Reproduction("identical bits")


def test_without_fingerprints_nobody_claims_identical_bits(done) -> None:
    record, kimg = done
    bare = replace(record, bits=Fingerprints())
    found = compare(bare, record, ELSEWHERE, [], kimg)
    assert (found.verdict, found.reproduced) == ("identical in everything recorded", True)
    assert compare(bare, scaled(record, 2), ELSEWHERE, [], kimg).first == "the scores differ"


def test_on_the_same_machine_only_identical_bits_will_do(done) -> None:
    record, kimg = done
    found = compare(record, scaled(record, 1.001), [], seeds(record, *ROW), kimg)
    assert (found.verdict, found.reproduced, found.judged) == ("different", False, ())
    assert found.first == "the samples are the same, but their scores differ"
    assert found.why == ("machine, versions and sources are unchanged, so the bits should be identical",)


@pytest.mark.parametrize(("factor", "verdict"), [(1.02, "other bits, within seed noise"), (5, "different")])
def test_elsewhere_scores_are_compared_by_seed_noise(factor, verdict, done) -> None:
    record, kimg = done
    found = compare(record, scaled(record, factor), ELSEWHERE, seeds(record, *ROW), kimg)
    assert (found.verdict, found.reproduced) == (verdict, factor < 5)
    assert found.judged[0].beyond_noise == (factor == 5)
    assert found.judged[0].seeds == 4


def test_operations_without_a_deterministic_form_allow_other_bits_on_one_machine(done) -> None:
    record, kimg = done
    free = replace(record, environment=replace(record.environment, nondeterministic=("scatter_add",)))
    found = compare(record, scaled(free, 1.02), [], seeds(record, *ROW), kimg)
    assert found.verdict == "other bits, within seed noise"
    assert found.why == ("nondeterministic operations were used: scatter_add",)


def test_a_changed_source_is_never_called_noise(done) -> None:
    record, kimg = done
    found = compare(record, scaled(record, 1.001), EDITED, seeds(record, *ROW), kimg)
    assert (found.verdict, found.judged) == ("different", ())
    assert found.why == ("arch mlp has changed, which may be the reason",)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ((), "there is no other seed of this row, so noise cannot be judged"),
        ((1.0,), "there is only one other seed of this row, so noise cannot be judged"),
    ],
)
def test_without_other_seeds_noise_cannot_be_judged(others, said, done) -> None:
    record, kimg = done
    found = compare(record, scaled(record, 1.02), ELSEWHERE, seeds(record, *others), kimg)
    assert found.verdict == "other bits, and too few other seeds to judge them by"
    assert (found.why, found.reproduced) == ((said,), False)
    name, apart = largest_difference(record, scaled(record, 1.02))
    assert record.columns[name].goal != "info"
    assert apart == pytest.approx(0.02 / 1.02)


def test_failed_seeds_do_not_count_towards_noise(done) -> None:
    record, kimg = done
    others = [*seeds(record, 1.0), replace(record, seed=2, **DIVERGED)]
    assert "only one other seed" in compare(record, scaled(record, 1.02), ELSEWHERE, others, kimg).why[0]
    strangers = seeds(replace(record, scores={}, draws=[]), 1.0, 1.0)
    found = compare(record, scaled(record, 1.02), ELSEWHERE, strangers, kimg)
    assert found.why == ("there is no score that other seeds of this row share, so noise cannot be judged",)


def test_scores_that_only_one_of_them_has_do_not_count(done) -> None:
    record, kimg = done
    gone = next(iter(record.scores))
    fewer = without(record, gone)
    for then, now in ((record, fewer), (fewer, record)):
        assert compare(then, now, ELSEWHERE, [], kimg).verdict == "identical bits"
        found = compare(then, scaled(now, 1.02), ELSEWHERE, seeds(record, *ROW), kimg)
        assert found.verdict == "other bits, within seed noise"
        assert gone not in [one.column for one in found.judged]


def test_the_first_window_that_differs_is_named_by_its_images(done) -> None:
    record, kimg = done
    assert compare(record, traced(record, 0), [], [], kimg).first.startswith(
        "weights or losses differ between 0 and 0.032"
    )
    assert compare(record, traced(record, 12), [], [], kimg).first == (
        "weights or losses differ between 0.384 and 0.416 kimg (window 13)"
    )


def test_equal_scores_of_other_weights_are_not_identical_bits(done) -> None:
    record, kimg = done
    other = replace(record, bits=replace(record.bits, weights="0" * 16))
    found = compare(record, other, ELSEWHERE, seeds(record, *ROW), kimg)
    assert (found.verdict, found.first) == ("other bits, within seed noise", "the final weights differ")
    assert largest_difference(record, other) == ("", 0.0)


def test_other_samples_of_the_same_weights_are_told(done) -> None:
    record, kimg = done
    other = replace(record, bits=replace(record.bits, samples=("0" * 16,)))
    first = compare(record, other, [], [], kimg).first
    assert first == "the weights are the same, but the samples of evaluation draw 0 differ"


def test_another_end_is_different_even_if_other_seeds_failed_as_well(done) -> None:
    record, kimg = done
    diverged = replace(record, **DIVERGED)
    ends = "then ok (to the end of the budget), now diverged (d_loss is not finite at iteration 3)"
    found = compare(record, diverged, ELSEWHERE, seeds(record, *ROW), kimg)
    assert (found.verdict, found.why) == ("different", (ends,))
    others = [*seeds(record, *ROW), replace(diverged, seed=5)]
    found = compare(record, diverged, ELSEWHERE, others, kimg)
    assert (found.verdict, found.why) == ("different", (ends, "1 of 5 other seeds of this row failed as well"))


def test_a_failure_elsewhere_is_the_same_outcome_at_another_iteration(done) -> None:
    record, kimg = done
    diverged = replace(record, **DIVERGED)
    later = replace(diverged, reason="d_loss is not finite at iteration 4")
    assert compare(diverged, diverged, [], [], kimg).verdict == "identical bits"
    assert compare(diverged, later, [], [], kimg).verdict == "different"
    assert compare(diverged, later, EDITED, [], kimg).verdict == "different"
    found = compare(diverged, later, ELSEWHERE, [], kimg)
    assert found.verdict == "other bits, within seed noise"
    assert found.why == (
        "both ended alike: then diverged (d_loss is not finite at iteration 3), "
        "now diverged (d_loss is not finite at iteration 4)",
    )


def test_a_run_that_timed_out_a_window_later_has_the_same_bits(done) -> None:
    record, kimg = done
    bits = replace(record.bits, trace=" ".join(record.bits.trace.split()[:5]))
    then = replace(record, **DIVERGED | {"status": "timeout", "reason": "61 s of training"}, bits=bits)
    now = replace(then, reason="62 s of training", bits=record.bits)
    assert compare(then, now, [], [], kimg).verdict == "identical bits"
    assert compare(then, traced(now, 2), [], [], kimg).verdict == "different"


def test_every_condition_that_is_not_as_it_was_is_told(done) -> None:
    record, _ = done
    assert conditions(record, record) == []
    elsewhere = replace(
        record,
        environment=replace(record.environment, torch="1.0", threads=64, ganbench="0.0", core="ast1:other"),
        loss=replace(record.loss, source="edited"),
        dataset_hash="other",
    )
    found = {change.what: change.source for change in conditions(record, elsewhere)}
    assert found == {
        "torch": False, "threads": False, "ganbench": False, "core": False, "loss hinge": True, "dataset hash": True,
    }  # fmt: skip
    assert "torch: 1.0 then" in conditions(elsewhere, record)[0].sentence


def test_other_code_is_told_of_data_that_have_moved(done) -> None:
    record, _ = done
    part = replace(record.parts["dataset"], name="digits:elsewhere")
    assert conditions(record, replace(record, parts=record.parts | {"dataset": part})) == []
    edited = replace(record, parts=record.parts | {"dataset": replace(part, source="edited")})
    assert [change.what for change in conditions(record, edited)] == ["dataset digits"]


def test_two_metrics_of_one_name_are_each_compared_with_their_own(done) -> None:
    record, _ = done
    pair = {
        name: Component("level", name, "1.0", source) for name, source in {"one": "ast1:1", "two": "ast1:2"}.items()
    }
    both = replace(record, metrics=record.metrics | pair)
    assert conditions(both, both) == []
    for name, metric in pair.items():
        edited = replace(both, metrics=both.metrics | {name: replace(metric, source="ast1:3")})
        assert [change.what for change in conditions(both, edited)] == ["metric level"]


def test_a_new_version_of_the_same_source_is_no_change_but_a_new_revision_is(done) -> None:
    record, _ = done
    assert conditions(record, replace(record, loss=replace(record.loss, version="9.0"))) == []
    metrics = {**record.metrics, "fid": replace(record.metrics["fid"], revision=9)}
    (change,) = conditions(record, replace(record, metrics=metrics))
    assert (change.what, change.source) == ("metric fid", True)
    assert change.sentence.endswith("then, revision 9 now")


def test_sources_hashed_another_way_are_neither_ruled_out_nor_called_changed(done) -> None:
    record, _ = done
    core = replace(record.environment, core="0" * 12)
    old = replace(record, format=2, loss=replace(record.loss, source="0" * 12), environment=core)
    (change,) = conditions(old, record)
    assert not change.source
    assert change.sentence == "code: its hash was computed differently then, so changes cannot be detected"
    metrics = {**record.metrics, "fid": replace(record.metrics["fid"], revision=9)}
    assert [(change.what, change.source) for change in conditions(old, replace(record, metrics=metrics))] == [
        ("code", False), ("metric fid", True),
    ]  # fmt: skip


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


# -- other seeds -----------------------------------------------------------------------------------------------------


def stored(folder: Path, records: list[Record]) -> Path:
    """Records in folders of runs; the first one's file."""
    for record in records:
        write(record, folder / f"seed{record.seed}/record.json")
    return folder / f"seed{records[0].seed}/record.json"


def test_other_seeds_are_those_of_the_same_row_under_the_same_rules(tmp_path) -> None:
    row = toy.seeds("mlp+hinge", 0.5, n=4)
    strangers = [
        toy.make("mlp+hinge", 4, digest="other"),
        toy.make("mlp+lsgan", 5),
        toy.make("mlp+hinge", 6, dataset_hash="other"),
        toy.make("mlp+hinge", 7, status="interrupted"),
        toy.make("mlp+hinge", 8, changes={"lr": "1"}),
    ]
    file = stored(tmp_path, [*row, toy.diverged("mlp+hinge", 9), *strangers])
    assert [record.seed for record in other_seeds(file, row[0])] == [1, 2, 3, 9]


def test_other_seeds_are_found_in_the_folder_of_a_file_and_for_yardsticks(tmp_path) -> None:
    for record in [*toy.yardstick("noise", 0.1), *toy.yardstick("real data", 0.9)]:
        write(record, tmp_path / record.file_name)
    (tmp_path / "other.json").write_text("[1]")
    record = toy.yardstick("noise", 0.1)[2]
    found = other_seeds(tmp_path / record.file_name, record)
    assert [(other.seed, other.yardstick) for other in found] == [(seed, "noise") for seed in (0, 1, 3, 4)]


def test_published_seeds_help_out_where_a_record_stands_alone(tmp_path, monkeypatch) -> None:
    published = tmp_path / "leaderboards/toy-v1/records"
    row = toy.seeds("mlp+hinge", 0.5)
    for record in row:
        write(record, published / record.file_name)
    monkeypatch.chdir(tmp_path)
    alone = stored(tmp_path / "runs", [row[0], toy.diverged("mlp+hinge", 3)])
    assert [record.seed for record in other_seeds(alone, row[0])] == [1, 2, 3, 4]
    near = stored(tmp_path / "more", [row[0], *toy.seeds("mlp+hinge", 0.6)[1:3]])
    assert [record.scores["hq_fraction"] > 0.29 for record in other_seeds(near, row[0])] == [True, True]


# -- through the command line ----------------------------------------------------------------------------------------


def test_the_command_runs_a_record_again_and_finds_the_same_bits(ganbench_command, runs) -> None:
    again = ganbench_command("reproduce", runs / "mlp+hinge/seed0")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "identical bits" in again.stdout
    assert "changed:" not in again.stdout


def test_the_command_scores_a_yardstick_again(ganbench_command, runs) -> None:
    assert "identical bits" in ganbench_command("reproduce", runs / "noise/seed0", "-q").stdout


def test_the_command_names_a_score_that_was_forged(ganbench_command, runs, tmp_path) -> None:
    folder = runs / "mlp+hinge/seed0"
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


def elsewhere(record: Record, **changed) -> Record:
    """The record, as if it had been made on another machine."""
    where = replace(record.environment, device="Another CPU")
    return replace(record, environment=where, bits=replace(record.bits, samples=("0" * 16,)), **changed)


def test_a_yardstick_is_repeated_like_a_run(ganbench_here, runs) -> None:
    again = ganbench_here("reproduce", runs / "noise/seed0")
    assert again.returncode == 0, again.stdout + again.stderr
    first, last = again.stdout.splitlines()
    assert first.endswith(": 1 yardstick on digits")
    assert last == "noise, seed 0: identical bits"


@pytest.fixture
def yardstick_record(runs) -> Record:
    return read(runs / "noise/seed0/record.json")


def test_other_bits_of_another_machine_are_judged_by_the_seeds_beside_the_record(
    ganbench_here, yardstick_record, tmp_path
) -> None:
    record = yardstick_record
    (kid,) = (name for name in record.scores if name.startswith("kid@"))
    file = stored(tmp_path / "row", [elsewhere(without(scaled(record, 1.01), kid)), *seeds(record, *ROW)])
    found = ganbench_here("reproduce", file, "-q")
    assert found.returncode == 0, found.stdout + found.stderr
    changed, verdict, _, largest, alone = found.stdout.splitlines()
    assert changed.startswith("changed: device: Another CPU then")
    assert verdict == "noise, seed 0: other bits, within seed noise"
    name = largest.removeprefix("  largest difference: ").partition(",")[0]
    a, b = record.scores[name] * 1.01, record.scores[name]
    assert largest.endswith(f"{name}, {a:.6g} then, {b:.6g} now (p = 1 by 4 other seeds, Holm over 10 scores)")
    assert alone == f"  only the repetition has {kid}"


def test_scores_beyond_the_noise_of_the_seeds_are_different_on_any_machine(
    ganbench_here, yardstick_record, tmp_path
) -> None:
    record = yardstick_record
    (fid,) = (name for name in record.scores if name.startswith("fid@"))
    file = stored(tmp_path / "row", [elsewhere(scaled(record, 9)), *seeds(record, *ROW)])
    found = ganbench_here("reproduce", file, "-q")
    assert (found.returncode, found.stdout.splitlines()[1]) == (1, "noise, seed 0: different")
    assert f"  beyond seed noise: {fid}, {record.scores[fid] * 9:.6g} then" in found.stdout


def test_other_weights_with_the_same_scores_are_said_to_be_just_that(ganbench_here, runs, tmp_path) -> None:
    record = read(runs / "noise/seed0/record.json")
    file = stored(tmp_path / "row", [elsewhere(record), *seeds(record, *ROW)])
    found = ganbench_here("reproduce", file, "-q")
    assert found.returncode == 0
    assert found.stdout.splitlines()[1:] == [
        "noise, seed 0: other bits, within seed noise",
        "  the samples of evaluation draw 0 differ",
        "  no score that has a direction differs",
    ]


def test_a_record_that_stands_alone_is_not_judged_by_noise(ganbench_here, runs, tmp_path) -> None:
    record = read(runs / "noise/seed0/record.json")
    file = stored(tmp_path / "alone", [elsewhere(scaled(record, 1.01))])
    found = ganbench_here("reproduce", file, "-q")
    assert found.returncode == 1
    assert "noise, seed 0: other bits, and too few other seeds to judge them by" in found.stdout
    assert "there is no other seed of this row" in found.stdout
    assert "now (0.0099 relative)" in found.stdout


def test_a_record_without_fingerprints_says_that_only_scores_could_be_compared(ganbench_here, runs, tmp_path) -> None:
    record = read(runs / "noise/seed0/record.json")
    facts = msgspec.to_builtins(replace(record, bits=Fingerprints()))
    (tmp_path / "record.json").write_bytes(as_text(sealed(facts)))
    found = ganbench_here("reproduce", tmp_path / "record.json", "-q")
    assert found.returncode == 0
    assert "noise, seed 0: identical in everything recorded" in found.stdout
    assert "the record holds no fingerprints, so only scores could be compared" in found.stdout


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
