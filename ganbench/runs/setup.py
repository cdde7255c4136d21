"""What all runs of a protocol share: its data, its judges, and their device. Prepared once per process."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import msgspec
import torch
from msgspec.structs import replace
from torch import Tensor

from ganbench import plugins
from ganbench.contracts.classes import class_places
from ganbench.contracts.component_ref import ComponentRef
from ganbench.contracts.data import Dataset
from ganbench.contracts.executor import TrainingJob
from ganbench.contracts.extractor import Extractor
from ganbench.contracts.memo import Memo
from ganbench.contracts.metric import Goal, Metric
from ganbench.contracts.protocol import Protocol
from ganbench.device.untouched import preserved_rng
from ganbench.errors import (
    DataError,
    Doubt,
    GanbenchError,
    PluginError,
    ProtocolError,
    Unsupported,
    blaming,
    listed,
    meant,
)
from ganbench.evaluation.cache import Cache, surroundings
from ganbench.evaluation.enough import shortages
from ganbench.evaluation.judge import Judge, metric_of_column
from ganbench.evaluation.sampling import draw_reference
from ganbench.evaluation.selfcheck import SelfCheck
from ganbench.evaluation.yardsticks import refuse_unknown
from ganbench.plugins.downloads import offered_by
from ganbench.plugins.source import Source
from ganbench.records.record import Component


@dataclass(frozen=True)
class Bench:
    """Data and judges of a protocol on one device, prepared once per process.

    ``judge`` scores on the reporting split, ``selector`` on the selection split and only with the headline's metric.
    ``components`` are the metrics' plugins, ``parts`` those of the dataset and the extractor. ``doubts`` are
    sentences on why scores may not mean what they seem to.
    """

    protocol: Protocol
    device: torch.device
    dataset: Dataset
    judge: Judge
    selector: Judge
    components: dict[str, Component]
    parts: dict[str, Component]
    doubts: tuple[str, ...] = ()

    @property
    def goal(self) -> Goal:
        """The headline's direction."""
        (metric,) = self.selector.metrics.values()
        return metric.columns[self.protocol.evaluation.headline]

    @property
    def checked(self) -> bool:
        """Whether ``self_check`` has been computed."""
        return "self_check" in vars(self)

    @cached_property
    def self_check(self) -> SelfCheck:
        """Computed when first needed: it costs two evaluations.

        Raises:
            Unsupported: the headline has no score even for real data.
        """
        (metric,), rules = self.selector.metrics, self.protocol.evaluation
        with preserved_rng(self.device):
            seed = self.protocol.seed(0, "self-check")
            with naming_row("real data"):
                check = SelfCheck(self.judge, rules.reference, metric, seed, rules.headline, rules.target)
        for doubt in check.doubts:
            warnings.warn(Doubt(doubt), stacklevel=2)
        if rules.headline in check.absent:
            raise Unsupported(
                f"{self.protocol.name} ranks by {rules.headline}, which has no score even for its real data: "
                f"{check.absent[rules.headline]}",
                "choose another headline or other data",
            )
        return check


@contextmanager
def naming_row(row: str) -> Iterator[None]:
    """Name the row in the error of a metric that fails on it."""
    try:
        yield
    except PluginError as error:
        raise PluginError(f"{row} cannot be scored: {error.message}", error.hint) from error


def doubts_of(extractor: Extractor, name: str, data: Dataset, logits: Tensor | None) -> list[str]:
    """Sentences on why an extractor may not suit the data.

    Args:
        extractor: the extractor in question.
        name: the plugin that provides the data.
        data: its data.
        logits: the extractor's logits for a few samples.
    """
    if not extractor.trained_on or name in extractor.trained_on:
        return []
    known, own = listed(extractor.trained_on), data.spec.classes
    found = [f"the extractor {extractor.name} was made for {known}, so its scores of {data.name} may mean little"]
    classes = None if logits is None or logits.ndim != 2 else logits.shape[1]
    if classes and own and classes != own:
        found.append(f"the extractor {extractor.name} tells {classes} classes apart, but {data.name} has {own}")
    return found


def prepare(protocol: Protocol, device: str) -> Bench:
    """Load the data, the extractor and the metrics that a protocol names.

    Raises:
        GanbenchError: one of them is missing, broken, or does not fit.
    """
    variables = tuple(sorted(item for item in os.environ.items() if item[0].startswith("GANBENCH_")))
    with preserved_rng(pick_device(device)):  # extractors draw random weights before they load their own
        return _prepare(msgspec.json.encode(protocol), device, variables)


def forget() -> None:
    """Clear the cache, since data read from a path may have changed."""
    _prepare.cache_clear()


