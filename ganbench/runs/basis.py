"""Whether a record is still of the same rules, code, data and judge as a job. No torch: planning asks, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ganbench import plugins
from ganbench.contracts.executor import Job, TrainingJob
from ganbench.plugins.source import Source
from ganbench.records.record import STATED, Plugin, Record, TrainingRecord


class Basis(NamedTuple):
    """What a finished record must share with a job that need not be done again.

    None is unknown, and differs from nothing. ``code`` holds the hash of each plugin's source.
    """

    digest: str
    changes: Mapping[str, str]
    code: Mapping[Plugin, str] | None
    extractor: str | None = None
    dataset_hash: str | None = None
    class_names: tuple[str, ...] | None = None

    def changed(self, now: Basis) -> set[str]:
        """The fields in which both are known and differ."""
        pairs = zip(self._fields, self, now, strict=True)
        return {name for name, a, b in pairs if a is not None and b is not None and a != b}

    def edited(self, now: Basis) -> list[Plugin]:
        """The plugins of ``now`` whose code is another one."""
        if self.code is None or now.code is None:
            return []
        return [plugin for plugin, source in now.code.items() if self.code.get(plugin) != source]


def basis_of(record: Record) -> Basis:
    """What a record was made of. Hashes of code in an older format do not compare; older records name no classes."""
    changes = record.changes if isinstance(record, TrainingRecord) else {}
    code = {role.plugin: role.component.source for role in record.components}
    known = code if record.format >= STATED else None
    return Basis(record.digest, changes, known, record.extractor, record.dataset_hash, record.class_names or None)


def basis_now(job: Job) -> Basis:
    """What planning knows: the rules and the code."""
    changes = job.changes if isinstance(job, TrainingJob) else {}
    return Basis(job.digest, changes, code_of(job))


def code_of(job: Job) -> dict[Plugin, str]:
    """Every plugin that a job uses -> the hash of its source."""
    return {Plugin(source.kind, source.name): source.source_hash for source in plugins_of(job)}


def plugins_of(job: Job) -> Iterator[Source]:
    """Every plugin that a job uses: players, metrics, dataset, extractor."""
    rules = job.protocol
    yield from (plugins.find(kind, text) for kind, text in job.players)
    yield from (plugins.find_for(rules.name, "metric", name) for name in rules.evaluation.metrics)
    yield plugins.find_for(rules.name, "dataset", rules.dataset)
    if rules.evaluation.extractor:
        yield plugins.find_for(rules.name, "extractor", rules.evaluation.extractor)
