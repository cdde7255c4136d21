"""Score one draw of a yardstick in the same way as a run."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import torch

from ganbench.contracts.data import Split
from ganbench.contracts.executor import YardstickJob
from ganbench.device.untouched import preserved_rng
from ganbench.errors import Doubt, listed, plural
from ganbench.evaluation.judge import Verdict, metric_of_column
from ganbench.evaluation.yardsticks import draw
from ganbench.records.record import Cost, Fingerprints, YardstickRecord
from ganbench.records.store import write
from ganbench.report import pictures
from ganbench.runs.judging import Judgement, hash_of_samples
from ganbench.runs.recording import now, protocol_fields
from ganbench.runs.setup import Bench, naming_row


def _fewer(name: str, real: Split, bench: Bench) -> tuple[str, ...]:
    """A sentence if there are too few data to score the floor on as many samples as the rows."""
    n = len(bench.judge.reference)
    if len(real) == n:
        return ()
    return (
        f"{name}: scored on {plural(len(real), 'sample')}, but rows on {n}, because there are no more; the "
        "floor is therefore too high",
    )


def _say_absent(verdict: Verdict, bench: Bench) -> None:
    """Warn about scores that real data do not have, since rows are unlikely to have them either.

    Scores that need a translation back, or labels where there are none, are exempt.
    """
    lacking: dict[tuple[str, str], list[str]] = {}
    for column, reason in verdict.absent.items():
        lacking.setdefault((metric_of_column(bench.judge.metrics, column), reason), []).append(column)
    for (name, reason), columns in lacking.items():
        metric, unlabelled = bench.judge.metrics[name], bench.dataset.train.labels is None
        needs = getattr(metric, "needs", ())
        if "back" in needs or ("labels" in needs and unlabelled):
            continue  # reported for the rows
        what = "score" if len(columns) == len(metric.columns) else listed(columns)
        warnings.warn(Doubt(f"the metric '{name}' has no {what} for real data: {reason}"), stacklevel=2)


def judge_yardstick(job: YardstickJob, bench: Bench) -> YardstickRecord:
    """Score samples made without training, with the same code as runs, and store the result as a record."""
    protocol = job.protocol
    started, began = now(), time.perf_counter()
    seed = protocol.seed(job.seed, f"yardstick-{job.yardstick}")
    with preserved_rng(bench.device):
        name, real, fakes, remake = draw(
            job.yardstick, bench.dataset, bench.judge.reference, protocol.evaluation.reference, seed
        )
        others = None if real is bench.judge.reference else real
        with naming_row(f"the yardstick '{name}'"):
            verdict = bench.judge.score(fakes, seed, real=others, remake=remake)
        if name == "real data":
            _say_absent(verdict, bench)
        checks = bench.self_check(fakes, real)
    judgement = Judgement((verdict,), (hash_of_samples(fakes.x),), checks=checks)
    folder = Path(job.folder)
    shown = fakes[torch.arange(min(pictures.how_many(bench.dataset.spec), len(fakes)))]
    pictures.save_samples(shown, bench.dataset.spec, folder / "samples" / "samples", real)
    record = YardstickRecord(
        **protocol_fields(bench, job, (*judgement.doubts, *_fewer(name, real, bench))),
        status="ok",
        yardstick=name,
        **judgement.fields(),
        bits=Fingerprints(samples=judgement.samples),
        self_checks=checks,
        cost=Cost(judge_seconds=round(time.perf_counter() - began, 3)),
        started=started,
    )
    write(record, folder / "record.json")
    return record
