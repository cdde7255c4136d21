"""Propose a protocol for a user's own data: what the data are, what can be scored on them, and what budget is enough.

No component is known here by name: a ``Sort`` names those to try, and they decide whether they suit the data.
"""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from msgspec.structs import replace
from torch import Tensor

from ganbench import plugins
from ganbench.contracts.data import Dataset
from ganbench.contracts.executor import TrainingJob
from ganbench.contracts.extractor import Extractor, TrainedExtractor
from ganbench.contracts.protocol import Evaluating, Protocol
from ganbench.contracts.score_name import short_name
from ganbench.device.untouched import preserved_rng
from ganbench.errors import DataError, Doubt, GanbenchError, Unsupported, blaming
from ganbench.evaluation.judge import Judge
from ganbench.evaluation.sampling import draw_reference
from ganbench.evaluation.yardsticks import LARGEST, real
from ganbench.runs.estimate import makespan
from ganbench.runs.setup import Bench, doubts_of, pick_device, refuse_constant
from ganbench.runs.tryout import training_seconds, try_out

FEWEST = 60
"""Samples. Half of them, 30, are compared with as many fakes, in half a dozen features."""
MOST_SAMPLES = 2000
"""Samples per evaluation; with more, time grows but noise hardly falls."""
SEEDS = (0, 1, 2, 3)
"""An even number, since the last of three would leave one of two cores idle."""
ROW_SECONDS, WORKERS = 180.0, 2
"""The time that a row with all its seeds may take, and the number of runs at a time."""
LEAST_SHARE = 0.3
"""The share of that time that is reserved for training, however long judging takes."""
LEAST_UPDATES, MOST_BUDGETS = 50, 4
"""The smallest budget, in D updates, and the largest, in budgets of the protocol whose settings are used."""


@dataclass(frozen=True)
class Row:
    """A combination to begin with, and settings that suit it. The first of ``columns`` with a score is the headline.

    ``metrics`` are tried in this order; those that have no score for real data are left out. ``shown`` are the columns
    that tables show beside the headline if they can be scored; if empty, the protocol's default.
    """

    arch: str
    loss: str
    metrics: tuple[str, ...]
    columns: tuple[str, ...]
    yardsticks: tuple[str, ...] = ("gaussian fit", "one class", "noise")
    shown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sort:
    """A sort of data: what the samples are called, and the plugins that read and judge them.

    ``like`` is the protocol whose training settings are the default; ``size`` is the largest default size, if the data
    have one. ``by_class`` replaces ``row`` if the user asks for classes.
    """

    things: str
    dataset: str
    extractor: str
    like: str
    row: Row
    by_class: Row | None = None
    size: int | None = None


@dataclass(frozen=True)
class Wish:
    """What a user asks for.

    ``dataset`` is the reference, as the protocol names it; ``argument`` the same with paths from here. ``judge_file``
    is how the protocol names the file of an extractor that has to be trained.
    """

    name: str
    sort: Sort
    dataset: str
    argument: str
    like: Protocol
    judge_file: str
    resolution: int | None = None
    classes: bool = False
    extractor: str = ""

    @property
    def row(self) -> Row:
        """The row to begin with."""
        by_class = self.sort.by_class if self.classes else None
        return by_class or self.sort.row


class Cost(NamedTuple):
    """Seconds of a run's training, of its judging, and of a row of all seeds."""

    training: float
    judging: float
    row: float


@dataclass(frozen=True)
class Proposal:
    """The rules, what they are about, and the content of the judge's file, if one was trained.

    ``left_out``: a metric -> why. ``features``: how many the judge has. ``floor``: the headline of real data.
    """

    protocol: Protocol
    dataset: Dataset
    row: Row
    cost: Cost
    floor: float
    features: int
    classifies: bool
    judge: bytes | None = None
    judge_seconds: float = 0.0
    left_out: dict[str, str] = field(default_factory=dict)


