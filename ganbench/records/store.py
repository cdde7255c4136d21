"""Records on disk: sealed when written, checked when read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec

from ganbench.contracts.score_name import ScoreName
from ganbench.errors import RecordError
from ganbench.records.files import write_atomically
from ganbench.records.record import (
    FORMATS,
    Column,
    Company,
    ExternalRecord,
    Look,
    Record,
    RecordBase,
    Speed,
    TrainingRecord,
    YardstickRecord,
)
from ganbench.records.sealing import as_text, lacking, read_sealed, refuse_unreadable, sealed

LARGEST = 1e70
"""Tables compute fourth powers of scores. No score of samples that can be stored comes close."""
ROUNDING = 1e-6
"""By how much a score may lie outside its range."""
_FIELDS = (
    "format", "status", "reason", "protocol", "digest", "seed", "arch", "loss", "tricks", "yardstick", "external",
    "changes", "recipe", "recipe_from", "d_norm", "parameters", "headline", "scores", "draws", "columns", "absent",
    "doubts", "dataset", "dataset_hash", "class_names", "origin", "extractor", "metrics", "parts", "bits", "best",
    "curve", "self_checks", "speed", "company", "cost", "environment", "started",
)  # fmt: skip
"""The fields of a file in order, the same for every kind of record."""
_ABSENT: Mapping[str, Any] = {
    "arch": None, "loss": None, "tricks": [], "yardstick": "", "external": None, "changes": {}, "recipe": {},
    "recipe_from": {}, "d_norm": "", "parameters": {}, "best": None, "curve": [], "speed": msgspec.to_builtins(Speed()),
    "company": msgspec.to_builtins(Company()),
}  # fmt: skip
"""The values in a file of fields that only other kinds of records have."""


def write(record: Record, path: Path) -> None:
    """Store a record as indented JSON, sealed with a hash of its content, so that one changed by hand is rejected.

    Raises:
        RecordError: provenance is missing, or the file cannot be written.
    """
    facts = facts_of(record)
    _check_provenance(record, facts)
    write_atomically(path, as_text(sealed(facts)))


def facts_of(record: RecordBase) -> dict[str, Any]:
    """The plain values of a record's file, without the seal."""
    facts = _ABSENT | msgspec.to_builtins(record)
    return {name: facts[name] for name in _FIELDS}


def _kind_of(facts: Mapping[str, Any]) -> type[Record]:
    """The type of a record, from its file's values."""
    if facts.get("external") is not None:
        return ExternalRecord
    return TrainingRecord if facts.get("yardstick", "") == "" else YardstickRecord


def read(path: Path) -> Record:
    """Load a record. Older formats that have a seal load too; fields that they lack keep their defaults.

    Raises:
        RecordError: the file cannot be read, is not a record, was changed since it was written, or is of a format
            without a seal or of a newer GANBench.
    """
    record = read_sealed(path, _kind_of, FORMATS, "record", "run again")
    _check_range(record, path)
    _check_means(record, path)
    return record


def _check_range(record: Record, path: Path) -> None:
    """Reject numbers that no evaluation gives and that no table can be computed from."""
    checks, sets, looks = record.self_checks, [record.scores, *record.draws], tuple[Look, ...]()
    if isinstance(record, TrainingRecord):
        sets += [record.best.scores, *record.best.draws] if record.best else []
        looks = record.curve
    scores = [*(score for scores in sets for score in scores.values()), *(look.score for look in looks)]
    if any(abs(score) > LARGEST for score in scores):
        raise RecordError(f"{path} is not a readable record: a score is beyond {LARGEST:g}", "delete it and run again")
    if outside := next(
        (name for name, score in record.scores.items() if not _fits(record.columns.get(name), score)), ""
    ):
        raise RecordError(f"{path} is not a readable record: {outside} is out of its range", "delete it and run again")
    if record.status == "ok" and not (record.draws and checks):
        raise RecordError(f"{path} is not a readable record: it was never judged", "delete it and run again")
    if checks and min(checks.fake, checks.real) < 1:
        raise RecordError(f"{path} is not a readable record: it was judged on no samples", "delete it and run again")


def _fits(column: Column | None, score: float) -> bool:
    """Whether a score is one that its column can take, rounding aside."""
    low, high = (column.low, column.high) if column else (None, None)
    return (low is None or score >= low - ROUNDING) and (high is None or score <= high + ROUNDING)


def _check_means(record: Record, path: Path) -> None:
    """Reject scores that are not the means of their draws."""
    for name, score in record.scores.items():
        draws = [draw.get(name, math.nan) for draw in record.draws]
        if draws and not math.isclose(score, fmean(draws), rel_tol=1e-9, abs_tol=1e-12):
            raise RecordError(f"{path} was changed: {name} is not the mean of its draws", "restore the file")


def _check_provenance(record: Record, facts: Mapping[str, Any]) -> None:
    """Refuse a score without provenance: a record that does not say where it comes from is not written.

    The types of its fields cover most of this; they are checked when ``facts`` are read, but not on construction.
    """
    trained = isinstance(record, TrainingRecord)
    refuse_unreadable(facts, type(record), "record")
    needed: dict[str, object] = {
        "plugin of the dataset": "dataset" in record.parts,
        "metrics": record.metrics or not record.scores,
        "extractor": record.extractor or not any(ScoreName.of(name).extractor for name in record.scores),
    }
    if record.status == "ok":
        needed |= {
            "scores": (record.scores or record.absent) and all(map(math.isfinite, record.scores.values())),
            "evaluation draws": record.draws and set(record.columns) == set(record.scores),
            "self-checks": record.self_checks,
            "fingerprints": record.bits.samples and (record.bits.weights or not trained),
            "cost": record.cost.images or not trained,
        }
    if missing := next((name for name, there in needed.items() if not there), ""):
        raise lacking(missing, "record")


def read_all(paths: Iterable[Path]) -> tuple[list[Record], list[RecordError]]:
    """Every record that can be read, and an error for each that cannot."""
    records, errors = [], []
    for path in sorted(paths):
        try:
            records.append(read(path))
        except RecordError as error:
            errors.append(error)
    return records, errors
