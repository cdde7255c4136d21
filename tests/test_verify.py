"""Verifying submitted records: the checks, the code, and one run that is repeated."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import toy
from msgspec.structs import replace
from running import carry_out, plan_of

from ganbench import plugins
from ganbench.contracts.executor import TrainingJob
from ganbench.contracts.protocol_file import to_toml
from ganbench.plugins.protocols import load_protocol
from ganbench.records.record import Component, External, ExternalRecord, Record
from ganbench.records.store import read, write
from ganbench.runs.checks import Check, check_code


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with a run of mlp+hinge and a yardstick, under smoke-v1."""
    out = tmp_path_factory.mktemp("runs")
    for job in plan_of(out).jobs:
        if isinstance(job, TrainingJob) or job.yardstick == "noise":
            carry_out(job)
    return out / "smoke-v1"


@pytest.fixture
def done(runs) -> Record:
    return read(runs / "noise/seed0/record.json")


def of_code(record: Record, what: str) -> Check:
    return next(check for check in check_code(Path("record.json"), record) if f" {what} " in check.what)


def test_a_run_passes_every_check_and_its_repetition_has_the_same_bits(ganbench_command, runs) -> None:
    found = ganbench_command("verify", runs / "mlp+hinge")
    assert found.returncode == 0, found.stdout + found.stderr
    lines = found.stdout.splitlines()
    assert sum(line.startswith("  ok ") for line in lines) == 5 + 2 + 6 + 2
    assert "refused" not in found.stdout
    assert lines[-2] == "mlp+hinge, seed 0: identical bits"
    assert lines[-1] == f"verified: {runs / 'mlp+hinge/seed0/record.json'}"


def test_a_forged_score_passes_the_checks_but_not_the_repetition(ganbench_here, done, runs, tmp_path) -> None:
    first = next(name for name, column in done.columns.items() if column.goal == "min")
    forged = replace(
        done,
        scores=done.scores | {first: done.scores[first] / 2},
        draws=[draw | {first: draw[first] / 2} for draw in done.draws],
    )
    write(forged, tmp_path / "smoke-v1/noise/seed0/record.json")
    assert ganbench_here("verify", "smoke-v1", "--checks-only").returncode == 0
    found = ganbench_here("verify", "smoke-v1", "-q")
    assert found.returncode == 1
    assert "noise, seed 0: different" in found.stdout
    assert found.stdout.splitlines()[-1] == "not verified: smoke-v1/noise/seed0/record.json"


def test_nothing_is_repeated_if_any_record_is_refused(ganbench_here, runs, tmp_path) -> None:
    shutil.copytree(runs, tmp_path / "all/smoke-v1")
    file = tmp_path / "all/smoke-v1/noise/seed0/record.json"
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 3'))
    found = ganbench_here("verify", "all")
    assert found.returncode == 1
    assert found.stdout.splitlines() == [
        "  refused  all/smoke-v1/noise/seed0/record.json was changed after it was written: its seal does not match",
        "           restore the file, or run again",
        "refused: 1 of 2 records, so no run was repeated",
    ]


def test_checks_only_repeats_nothing(ganbench_here, runs, monkeypatch) -> None:
    monkeypatch.setattr("ganbench.runs.executors.local.LocalExecutor.run", None)
    found = ganbench_here("verify", runs, "--checks-only")
    assert (found.returncode, found.stdout) == (0, "passed: 2 records, no run repeated\n")


def test_the_lowest_seed_of_the_first_row_is_repeated(done, tmp_path) -> None:
    from ganbench.cli.verify import _chosen
    from ganbench.runs.checks import Checked

    row = [Checked(Path(f"seed{seed}"), toy.make(seed=seed), ()) for seed in (3, 1, 2)]
    external = ExternalRecord(**toy.judged(0, 0.5), external=External(name="x", read="10 images", given=10))
    others = [Checked(Path("other"), toy.make("mlp+hinge"), ())]
    assert _chosen([Checked(Path("external"), external, ()), *row, *others])[0] == Path("seed1")


def test_code_that_was_edited_is_refused(done) -> None:
    metrics = done.metrics | {"fid": replace(done.metrics["fid"], source="ast1:other")}
    assert "fid was edited" in of_code(replace(done, metrics=metrics), "fid").error.message
    assert of_code(done, "fid").error is None


def test_other_code_of_another_version_is_refused_with_the_version_to_install(done) -> None:
    metrics = done.metrics | {"fid": replace(done.metrics["fid"], source="ast1:other", version="0.0.1")}
    found = of_code(replace(done, metrics=metrics), "fid")
    assert "that of ganbench 0.0.1" in found.error.message
    assert found.error.hint == "pip install ganbench==0.0.1"


def test_the_same_code_of_another_version_passes(done) -> None:
    metrics = done.metrics | {"fid": replace(done.metrics["fid"], version="0.0.1")}
    assert of_code(replace(done, metrics=metrics), "fid") == Check("the code of the metric fid (ganbench 0.0.1)")


def test_a_component_that_is_not_installed_is_refused(done) -> None:
    parts = done.parts | {"dataset": Component("photos", "elsewhere", "2.0", "ast1:1")}
    found = of_code(replace(done, parts=parts), "photos")
    assert "needs the dataset 'photos' of elsewhere, which is not installed" in found.error.message
    assert found.error.hint == "pip install elsewhere==2.0"


def test_code_that_was_hashed_differently_is_unknown_and_not_refused(done) -> None:
    metrics = done.metrics | {"fid": replace(done.metrics["fid"], source="0123456789ab")}
    found = of_code(replace(done, metrics=metrics), "fid")
    assert (found.error, found.note) == (None, "its hash was computed differently then")


def test_samples_from_elsewhere_can_be_checked_but_not_repeated(ganbench_here, done, tmp_path) -> None:
    facts = {name: getattr(done, name) for name in toy.judged(0, 0.5)}
    external = External(name="mine", read="10 images", given=10)
    write(ExternalRecord(**facts, external=external), tmp_path / "record.json")
    assert ganbench_here("verify", "record.json", "--checks-only").returncode == 0
    found = ganbench_here("verify", "record.json", "-q")
    assert found.returncode == 2
    assert "the samples of 'mine' were made elsewhere" in found.stderr


def test_rules_from_a_file_are_used(ganbench_here, done, tmp_path) -> None:
    rules = replace(load_protocol("smoke-v1"), name="mine-v1")
    (tmp_path / "mine.toml").write_text(to_toml(rules))
    write(replace(done, protocol="mine-v1", digest=rules.digest), tmp_path / "record.json")
    assert ganbench_here("verify", "record.json", "--checks-only", "--protocol", "mine.toml").returncode == 0
    found = ganbench_here("verify", "record.json", "--checks-only")
    assert found.returncode == 1
    assert "the protocol 'mine-v1', which is not installed" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "nowhere does not exist"),
        ((".", "--device", "gpu"), "there is no device 'gpu'"),
        ((".", "--protocol", "nope"), "no protocol called 'nope'"),
    ],
)
def test_what_cannot_be_verified_is_one_sentence(arguments, said, ganbench_here) -> None:
    found = ganbench_here("verify", *arguments)
    assert (found.returncode, found.stdout) == (2, "")
    assert said in found.stderr


def test_every_published_record_of_the_installed_version_passes(ganbench_here) -> None:
    folder = Path(__file__).parents[1] / "leaderboards/ring-v2"
    assert any(source.name == "ring-v2" for source in plugins.of_kind("protocol"))
    found = ganbench_here("verify", folder, "--checks-only")
    assert found.returncode == 0, found.stdout