def propose(wish: Wish, device_name: str = "auto") -> Proposal:
    """Read the data, train a judge if necessary, try the metrics, and measure the budget.

    Raises:
        GanbenchError: the data cannot be read, are too few, or suit no metric or the row to begin with.
    """
    row, device = wish.row, pick_device(device_name)
    with preserved_rng(device):
        dataset = read(wish)
        began = time.perf_counter()
        extractor, named, content = judge_of(wish, dataset)
        judge_seconds = time.perf_counter() - began
        seen, logits = _try_judge(extractor, dataset)
        for doubt in doubts_of(extractor, wish.sort.dataset, dataset, logits):
            warnings.warn(Doubt(doubt), stacklevel=2)
        rules = _first_rules(wish, dataset, row, named)
        tried = _try_metrics(rules, dataset, extractor, device, row)
        judged = replace(rules.evaluation, metrics=tried.metrics, headline=tried.headline, shown=tried.shown)
        rules = replace(rules, evaluation=judged)
        rules, cost = _with_budget(rules, tried, dataset, device, row)
    return Proposal(
        rules,
        dataset,
        row,
        cost,
        floor=tried.floor,
        features=seen.shape[1],
        classifies=logits is not None,
        judge=content,
        judge_seconds=judge_seconds if content else 0.0,
        left_out=tried.left_out,
    )


# -- the data and their judge ------------------------------------------------------------------------------------------


def read(wish: Wish) -> Dataset:
    """The data, at the size asked for; else at their own, if that is no larger than the sort's.

    Raises:
        DataError: they cannot be read, are too few or all alike, or lack the classes that the user asks for.
    """
    dataset = _built(wish, wish.resolution) if wish.resolution or not wish.sort.size else _at_own_size(wish)
    found, things = count(dataset), wish.sort.things
    if found < FEWEST:
        raise DataError(
            f"{dataset.name} has {found} {things}, too few to compare GANs",
            f"use at least {FEWEST}, or better a few hundred",
        )
    refuse_constant(dataset)
    if wish.classes and not dataset.spec.classes:
        raise DataError(f"{dataset.name} has no classes", f"sort the {things} into one sub-folder per class")
    return dataset


def count(dataset: Dataset) -> int:
    """How many samples there are in all splits."""
    splits = (dataset.train, dataset.test, dataset.selection)
    return sum(len(split) for split in splits if split is not None)


def _at_own_size(wish: Wish) -> Dataset:
    try:
        dataset = _built(wish, None)
    except DataError:  # images of several sizes, or something worse, which the next attempt reports
        return _built(wish, wish.sort.size)
    size = wish.sort.size
    assert size is not None
    return dataset if max(dataset.spec.shape[1:]) <= size else _built(wish, size)


def _built(wish: Wish, resolution: int | None) -> Dataset:
    built = plugins.build(plugins.find("dataset", wish.sort.dataset), argument=wish.argument, resolution=resolution)
    assert isinstance(built, Dataset)  # `build` has checked it
    return built


def judge_of(wish: Wish, dataset: Dataset) -> tuple[Extractor, str, bytes | None]:
    """The extractor, how the protocol names it, and the content of its file if it was trained here."""
    text = wish.extractor or wish.sort.extractor
    source = plugins.find("extractor", text)
    extractor = plugins.build(source, argument=source.argument)
    if not isinstance(extractor, TrainedExtractor) or source.argument:
        assert isinstance(extractor, Extractor)  # `build` has checked it
        return extractor, text, None
    with blaming(f"{source} failed to train", "run with --debug to see where; tell its author", passing=GanbenchError):
        extractor.fit(dataset)
        content = extractor.to_bytes()
    return extractor, f"{text}:{wish.judge_file}", content


def _try_judge(extractor: Extractor, dataset: Dataset) -> tuple[Tensor, Tensor | None]:
    """Features and logits of two samples.

    Raises:
        Unsupported: the extractor does not suit such data.
    """
    try:
        failing = f"the extractor '{extractor.name}' fails on two samples of {dataset.name}"
        with blaming(failing, passing=GanbenchError), torch.inference_mode():
            features, logits = extractor.eval()(dataset.train.x[:2])
    except Unsupported as error:
        raise Unsupported(error.message, error.hint or "choose another judge with --extractor") from error
    return features, logits


# -- what can be scored ------------------------------------------------------------------------------------------------


