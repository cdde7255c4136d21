"""Conformance checks of a protocol: valid rules, installed names, enough data."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import torch

from ganbench import plugins
from ganbench.contracts.data import Dataset
from ganbench.contracts.extractor import Extractor
from ganbench.contracts.kind import Kind
from ganbench.contracts.metric import Metric
from ganbench.contracts.protocol import Protocol, parse
from ganbench.contracts.protocol_file import from_toml, read_toml, to_toml
from ganbench.contracts.settings import names_of
from ganbench.errors import DataError, GanbenchError, PluginError, ProtocolError
from ganbench.evaluation import yardsticks
from ganbench.evaluation.judge import Judge
from ganbench.evaluation.sampling import draw_reference
from ganbench.plugins.source import Source
from ganbench.testing.findings import Checks, Finding, Findings, raising
from ganbench.testing.given import Builder, Made, made
from ganbench.testing.randomness import seeded

CHECKS: Checks[ProtocolCase] = Checks("protocol")
ProtocolOrMapping = Protocol | Mapping[str, Any]
Given = ProtocolOrMapping | str | Path | Source | ModuleType | Callable[..., ProtocolOrMapping]
JUDGED = 200
"""Samples in the trial evaluation."""


@dataclass(frozen=True)
class ProtocolCase:
    """Rules under test, the name under which they are installed (or an empty string), and how to build them again."""

    rules: ProtocolOrMapping
    name: str = ""
    again: Builder | None = None

    @cached_property
    def protocol(self) -> Protocol:
        """The rules, validated like those of a TOML file."""
        return _parsed(self.rules)

    @cached_property
    def dataset(self) -> Dataset | None:
        """The dataset; None if it is not installed, or its data are not on this machine."""
        try:
            source = plugins.find_for(self.protocol.name, "dataset", self.protocol.dataset)
            built: Dataset = plugins.build(source, argument=source.argument, resolution=self.protocol.resolution)
        except (DataError, PluginError):
            return None
        return built

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that can be built, by name."""
        found = {}
        for name in self.protocol.evaluation.metrics:
            try:
                found[name] = plugins.build(plugins.find_for(self.protocol.name, "metric", name))
            except GanbenchError:
                continue
        return found


def _parsed(rules: ProtocolOrMapping) -> Protocol:
    plain = msgspec.to_builtins(rules) if isinstance(rules, Protocol) else rules
    return parse(plain, "the protocol")


def protocol_findings(protocol: Given, skip: Collection[str] = ()) -> Findings:
    """List everything wrong with a protocol, without raising. Loads its data if they are on this machine.

    Args:
        protocol: a ``Protocol`` or a mapping of its rules; or an installed one's name, a TOML file (``"mine.toml"``),
            the module with the hook, or the hook.
        skip: names of checks that do not apply.

    Raises:
        ValueError: ``skip`` names a check that does not exist.
        GanbenchError: no protocol is installed under that name, or the file cannot be read.
        TypeError: a class was given.
    """
    subject = _subject(protocol)
    name = subject.builder.name if subject.builder else ""
    return Findings(subject.title, CHECKS.run(ProtocolCase(subject.it, name, subject.builder), skip, subject.turned))


check_protocol = raising(protocol_findings)
"""Raise one ``ConformanceError`` with everything wrong. The arguments are those of ``protocol_findings``."""


def _subject(given: Given) -> Made:
    if isinstance(given, Path) or (isinstance(given, str) and given.endswith(".toml")):
        return Made(f"the protocol {given}", read_toml(Path(given)))
    return made("protocol", given)


# -- the rules ---------------------------------------------------------------------------------------------------------


@CHECKS.add_vital
def rules_are_rules_of_protocols(case: ProtocolCase) -> Iterator[Finding]:
    """Every field must be known, of the right type and in range.

    Protocol(...) in Python does not check this, so a batch of 0 would fail only in the run.
    """
    if not isinstance(case.rules, (Protocol, Mapping)):
        yield Finding(f"a {type(case.rules).__name__}", "a ganbench.Protocol or a mapping", "return Protocol(...)")
        return
    try:
        assert case.protocol
    except ProtocolError as error:
        yield Finding(error.message, "rules of ganbench.Protocol", error.hint or "correct the field")


@CHECKS.add
def name_says_which_version_of_the_rules(case: ProtocolCase) -> Iterator[Finding]:
    """The rules under a name never change, so different rules need a different name.

    A record names its rules. So a name must end in a version, and equal the name under which the package installs it.
    """
    name = case.protocol.name
    if not re.search(r"-v\d+$", name):
        yield Finding(f"the name {name!r}", "a name that ends in -v1, -v2, ...", f'name="{name}-v1"')
    if case.name and case.name != name:
        yield Finding(
            f"it is installed as {case.name!r}, but its name is {name!r}", "one name", "use the same name in both"
        )


