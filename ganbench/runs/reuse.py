"""Whether a run's record is still valid and the run need not be repeated."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ganbench.contracts.executor import Job
from ganbench.errors import RecordError
from ganbench.records.record import FINISHED, Record
from ganbench.records.store import read
from ganbench.runs.basis import Basis, basis_now, basis_of
from ganbench.runs.setup import Bench


def still_good(job: Job, bench: Bench) -> Record | None:
    """The record of an earlier run, if it has the same rules, code, data and judge.

    Code hashes of an older format are not comparable, so such a record stays valid as a result of its version.
    """
    record = _finished(job.record_file)
    return record if record and not any(basis_of(record).differences(_basis_on(bench, job))) else None


def changed_data(job: Job, bench: Bench) -> str:
    """A sentence on how the data have changed since a finished record; empty if they have not.

    Planning has already reported every other change.
    """
    record = _finished(job.record_file)
    if record is None or record.digest != job.digest:
        return ""
    then, now, since = basis_of(record), _basis_on(bench, job), "have changed since the last run"
    changed = then.differences(now)
    if changed.dataset_hash:
        return f"the data {job.protocol.dataset} {since} ({then.dataset_hash}, now {now.dataset_hash})"
    if changed.class_names:
        names = (", ".join(names or ()) or "none" for names in (then.class_names, now.class_names))
        return f"the classes of {job.protocol.dataset} {since} ({', now '.join(names)})"
    return ""


def _basis_on(bench: Bench, job: Job) -> Basis:
    """The job's basis once the data and the extractor are loaded."""
    data = bench.dataset
    return basis_now(job)._replace(
        extractor=bench.judge.tag, dataset_hash=data.fingerprint, class_names=data.class_names
    )


def _finished(record_file: Path) -> Record | None:
    """The record of a run that is over, if it can be read."""
    with suppress(RecordError):
        record = read(record_file) if record_file.exists() else None
        return record if record and record.status in FINISHED else None
    return None


def is_finished(record_file: Path) -> bool:
    """Whether there is a record of a run that is over."""
    return _finished(record_file) is not None
