"""Scores samples that GANBench did not make in the same way as a run's, for a row of its own kind."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Any

import torch
from msgspec.structs import replace
from torch import Tensor

from ganbench.contracts.arch import GAN
from ganbench.contracts.data import Split
from ganbench.contracts.executor import JobBase
from ganbench.contracts.protocol import Protocol
from ganbench.contracts.samples import Samples
from ganbench.device.determinism import configured
from ganbench.device.untouched import preserved_rng
from ganbench.errors import DataError, RecordError, plural
from ganbench.evaluation.given import labels_of, split_of
from ganbench.evaluation.sampling import sample
from ganbench.evaluation.scale import Span
from ganbench.records.record import Cost, Declared, External, ExternalRecord, Fingerprints
from ganbench.records.store import read, write
from ganbench.report import pictures
from ganbench.runs.judging import Judgement, hash_of_samples
from ganbench.runs.recording import now, protocol_fields
from ganbench.runs.setup import Bench, naming_row
from ganbench.samples.asked import Asked
from ganbench.samples.batches import collected
from ganbench.samples.faults import faults_of
from ganbench.samples.fitting import fitted
from ganbench.samples.program import made_by, refuse_module
from ganbench.samples.reading import read_samples


def asked_by(bench: Bench, asked: Asked) -> Asked:
    """``asked``, with the number of samples that the protocol compares, and the labels of the real ones."""
    reference = bench.judge.reference
    return replace_fields(
        asked,
        count=len(reference) * bench.protocol.evaluation.draws if reference.labels is None else len(reference),
        labels=reference.labels,
        device=bench.device,
    )


def samples_of(source: Any, bench: Bench, asked: Asked, labels: Any = None) -> Samples:
    """Samples from a path, an iterator of batches, a function or a GAN, as many as the protocol compares.

    Args:
        source: what was handed over.
        bench: the protocol's data and judges.
        asked: how to read them.
        labels: ``[N]``, the classes that they were made for; None: those that the source has, if any.

    Raises:
        DataError: it is none of these, or it makes no samples.
        PluginError: a program fails.
    """
    found = _taken(source, bench, asked_by(bench, asked))
    if labels is None:
        return found
    numbers = labels_of(labels, len(found), bench.dataset, bench.protocol.name)
    return replace_fields(found, labels=numbers, class_names=())


def _taken(source: Any, bench: Bench, asked: Asked) -> Samples:
    """The samples of a source, with its own labels if it has any."""
    if isinstance(source, str | Path):
        return read_samples(str(source), bench.dataset.spec, asked)
    if isinstance(source, GAN):
        made = sample(source, bench.judge.reference, asked.seed, bench.device)
        return Samples(made.x, f"{plural(len(made), 'sample')} of a GAN", made.labels)
    refuse_module(source)
    if isinstance(source, Iterable):
        batch = collected(iter(source), asked.count)
        return Samples(batch.x, f"{plural(len(batch.x), 'sample')} from {type(source).__name__}", batch.labels)
    if callable(source):
        return made_by(source, asked, getattr(source, "__name__", type(source).__name__))
    raise DataError(f"samples cannot be taken from {type(source).__name__}", "give an array, a path, or a function")


def with_metrics(protocol: Protocol, names: Sequence[str]) -> Protocol:
    """The protocol with further metrics, which do not change the scores that it has without them."""
    known = protocol.evaluation.metrics
    more = tuple(name for name in dict.fromkeys(names) if name not in known)
    return replace(protocol, evaluation=replace(protocol.evaluation, metrics=(*known, *more)))


def judge_samples(
    samples: Samples,
    bench: Bench,
    name: str,
    *,
    rules: Protocol | None = None,
    declared: Declared | None = None,
    span: Span | None = None,
    seed: int = 0,
    out: Path | None = None,
    replacing: bool = False,
) -> ExternalRecord:
    """Score samples under a protocol.

    Args:
        samples: as they were read.
        bench: the protocol's data and judges.
        name: of the model that made them.
        rules: the protocol without further metrics, whose digest the record gets; None: that of ``bench``.
        declared: what is stated about it.
        span: the numbers in the samples that stand for -1 and 1, if they are not the usual ones.
        seed: seeds the choice among too many samples, and the metrics' random numbers.
        out: the folder to write the record and a picture to; None: nothing is written.
        replacing: whether the result of other samples in that folder is replaced.

    Raises:
        RecordError: the folder holds the result of other samples.
        DataError: there are too few samples, or they do not fit the data.
        PluginError: a metric fails.
    """
    started, began = now(), time.perf_counter()
    protocol, fit = bench.protocol, _labelled(fitted(samples, bench.dataset), bench)
    draws, told = _draws(len(fit), len(bench.judge.reference), protocol.evaluation.draws, seed, protocol.name)
    with preserved_rng(bench.device), configured(1), naming_row(f"'{name}'"):
        fakes, doubts = _stored(fit, draws, bench, span)
        hashes = tuple(hash_of_samples(one.x) for one in fakes)
        if out is not None and not replacing:
            _refuse_others(name, hashes, out / "record.json")  # before the features, which may take hours
        verdicts = tuple(bench.judge.score(one, seed + number, lasting=True) for number, one in enumerate(fakes))
        checks = bench.self_check(fakes[0])
        found = faults_of(fakes[0], bench.dataset, bench.judge.classes_of(fakes[0]))
    judgement = Judgement(verdicts, hashes, checks=checks)
    job = JobBase(protocol=protocol, digest=(rules or protocol).digest, seed=0, folder=str(out or ""))
    external = External(
        name=name,
        declared=declared or Declared(),
        read=f"{samples.read} ({samples.format})",
        given=len(samples),
        assumed=(*fit.assumed, *told),
        found=(*samples.found, *doubts, *found),
    )
    record = ExternalRecord(
        **protocol_fields(bench, job, judgement.doubts),
        status="ok",
        external=external,
        **judgement.fields(),
        bits=Fingerprints(samples=judgement.samples),
        self_checks=checks,
        cost=Cost(judge_seconds=round(time.perf_counter() - began, 3)),
        started=started,
    )
    if out is not None:
        _keep(record, fakes[0], bench, out)
    return record


def _labelled(samples: Samples, bench: Bench) -> Samples:
    """The samples with labels as the data number them; without those of the real samples where nothing needs any.

    Raises:
        DataError: their number is not that of the samples, or they are no classes of the data.
    """
    labels, usual = samples.labels, bench.judge.reference.labels
    if labels is None:
        return samples
    labels = labels_of(labels, len(samples), bench.dataset, bench.protocol.name)
    needed = any("labels" in getattr(metric, "needs", ()) for metric in bench.judge.metrics.values())
    offered = usual is not None and torch.equal(labels, usual)  # a generator had to be given some
    return replace_fields(samples, labels=None if offered and not needed else labels)


def _draws(given: int, needed: int, most: int, seed: int, protocol: str) -> tuple[list[Tensor | None], list[str]]:
    """The indices of the samples of each draw (None: all of them), and a sentence on how they were chosen.

    Raises:
        DataError: there are too few.
    """
    if given < needed:
        raise DataError(
            f"{plural(given, 'sample')} {'was' if given == 1 else 'were'} given, but {protocol} compares {needed:,}: "
            "scores depend on the number",
            "make more; or compare two sets of any size without a protocol: `ganbench evaluate A --against B`",
        )
    if given == needed:
        return [None], []
    number = min(most, given // needed)
    order = torch.randperm(given, generator=torch.Generator().manual_seed(seed))
    chosen = [part.sort().values for part in order[: number * needed].split(needed)]
    how = f"{number} times {needed:,}, whose scores are averaged," if number > 1 else f"{needed:,}"
    return [*chosen], [f"of {given:,} samples, {how} were drawn with seed {seed}"]


def _stored(
    samples: Samples, draws: Sequence[Tensor | None], bench: Bench, span: Span | None
) -> tuple[list[Split], list[str]]:
    """The samples of each draw in the form of the data, and doubts about their scale."""
    fakes, doubts = list[Split](), list[str]()
    for index in draws:
        x = samples.x if index is None else samples.x[index]
        labels = samples.labels if index is None or samples.labels is None else samples.labels[index]
        one, more = split_of(x, labels, bench.judge, bench.protocol.name, span)
        fakes.append(one)
        doubts += more
    return fakes, list(dict.fromkeys(doubts))


def _refuse_others(name: str, hashes: tuple[str, ...], file: Path) -> None:
    """Raise RecordError if the file holds the result of other samples."""
    if file.exists() and read(file).bits.samples != hashes:
        raise RecordError(
            f"{file.parent} holds the result of other samples called '{name}'",
            "give these another name with --name, or replace that result with --force",
        )


def _keep(record: ExternalRecord, fakes: Split, bench: Bench, out: Path) -> None:
    """Write the record, and a picture of the first samples."""
    shown = fakes[torch.arange(min(pictures.how_many(bench.dataset.spec), len(fakes)))]
    pictures.save_samples(shown, bench.dataset.spec, out / "samples" / "samples", bench.judge.reference)
    write(record, out / "record.json")