@cache
def _prepare(encoded: bytes, device_name: str, variables: tuple[tuple[str, str], ...]) -> Bench:
    protocol = msgspec.json.decode(encoded, type=Protocol)
    rules = protocol.evaluation
    device = pick_device(device_name)
    metric_sources = {name: plugins.find_for(protocol.name, "metric", name) for name in rules.metrics}
    dataset_source = plugins.find_for(protocol.name, "dataset", protocol.dataset)
    dataset: Dataset = plugins.build(dataset_source, argument=dataset_source.argument, resolution=protocol.resolution)
    dataset = _with_origin(dataset, dataset_source)
    refuse_constant(dataset)
    parts = {"dataset": _part_of(dataset_source)}
    metrics = {name: plugins.build(source) for name, source in metric_sources.items()}
    extractor, doubts = None, [*dataset.notes, *shortages(dataset, protocol.training.batch)]
    if rules.extractor:
        source = plugins.find_for(protocol.name, "extractor", rules.extractor)
        extractor = plugins.build(source, argument=source.argument)
        parts["extractor"] = _part_of(source)
        logits = _check_extractor(extractor, protocol, dataset)
        doubts += doubts_of(extractor, dataset_source.name, dataset, logits)
        _refuse_other_classes(extractor, logits, dataset, metrics)
    headline = metric_of_column(metrics, rules.headline)
    refuse_unknown(rules.yardsticks, dataset)
    _refuse_unknown_columns(rules.shown, metrics)
    reference = draw_reference(dataset, rules.reference, rules.samples, protocol.seed(0, "reference"))
    selection = rules.selection if dataset.selection is None else "selection"
    few = min(rules.samples, len(dataset.part(selection)))
    selecting = draw_reference(dataset, selection, few, protocol.seed(0, "selection"))
    kept = Cache(surroundings(device, extractor.tag, parts["extractor"])) if extractor is not None else Memo()
    judge = Judge(dataset, reference, metrics, extractor, device, kept)
    selector = Judge(dataset, selecting, {headline: metrics[headline]}, extractor, device, kept)
    components = {name: component_of(source, metrics[name].version) for name, source in metric_sources.items()}
    for doubt in doubts:
        warnings.warn(Doubt(doubt), stacklevel=2)
    return Bench(protocol, device, dataset, judge, selector, components, parts, tuple(doubts))


def _with_origin(dataset: Dataset, source: Source) -> Dataset:
    """The data with what their plugin says about downloads: who made them, and under which terms."""
    offer = None if dataset.origin.citation else offered_by(source)
    if offer is None:
        return dataset
    known = replace(dataset.origin, citation=offer.citation, licence=offer.licence, homepage=offer.homepage)
    return dataclasses.replace(dataset, origin=known)


def refuse_constant(dataset: Dataset) -> None:
    """Raise DataError if all training samples are the same: any score of such data would be perfect."""
    for what, x in (("samples", dataset.train.x), ("inputs", dataset.train.source)):
        if x is not None and len(x) > 1 and all(bool((part == x[0]).all()) for part in x.split(1000)):
            raise DataError(f"all {what} of '{dataset.name}' are alike", "choose data that vary")


def _refuse_unknown_columns(shown: Sequence[str], metrics: Mapping[str, Metric]) -> None:
    """Raise ProtocolError if no metric has a column that is to be shown, because a table would silently leave it out.

    A column of an installed metric that these rules do not use is allowed.
    """
    known = [column for metric in metrics.values() for column in metric.columns]
    unknown = [name for name in shown if name not in known]
    for installed in plugins.unambiguous("metric") if unknown else ():
        with suppress(GanbenchError):
            others = plugins.build(plugins.find("metric", installed)).columns
            unknown = [name for name in unknown if name not in others]
    if unknown:
        raise ProtocolError(
            f"`evaluation.shown` names a column '{unknown[0]}' that no metric has{meant(unknown[0], known)}",
            f"columns: {', '.join(known)}",
        )


def _check_extractor(extractor: Extractor, protocol: Protocol, dataset: Dataset) -> Tensor | None:
    """Try two samples before any training; returns their logits, if the extractor classifies.

    Raises:
        Unsupported: the extractor does not suit these data.
        PluginError: it fails on them.
    """
    hears, rate = extractor.sample_rate, dataset.spec.rate
    if hears and rate and hears != rate:
        raise Unsupported(
            f"{extractor.name} expects {hears} samples per second, but {dataset.name} has {rate:g}",
            "choose data and an extractor of the same rate",
        )
    failing = f"the extractor '{extractor.name}' fails on two samples of {dataset.name}"
    with blaming(failing, passing=GanbenchError), torch.inference_mode():
        _, logits = extractor(dataset.train.x[:2])
    said: Tensor | None = logits
    return said


def _refuse_other_classes(
    extractor: Extractor, logits: Tensor | None, dataset: Dataset, metrics: Mapping[str, Metric]
) -> None:
    """Raise ProtocolError if a metric compares the extractor's classes with the data's and they differ."""
    needing = [name for name, metric in metrics.items() if "classes" in getattr(metric, "needs", ())]
    if logits is None or logits.ndim != 2 or not dataset.spec.classes or not needing:
        return  # without classes there is no such score, and the metric itself says so
    try:
        class_places(extractor, logits.shape[1], dataset)
    except Unsupported as error:
        raise ProtocolError(
            f"the metric '{needing[0]}' compares classes by name: {error.message}",
            f"name the classes alike, choose another extractor, or leave '{needing[0]}' out of the protocol",
        ) from error


def pick_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda``, ``cuda:i`` or ``mps`` -> a device of this machine.

    Raises:
        GanbenchError: the machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if index and not (index.isascii() and index.isdecimal()):
        raise GanbenchError(f"there is no device '{name}'", "use auto, cpu, cuda, cuda:0 or mps")
    found = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}.get(kind, 0)
    if found <= int(index or 0):
        raise GanbenchError(f"there is no device '{name}' on this machine", "use --device auto or --device cpu")
    return torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device(kind)


class Cast(NamedTuple):
    """The components of a run."""

    arch: Component
    loss: Component
    tricks: tuple[Component, ...]


def cast_of(job: TrainingJob) -> Cast:
    """The components that a run names."""
    arch, loss, *tricks = (component_of(plugins.find(kind, text)) for kind, text in job.players)
    return Cast(arch, loss, tuple(tricks))


def component_of(source: Source, revision: int = 0) -> Component:
    """A plugin as records keep it."""
    return Component(source.label, source.package, source.version, source.source_hash, revision)


def _part_of(source: Source) -> Component:
    """The plugin of the data or the judge, without folders, because records are published and paths are private."""
    part = component_of(source)
    return replace(part, name=str(ComponentRef.of(part.name).without_folders()))