@CHECKS.add
def rules_are_frozen(case: ProtocolCase) -> Iterator[Finding]:
    """Rules must be the same each time they are built, and after being written to a file and read back.

    Records are compared by the digest of their protocol.
    """
    digest = case.protocol.digest
    if case.again is not None:
        with seeded(1):
            other = _parsed(case.again())
        if other.digest != digest:
            seen = f"digests {digest} and {other.digest}"
            yield Finding(
                seen, "the same rules each time", "use no clock, no environment and no random numbers in the rules"
            )
    again = from_toml(to_toml(case.protocol), "what `ganbench protocols show` prints")
    if again.digest != digest:
        yield Finding(
            f"digest {digest}, and {again.digest} from a file", "the same rules", "use plain numbers and strings"
        )


# -- what the rules name -----------------------------------------------------------------------------------------------


@CHECKS.add
def everything_that_is_named_is_installed(case: ProtocolCase) -> Iterator[Finding]:
    """A protocol is refused before any training if its dataset, extractor or a metric is not installed.

    A package that provides a protocol must depend on the packages that provide these.
    """
    rules = case.protocol.evaluation
    named: list[tuple[Kind, str]] = [("dataset", case.protocol.dataset), *(("metric", name) for name in rules.metrics)]
    if rules.extractor:
        named.append(("extractor", rules.extractor))
    for kind, name in named:
        try:
            plugins.find_for(case.protocol.name, kind, name)
        except PluginError as error:
            yield Finding(error.message, f"an installed {kind}", error.hint)


@CHECKS.add
def headline_is_a_column_that_ranks(case: ProtocolCase) -> Iterator[Finding]:
    """The headline ranks the table, so it must be a column of exactly one metric, with a direction."""
    headline = case.protocol.evaluation.headline
    goals = [metric.columns[headline] for metric in case.metrics.values() if headline in metric.columns]
    if len(case.metrics) < len(case.protocol.evaluation.metrics) and not goals:
        return  # the column may belong to a metric that is missing
    if len(goals) != 1 or goals[0] == "info":
        columns = [name for metric in case.metrics.values() for name, goal in metric.columns.items() if goal != "info"]
        what = f"has the goal {goals[0]!r}" if len(goals) == 1 else f"is a column of {len(goals)} metrics"
        yield Finding(f"headline {headline!r} {what}", f"one of {', '.join(columns)}", "name a column that has a goal")


@CHECKS.add
def losses_have_the_settings_that_are_asked_of_them(case: ProtocolCase) -> Iterator[Finding]:
    """A run is refused if the protocol sets a setting that its loss lacks, which is checked for installed losses."""
    for name, asked in case.protocol.losses.items():
        try:
            loss = plugins.build(plugins.find("loss", name))
        except GanbenchError:
            continue
        known = names_of(loss)
        for setting in asked.settings:
            if setting not in known:
                seen = f"losses.{name}.settings.{setting}, but the loss '{name}' has no such setting"
                yield Finding(seen, f"one of {', '.join(known)}" if known else "none", "leave it out")


@CHECKS.add
def there_are_enough_samples(case: ProtocolCase) -> Iterator[Finding]:
    """An evaluation uses as many real samples as fakes, without repetition."""
    if case.dataset is None:
        return
    rules = case.protocol.evaluation
    there = len(case.dataset.part(rules.reference))
    if there < rules.samples:
        yield Finding(
            seen=f"samples = {rules.samples}, but {case.dataset.name} has only {there} in its {rules.reference} part",
            expected="no more than are available",
            mend='lower samples, or use reference = "all"',
        )


@CHECKS.add
def real_samples_can_be_judged(case: ProtocolCase) -> Iterator[Finding]:
    """As a trial, every metric scores real samples against other real samples, with the protocol's extractor.

    A metric or extractor that cannot score these data would fail every run after its training. (Skipped if data or
    weights are not on this machine.)
    """
    rules = case.protocol.evaluation
    if case.dataset is None or len(case.metrics) < len(rules.metrics):
        return
    extractor: Extractor | None = None
    if rules.extractor:
        try:
            source = plugins.find_for(case.protocol.name, "extractor", rules.extractor)
            extractor = plugins.build(source, argument=source.argument)
        except GanbenchError:
            return
    n = min(JUDGED, len(case.dataset.part(rules.reference)))
    reference = draw_reference(case.dataset, rules.reference, n, seed=1)
    real, fake = yardsticks.real(case.dataset, reference, rules.reference, seed=1)
    judge = Judge(case.dataset, real, case.metrics, extractor, torch.device("cpu"))
    for name in case.metrics:
        try:
            verdict = judge.score(fake, seed=1, only=[name])
            seen = "" if verdict.scores else f"the metric '{name}' has no score: {next(iter(verdict.absent.values()))}"
        except (GanbenchError, ValueError) as error:
            seen = error.message if isinstance(error, GanbenchError) else str(error)
        if seen:
            yield Finding(
                seen=seen,
                expected=f"scores of {case.dataset.spec} from every metric that is named",
                mend="choose another metric, an extractor for these data, or a dataset with labels",
            )
