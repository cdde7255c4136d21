"""Records on disk: sealed when written, checked when read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import msgspec

from ganbench.contracts.score_name import ScoreName
from ganbench.errors import RecordError
from ganbench.records.files import write_atomically
from ganbench.records.record import FORMATS, Column, Record
from ganbench.records.sealing import as_text, read_sealed, sealed

LARGEST = 1e70
"""Tables hold fourth powers of scores. No score of samples that can be stored comes near."""
ROUNDING = 1e-6
"""By how much a score may lie outside its range."""


def write(record: Record, path: Path) -> None:
    """Store a record as indented JSON, sealed with a hash of its content: a record changed by hand is not read.

    Raises:
        RecordError: provenance is missing, or the file cannot be written.
    """
    _check_provenance(record)
    write_atomically(path, as_text(sealed(msgspec.to_builtins(record))))


def read(path: Path) -> Record:
    """Load a record. Older formats that have a seal load too; fields that they lack keep their defaults.

    Raises:
        RecordError: the file cannot be read, is not a record, was changed since it was written, or is of a format
            without a seal or of a newer GANBench.
    """
    record = read_sealed(path, Record, FORMATS, "record", "run again")
    _check_range(record, path)
    _check_means(record, path)
    return record


def _check_range(record: Record, path: Path) -> None:
    """Numbers that no evaluation gives, and that no table can be computed from."""
    best, checks = record.best, record.self_checks
    sets = [record.scores, *record.draws, *([best.scores, *best.draws] if best else [])]
    scores = [score for scores in sets for score in scores.values()] + [look.score for look in record.curve]
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
    """Scores are the means of their draws, and nothing else."""
    for name, score in record.scores.items():
        draws = [draw.get(name, math.nan) for draw in record.draws]
        if draws and not math.isclose(score, fmean(draws), rel_tol=1e-9, abs_tol=1e-12):
            raise RecordError(f"{path} was changed: {name} is not the mean of its draws", "restore the file")


def _check_provenance(record: Record) -> None:
    """No score without provenance: a record that does not say where it comes from is not written."""
    env, trained = record.environment, not record.yardstick
    needed: dict[str, object] = {
        "protocol": record.protocol and record.digest,
        "headline": record.headline,
        "dataset hash": record.dataset and record.dataset_hash,
        "device": env.device and env.system and env.threads,
        "versions": env.ganbench and env.core and env.python and env.torch,
        "start": record.started,
        **{
            f"source of the {kind}": part.package and part.version and part.source
            for kind, part in record.parts.items()
        },
        **{f"source of the metric {name}": m.package and m.source for name, m in record.metrics.items()},
        "plugin of the dataset": "dataset" in record.parts,
        "metrics": record.metrics or not record.scores,
        "extractor": record.extractor or not any(ScoreName.of(name).extractor for name in record.scores),
    }
    if trained:
        needed |= {
            "arch": record.arch and record.arch.package and record.arch.version and record.arch.source,
            "loss": record.loss and record.loss.package and record.loss.version and record.loss.source,
            **{f"source of the trick {t.name}": t.package and t.version and t.source for t in record.tricks},
            "recipe": record.recipe and record.recipe_from,
            "normalisation and parameters of the networks": record.d_norm and record.parameters,
        }
    if record.status == "ok":
        needed |= {
            "scores": (record.scores or record.absent) and all(map(math.isfinite, record.scores.values())),
            "evaluation draws": record.draws and set(record.columns) == set(record.scores),
            "self-checks": record.self_checks,
            "fingerprints": record.bits.samples and (record.bits.weights or not trained),
            "cost": record.cost.images or not trained,
        }
    missing = [name for name, there in needed.items() if not there]
    if missing:
        raise RecordError(f"cannot write a record without {missing[0]}", "this is a bug in GANBench or a plugin")


def read_all(paths: Iterable[Path]) -> tuple[list[Record], list[RecordError]]:
    """Every record that can be read, and an error for each that cannot."""
    records, errors = [], []
    for path in sorted(paths):
        try:
            records.append(read(path))
        except RecordError as error:
            errors.append(error)
    return records, errors
