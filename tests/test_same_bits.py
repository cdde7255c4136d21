"""The thirty jobs that prove a move of code name every component, and their comparison finds what differs."""

from __future__ import annotations

from copy import deepcopy
from importlib.metadata import distribution
from typing import Any

import pytest
from moves.jobs import JOBS, RULES, Job
from moves.same_bits import compare, numbers_in
from standard_files import SETS

KINDS = ("arch", "loss", "trick", "dataset", "extractor", "metric")
JOB = Job("digits", "dcgan", "hinge")
FID = "fid@digits-cnn:71dcae19"
RECORD: dict[str, Any] = {
    "status": "ok",
    "reason": "",
    "digest": "93b076071651",
    "dataset_hash": "a94590fdfad33dd4",
    "extractor": "digits-cnn:71dcae19",
    "arch": {"name": "dcgan", "version": "0.1.0", "source": "0529d0f7e737"},
    "bits": {"weights": "b4c8dfc346bf0575", "samples": ["2ded62cc706ecf25"], "trace": "dc53d537 fcf64504"},
    "draws": [{FID: 0.79}, {FID: 0.81}],
    "scores": {FID: 0.8},
    "curve": [{"kimg": 0.1, "seconds": 1.5, "score": 2.6}, {"kimg": 0.2, "seconds": 3.1, "score": 2.4}],
    "self_checks": {"real": 100, "fake": 100, "floor": {FID: 0.1}, "failed": []},
    "environment": {"core": "8e1f", "commit": "d55b64d"},
}


def changed(*path: str | int, to: object) -> dict[str, Any]:
    """The record with another value at one place."""
    record = deepcopy(RECORD)
    inner: Any = record
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = to
    return record


def records(run: dict[str, Any] = RECORD, **yardsticks: dict[str, Any]) -> dict[str, Any]:
    """Of a job: the run's, and those of the yardsticks of its protocol."""
    return {"run": run, **dict.fromkeys(RULES[JOB.rules].yardsticks, RECORD), **yardsticks}


def test_there_are_thirty_jobs_of_thirty_names() -> None:
    assert len({job.name for job in JOBS}) == len(JOBS) == 30


def test_together_the_jobs_use_every_component_of_the_package() -> None:
    announced = {
        (kind, point.name)
        for point in distribution("ganbench").entry_points
        if (kind := point.group.removeprefix("ganbench.")) in KINDS
    }
    judges = {("extractor", name) for name in ("own", "emoji-cnn", "mnist-cnn", "inception-clean", "dinov2", "clip")}
    metrics = {("metric", name) for name in ("fid-infinity", "fid-splits", "vendi", "sliced-wasserstein", "ms-ssim")}
    metrics |= {("metric", name) for name in ("ndb", "memorisation", "cmmd")}
    later = judges | metrics | {("dataset", "points"), ("dataset", "emoji")}  # no earlier tree has them
    elsewhere = {"celeba", "ffhq", "hf", "imagenet", "lsun", "stacked-mnist", *SETS}  # need files of the user's
    unused = announced - set().union(*(job.components for job in JOBS))
    assert unused == later | {("dataset", name) for name in elsewhere}


def test_every_protocol_of_the_jobs_is_used() -> None:
    assert {job.rules for job in JOBS} == set(RULES)


def test_a_record_equals_itself() -> None:
    assert compare(JOB, records(), deepcopy(records())) == ""


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("bits", "weights"), "0000", "run: weights: 'b4c8dfc346bf0575' and '0000'"),
        (("bits", "samples", 0), "0000", "run: samples[0]: '2ded62cc706ecf25' and '0000'"),
        (("bits", "trace"), "dc53d537 0000", "run: trace[1]: 'fcf64504' and '0000'"),
        (("draws", 1, FID), 0.8100000000000002, f"run: draws[1] {FID}: 0.81 and 0.8100000000000002"),
        (("draws", 1), {}, f"run: draws[1] {FID}: 0.81 and None"),
        (("curve", 0, "score"), 2.5, "run: curve[0] score: 2.6 and 2.5"),
        (("curve",), RECORD["curve"][:1], "run: curve: 2 values and 1 values"),
        (("self_checks", "floor", FID), 0.2, f"run: self-checks floor {FID}: 0.1 and 0.2"),
        (("status",), "diverged", "run: ended as diverged instead of ok: "),
        (("digest",), "0000", "run: protocol digest: '93b076071651' and '0000'"),
    ],
)
def test_what_differs_is_named(path, value, told) -> None:
    assert compare(JOB, records(), records(changed(*path, to=value))) == told


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("arch", "source"), "ast1:0000"),
        (("environment", "core"), "0000"),
        (("curve", 0, "seconds"), 9.9),
    ],
)
def test_what_a_move_changes_by_design_is_not_compared(path, value) -> None:
    assert compare(JOB, records(), records(changed(*path, to=value))) == ""


def test_yardsticks_are_compared_too_and_have_to_be_there() -> None:
    other = records(noise=changed("bits", "samples", 0, to="0000"))
    assert compare(JOB, records(), other) == "noise: samples[0]: '2ded62cc706ecf25' and '0000'"
    del other["noise"]
    assert compare(JOB, records(), other) == "no record of noise"


def test_what_both_trees_fail_to_do_proves_nothing() -> None:
    assert compare(JOB, {}, {}).startswith("no record of run, real data")
    for path, value, told in (
        (("status",), "error", "run: ended as error instead of ok: "),
        (("bits",), {}, "run: a record without samples, trace, weights"),
        (("curve",), [], "run: a record without curve"),
    ):
        both = records(changed(*path, to=value))
        assert compare(JOB, both, both) == told


def test_of_a_sentence_its_numbers_count() -> None:
    assert numbers_in("d_loss is nan at iteration 3") == numbers_in("At step 3 the loss of D was not finite")
    assert numbers_in("a rate of 1e-4 at 0.25 kimg.") == ["1e-4", "0.25", "."]
    assert numbers_in("at iteration 3") != numbers_in("at iteration 4")
    assert numbers_in("all alike") != numbers_in("")
