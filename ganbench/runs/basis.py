"""Whether a record still has the rules, code, data and judge of a job. Planning uses this too, so without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ganbench import plugins
from ganbench.contracts.executor import Job, TrainingJob
from ganbench.plugins.source import Source
from ganbench.records.record import STATED, PluginName, Record, TrainingRecord

Code = Mapping[PluginName, tuple[str, ...]]
"""The hashes of the sources of that name, in the order of use: more than one if several packages provide it."""


class Differences(NamedTuple):
    """Which fields of two bases are known and differ; ``code`` names the plugins. ``any`` is true if one differs."""

    digest: bool
    changes: bool
    code: tuple[PluginName, ...]
    extractor: bool
    dataset_hash: bool
    class_names: bool


class Basis(NamedTuple):
    """What a finished record must share with a job for the job not to be repeated.

    None means unknown, and never differs.
    """

    digest: str
    changes: Mapping[str, str]
    code: Code | None
    extractor: str | None = None
    dataset_hash: str | None = None
    class_names: tuple[str, ...] | None = None

    def differences(self, now: Basis) -> Differences:
        """What has changed since."""
        return Differences(
            digest=self.digest != now.digest,
            changes=self.changes != now.changes,
            code=_edited(self.code, now.code),
            extractor=_differ(self.extractor, now.extractor),
            dataset_hash=_differ(self.dataset_hash, now.dataset_hash),
            class_names=_differ(self.class_names, now.class_names),
        )


def _differ(then: object, now: object) -> bool:
    return then is not None and now is not None and then != now


def _edited(then: Code | None, now: Code | None) -> tuple[PluginName, ...]:
    """The plugins whose code differs from the record's, or which only one side uses."""
    if then is None or now is None:
        return ()
    return tuple(name for name in {**now, **then} if then.get(name) != now.get(name))


def basis_of(record: Record) -> Basis:
    """What a record was made of. Code hashes of older formats are not comparable; older records name no classes."""
    changes = record.changes if isinstance(record, TrainingRecord) else {}
    code = _by_name((role.plugin, role.component.source) for role in record.components)
    known = code if record.format >= STATED else None
    return Basis(record.digest, changes, known, record.extractor, record.dataset_hash, record.class_names or None)


def basis_now(job: Job) -> Basis:
    """What planning knows: the rules and the code."""
    changes = job.changes if isinstance(job, TrainingJob) else {}
    return Basis(job.digest, changes, code_of(job))


def code_of(job: Job) -> Code:
    """The code of every plugin that a job uses."""
    return _by_name((PluginName(source.kind, source.name), source.source_hash) for source in plugins_of(job))


def _by_name(sources: Iterable[tuple[PluginName, str]]) -> Code:
    """Group sources by name, in order; one that is used twice, with different arguments, appears once."""
    found: dict[PluginName, dict[str, None]] = {}
    for name, source in sources:
        found.setdefault(name, {})[source] = None
    return {name: tuple(hashes) for name, hashes in found.items()}


def plugins_of(job: Job) -> Iterator[Source]:
    """Every plugin that a job uses: players, metrics, dataset, extractor."""
    rules = job.protocol
    yield from (plugins.find(kind, text) for kind, text in job.players)
    yield from (plugins.find_for(rules.name, "metric", name) for name in rules.evaluation.metrics)
    yield plugins.find_for(rules.name, "dataset", rules.dataset)
    if rules.evaluation.extractor:
        yield plugins.find_for(rules.name, "extractor", rules.evaluation.extractor)