def _first_rules(wish: Wish, dataset: Dataset, row: Row, extractor: str) -> Protocol:
    """The rules before the metrics that can be scored and the budget are known."""
    paired, like = dataset.test.paired, wish.like
    size = dataset.spec.shape[-1] if wish.sort.size else None
    evaluation = Evaluating(
        samples=len(dataset.test) if paired else min(len(dataset.part("all")) // 2, MOST_SAMPLES),
        reference="test" if paired else "all",
        draws=like.evaluation.draws,
        checks=like.evaluation.checks,
        extractor=extractor,
        metrics=row.metrics,
        headline=row.columns[0],
        yardsticks=_yardsticks(dataset, row),
    )
    largest_batch = 1 << max(0, (len(dataset.train) // 2).bit_length() - 1)
    return Protocol(
        name=wish.name,
        description=f"{count(dataset)} {wish.sort.things} of {dataset.name}, as {dataset.spec}.",
        dataset=wish.dataset,
        resolution=size,
        seeds=SEEDS,
        training=replace(like.training, batch=min(like.training.batch, largest_batch)),
        evaluation=evaluation,
        losses=like.losses,
    )


def _yardsticks(dataset: Dataset, row: Row) -> tuple[str, ...]:
    """Paired data bring their own; a Gaussian with too many dimensions for a full covariance means little."""
    if dataset.spec.source is not None:
        return tuple(dataset.yardsticks)
    small = math.prod(dataset.spec.shape) <= 4 * LARGEST
    return ("real data", *dataset.yardsticks, *(name for name in row.yardsticks if small or "gaussian" not in name))


class _Tried(NamedTuple):
    """What scoring real data against real data has shown; ``seconds`` is how long it took."""

    metrics: tuple[str, ...]
    headline: str
    shown: tuple[str, ...]
    floor: float
    seconds: float
    left_out: dict[str, str]
    judge: Judge


def _try_metrics(rules: Protocol, dataset: Dataset, extractor: Extractor, device: torch.device, row: Row) -> _Tried:
    """Keep the metrics that have a score for real data and no doubt about it.

    Raises:
        Unsupported: no metric does.
    """
    metrics = {name: plugins.build(plugins.find("metric", name)) for name in rules.evaluation.metrics}
    part = rules.evaluation.reference
    reference = draw_reference(dataset, part, rules.evaluation.samples, rules.seed(0, "reference"))
    judge = Judge(dataset, reference, metrics, extractor, device)
    reals, others = real(dataset, reference, part, 0)
    kept, scores, left_out = list[str](), dict[str, float](), dict[str, str]()
    clock = time.process_time if device.type == "cpu" else time.perf_counter  # other load must not shrink the budget
    began = clock()
    for name in metrics:
        verdict = judge.score(others, 0, real=reals, only=[name])
        if verdict.doubts or not verdict.scores:
            left_out[name] = next(iter([*verdict.doubts, *verdict.absent.values()]))
            continue
        kept.append(name)
        scores |= {short_name(title): score for title, score in verdict.scores.items()}
    headline = next((column for column in row.columns if column in scores), None)
    if headline is None:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise Unsupported(f"no metric can rank {dataset.name} with this judge ({why})", "choose another --extractor")
    seconds = clock() - began
    shown = tuple(column for column in row.shown if column in scores and column != headline)
    return _Tried(tuple(kept), headline, shown, scores[headline], seconds, left_out, judge)


# -- what it costs -----------------------------------------------------------------------------------------------------


def _with_budget(
    rules: Protocol, tried: _Tried, dataset: Dataset, device: torch.device, row: Row
) -> tuple[Protocol, Cost]:
    """Choose the budget, from a few measured iterations, so that a row takes about three minutes.

    Raises:
        GanbenchError: the row to begin with cannot be trained on these data.
    """
    job = TrainingJob(
        protocol=rules,
        digest=rules.digest,
        seed=rules.seeds[0],
        folder="",
        arch=plugins.find("arch", row.arch).reference,
        loss=plugins.find("loss", row.loss).reference,
    )
    bench = Bench(rules, device, dataset, tried.judge, tried.judge, {}, {})
    try_out(job, bench)
    workers, training = WORKERS if device.type == "cpu" else 1, rules.training
    share = ROW_SECONDS * workers / len(rules.seeds)
    judging = tried.seconds * 2 * rules.evaluation.draws  # of the final generator and of the best
    per_kimg = training_seconds(job, bench) / training.budget_kimg
    if not per_kimg:
        raise GanbenchError(f"{row.arch} with {row.loss} cannot be trained on {dataset.name}", "try another --size")
    wanted = max(share - judging, LEAST_SHARE * share) / per_kimg
    least, most = LEAST_UPDATES * training.batch / 1000, MOST_BUDGETS * training.budget_kimg
    budget = _rounded(min(max(wanted, least), max(most, least)))
    run = budget * per_kimg
    row_seconds = makespan([run + judging] * len(rules.seeds), workers)
    return replace(rules, training=replace(training, budget_kimg=budget)), Cost(run, judging, row_seconds)


def _rounded(kimg: float) -> float:
    """Round to two significant digits."""
    return float(f"{kimg:.2g}")
