"""Whether a run's record is still valid, so that nothing is done twice."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ganbench import plugins
from ganbench.contracts.executor import Job
from ganbench.errors import RecordError
from ganbench.records.record import FINISHED, FORMAT, Record
from ganbench.records.store import read
from ganbench.runs.recording import protocol_fields
from ganbench.runs.setup import Bench


def still_good(job: Job, bench: Bench) -> Record | None:
    """The record of an earlier run, if it has the same rules, code, data and judge. Code hashes of an older format do
    not compare, so such a record stands as a result of its version."""
    with suppress(RecordError):
        record = read(job.record_file) if job.record_file.exists() else None
        if record and record.status in FINISHED:
            then, now = _basis(record), _basis_now(job, bench, named=bool(record.class_names))
            if then == now or (record.format < FORMAT and then[:-1] == now[:-1]):
                return record
    return None


def changed_data(job: Job, bench: Bench) -> str:
    """What a finished record was made of and is not the same any more, in one sentence; else empty. Planning has said
    what else has changed."""
    with suppress(RecordError):
        record = read(job.record_file) if job.record_file.exists() else None
        if record is None or record.status not in FINISHED or record.digest != job.digest:
            return ""
        then, now = record.dataset_hash, bench.dataset.fingerprint
        if then != now:
            return f"the data {job.protocol.dataset} have changed since the last run ({then}, now {now})"
        if record.class_names and record.class_names != bench.dataset.class_names:
            names = (", ".join(names) or "none" for names in (record.class_names, bench.dataset.class_names))
            return f"the classes of {job.protocol.dataset} have changed since the last run ({', now '.join(names)})"
    return ""


def _basis(record: Record) -> list[Any]:
    """What a finished record must share with a job that need not be done again; the code comes last."""
    parts = [record.arch, record.loss, *record.tricks, *record.metrics.values(), *record.parts.values()]
    sources = [part.source for part in parts if part]
    return [record.digest, record.changes, record.dataset_hash, record.class_names, record.extractor, sources]


def _basis_now(job: Job, bench: Bench, *, named: bool) -> list[Any]:
    """The same facts about the job, as of now; the names of classes only if ``named``, as older records lack them."""
    facts = protocol_fields(bench, job)
    sources, names = [*sources_now(job, bench).values()], facts["class_names"] if named else ()
    return [job.digest, job.changes, facts["dataset_hash"], names, facts["extractor"], sources]


def sources_now(job: Job, bench: Bench) -> dict[tuple[str, str], str]:
    """(kind, name) of every plugin that a job uses -> the hash of its code."""
    named = [plugins.find("arch", job.arch), plugins.find("loss", job.loss)] if not job.yardstick else []
    named += [plugins.find("trick", trick) for trick in job.tricks]
    return {
        **{(source.kind, source.label): source.source_hash for source in named},
        **{("metric", name): part.source for name, part in bench.components.items()},
        **{(kind, part.name): part.source for kind, part in bench.parts.items()},
    }


def is_finished(record_file: Path) -> bool:
    with suppress(RecordError):
        return record_file.exists() and read(record_file).status in FINISHED
    return False
